-- The world in which row level security is asked after migration 011: who is there, and what is theirs.
--
-- `studio` is a private team with an owner, an admin, an editor and a viewer; `rivals` is discoverable and has its
-- owner alone. A stranger is signed in, in no team, and was invited once. Everybody who asks has a project and a
-- generation. An identifier is the md5 of a name, so this file always makes the same rows.
--
-- bluegreen:person anon anon
-- bluegreen:person owner authenticated 72122ce9-6bfe-c66e-2396-d2e25225d70a
-- bluegreen:person admin authenticated 21232f29-7a57-a5a7-4389-4a0e4a801fc3
-- bluegreen:person editor authenticated 5aee9dbd-2a18-8839-1050-73571bee1b1f
-- bluegreen:person viewer authenticated 4b2a1529-867b-8d69-7685-b1722ccd0149
-- bluegreen:person stranger authenticated 7fbf8a8b-90bc-bb2b-a650-cc8b0714b739
-- bluegreen:person service_role service_role

insert into auth.users (id, email)
select md5(name)::uuid, name || '@people.test'
from unnest('{owner,admin,editor,viewer,stranger,rival}'::text[]) as people (name);

insert into public.projects (id, user_id, name, created_at, updated_at)
select md5(project)::uuid, md5(person)::uuid, project, '2026-01-01', '2026-01-01'
from (values
    ('film', 'editor'), ('diary', 'editor'), ('poster', 'owner'), ('paused', 'owner'), ('plan', 'admin'),
    ('mood', 'viewer'), ('gift', 'stranger'), ('leaflet', 'rival')
) as projects (project, person);

insert into public.generations (id, user_id, project_id, model, prompt, created_at)
select md5(generation)::uuid, md5(person)::uuid, md5(project)::uuid, 'flux', generation, '2026-01-02'
from (values
    ('take', 'editor', 'film'), ('cover', 'owner', 'poster'), ('draft', 'owner', 'paused'), ('chart', 'admin', 'plan'),
    ('palette', 'viewer', 'mood'), ('card', 'stranger', 'gift'), ('flyer', 'rival', 'leaflet')
) as generations (generation, person, project);

-- The owners' rows in team_members come with the teams.
insert into public.teams (id, name, slug, visibility, created_by, created_at, updated_at) values
    (md5('studio')::uuid, 'studio', 'studio', 'private', md5('owner')::uuid, '2026-02-01', '2026-02-01'),
    (md5('rivals')::uuid, 'rivals', 'rivals', 'discoverable', md5('rival')::uuid, '2026-02-01', '2026-02-01');
insert into public.team_members (team_id, user_id, role, joined_at) values
    (md5('studio')::uuid, md5('admin')::uuid, 'admin', '2026-02-02'),
    (md5('studio')::uuid, md5('editor')::uuid, 'editor', '2026-02-03'),
    (md5('studio')::uuid, md5('viewer')::uuid, 'viewer', '2026-02-04');

insert into public.team_invitations
    (id, team_id, email, role, token_sha256, invited_by, created_at, expires_at, accepted_at, accepted_by, revoked_at)
select md5('invitation of ' || email)::uuid, md5(team)::uuid, email || '@people.test', 'editor', sha256(convert_to(email, 'UTF8')),
    md5(author)::uuid, '2026-02-05', '2126-01-01', accepted, case when accepted is not null then md5(email)::uuid end,
    withdrawn
from (values
    ('guest', 'studio', 'admin', null, null),
    ('stranger', 'studio', 'admin', timestamptz '2026-02-06', null),
    ('former', 'studio', 'owner', null, timestamptz '2026-02-07'),
    ('friend', 'rivals', 'rival', null, null)
) as invitations (email, team, author, accepted, withdrawn);

insert into public.project_privacy_settings (project_id, visibility, allow_comments, allow_remix, updated_by) values
    (md5('film')::uuid, 'team', true, false, md5('editor')::uuid),
    (md5('diary')::uuid, 'private', true, true, md5('editor')::uuid),
    (md5('paused')::uuid, 'private', false, true, md5('owner')::uuid),
    (md5('leaflet')::uuid, 'link', true, true, md5('rival')::uuid);

insert into public.project_teams (project_id, team_id, access, shared_by, shared_at)
select md5(project)::uuid, md5(team)::uuid, access, md5(person)::uuid, '2026-03-01'
from (values
    ('film', 'studio', 'edit', 'editor'), ('poster', 'studio', 'view', 'owner'), ('paused', 'studio', 'edit', 'owner'),
    ('gift', 'rivals', 'view', 'stranger'), ('leaflet', 'rivals', 'view', 'rival')
) as shares (project, team, access, person);

insert into public.generation_collaborations (id, generation_id, team_id, user_id, kind, note, created_at)
select md5(note)::uuid, md5(generation)::uuid, md5(team)::uuid, md5(person)::uuid, kind, note, '2026-03-02'
from (values
    ('remark', 'take', 'studio', 'editor', 'comment'),
    ('request', 'take', 'studio', 'owner', 'edit'),
    ('move', 'cover', 'studio', 'owner', 'transfer'),
    ('memo', 'palette', null, 'viewer', 'comment'),
    ('farewell', 'take', 'studio', 'stranger', 'comment'),
    ('praise', 'card', 'rivals', 'rival', 'comment'),
    ('ours', 'flyer', 'rivals', 'rival', 'comment')
) as collaborations (note, generation, team, person, kind);

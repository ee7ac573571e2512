-- Teams: who works together, who was invited, what they share and what they did to it.
--
-- bluegreen:phase expand
-- bluegreen:verify select bool_and(relrowsecurity) from pg_catalog.pg_class where oid = any ('{public.teams,public.team_members,public.team_invitations,public.project_privacy_settings,public.project_teams,public.generation_collaborations}'::regclass[])
-- bluegreen:verify select not has_table_privilege('anon', 'public.teams', 'select')
-- bluegreen:verify select not has_function_privilege('anon', 'public.accept_invitation(text)', 'execute')
--
-- The release that runs knows nothing of this and notices nothing: users, projects and generations keep their columns,
-- policies, triggers and plans. Other people's projects and generations are reached through functions only.
--
-- Who may what: the owner everything; an admin edits the team, invites and changes roles, but never the owner's; an
-- editor shares own projects and records collaborations; a viewer reads; whoever is signed in discovers; anon nothing.
-- Three layers say so: grants (which columns a person writes), policies (which rows), guards (what nobody may).
--
-- The foreign keys to tables in use are the last statements: each stops writes there until commit.

-- ── Tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────

create table public.teams (
    id uuid primary key default gen_random_uuid(),
    name text not null check (length(name) between 1 and 120),
    slug text not null unique check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(slug) <= 63),
    description text check (length(description) <= 2000),
    visibility text not null default 'private' check (visibility in ('private', 'discoverable')),
    created_by uuid default auth.uid(),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table public.team_members (
    team_id uuid not null references public.teams (id) on delete cascade,
    user_id uuid not null,
    role text not null check (role in ('owner', 'admin', 'editor', 'viewer')),
    joined_at timestamptz not null default now(),
    primary key (team_id, user_id)
);

create table public.team_invitations (
    id uuid primary key default gen_random_uuid(),
    team_id uuid not null references public.teams (id) on delete cascade,
    email text not null check (email = lower(email) and email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    role text not null check (role in ('admin', 'editor', 'viewer')),
    token_sha256 bytea not null unique check (octet_length(token_sha256) = 32),
    invited_by uuid,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null default now() + interval '7 days',
    accepted_at timestamptz,
    accepted_by uuid,
    revoked_at timestamptz,
    check (accepted_at is null or revoked_at is null)
);

create table public.project_privacy_settings (
    project_id uuid primary key,
    visibility text not null default 'private' check (visibility in ('private', 'team', 'link')),
    allow_comments boolean not null default true,
    allow_remix boolean not null default true,
    updated_by uuid,
    updated_at timestamptz not null default now()
);

create table public.project_teams (
    project_id uuid not null,
    team_id uuid not null references public.teams (id) on delete cascade,
    access text not null default 'view' check (access in ('view', 'edit')),
    shared_by uuid default auth.uid(),
    shared_at timestamptz not null default now(),
    primary key (project_id, team_id)
);

create table public.generation_collaborations (
    id uuid primary key default gen_random_uuid(),
    generation_id uuid not null,
    team_id uuid references public.teams (id) on delete set null,
    user_id uuid not null default auth.uid(),
    kind text not null check (kind in ('comment', 'edit', 'transfer', 'remix')),
    note text check (length(note) <= 4000),
    from_project_id uuid,
    to_project_id uuid,
    created_at timestamptz not null default now()
);

comment on table public.teams is 'People who work together. Whoever creates a team becomes its owner.';
comment on table public.team_members is 'Who is in a team, as what. Exactly one owner a team, at every moment.';
comment on table public.team_invitations is 'Invitations by address. Only the SHA-256 of a token is kept.';
comment on table public.project_privacy_settings is 'What a project allows. No row: as shared, all allowed.';
comment on table public.project_teams is 'Which project is shared with which team.';
comment on table public.generation_collaborations is 'What people did to a generation, with or for a team.';
comment on column public.teams.visibility is 'private: members know it. discoverable: whoever is signed in finds it.';
comment on column public.teams.created_by is 'Who created it; null once that account is deleted.';
comment on column public.project_privacy_settings.visibility is
    'private: shares are paused. team: shares hold. link: and whoever is signed in and knows the id may view.';
comment on column public.generation_collaborations.team_id is
    'Null: the generation''s owner alone, or a team that is gone.';

-- ── Indexes, each for a query that exists (primary keys and unique constraints make six more) ────────────────────────

-- Invariant: one owner a team. Also: who owns this team?
create unique index team_members_one_owner_idx on public.team_members (team_id) where role = 'owner';
-- Invariant: one open invitation for an address. Also: is this address invited already?
create unique index team_invitations_one_open_idx on public.team_invitations (team_id, email)
    where accepted_at is null and revoked_at is null;
-- Teams I created (select policy); deletion of an account.
create index teams_created_by_idx on public.teams (created_by);
-- discover_teams(): the discoverable ones, by name.
create index teams_discoverable_idx on public.teams (name, id) where visibility = 'discoverable';
-- my_teams(), from the index alone: under every policy; deletion of an account.
create index team_members_user_id_idx on public.team_members (user_id, role, team_id);
-- A team's invitations, newest first; deletion of a team.
create index team_invitations_team_id_idx on public.team_invitations (team_id, created_at desc);
-- Deletion of an account, three times.
create index team_invitations_invited_by_idx on public.team_invitations (invited_by);
create index team_invitations_accepted_by_idx on public.team_invitations (accepted_by);
create index project_privacy_settings_updated_by_idx on public.project_privacy_settings (updated_by);
-- A team's projects, newest first (my_shares()); deletion of a team.
create index project_teams_team_id_idx on public.project_teams (team_id, shared_at desc);
-- What I shared; deletion of an account.
create index project_teams_shared_by_idx on public.project_teams (shared_by);
-- The history of a generation; deletion of a generation.
create index generation_collaborations_generation_id_idx
    on public.generation_collaborations (generation_id, created_at desc);
-- What happened in a team; deletion of a team.
create index generation_collaborations_team_id_idx on public.generation_collaborations (team_id, created_at desc);
-- What I did; deletion of an account.
create index generation_collaborations_user_id_idx on public.generation_collaborations (user_id, created_at desc);
-- What left a project, what came into it; deletion of a project.
create index generation_collaborations_from_project_id_idx on public.generation_collaborations (from_project_id);
create index generation_collaborations_to_project_id_idx on public.generation_collaborations (to_project_id);

-- ── Who is asking: definers, so that no policy reads a table through that table's own policy ─────────────────────────

create function public.my_teams(roles text[] default '{owner,admin,editor,viewer}') returns setof uuid
    language sql stable security definer set search_path = '' rows 10 as $$
    select m.team_id from public.team_members m where m.user_id = (select auth.uid()) and m.role = any (roles)
$$;

create function public.team_role(team uuid) returns text
    language sql stable security definer set search_path = '' as $$
    select m.role from public.team_members m where m.team_id = team and m.user_id = (select auth.uid())
$$;

create function public.is_team_member(team uuid) returns boolean
    language sql stable security definer set search_path = '' as $$
    select exists (select from public.team_members m where m.team_id = team and m.user_id = (select auth.uid()))
$$;

-- Projects that are shared with me and not paused; a viewer views, whatever the team may.
create function public.my_shares() returns table (project_id uuid, team_id uuid, access text)
    language sql stable security definer set search_path = '' as $$
    select s.project_id, s.team_id, case when m.role = 'viewer' then 'view' else s.access end
    from public.team_members m
    join public.project_teams s on s.team_id = m.team_id
    left join public.project_privacy_settings v on v.project_id = s.project_id
    where m.user_id = (select auth.uid()) and v.visibility is distinct from 'private'
$$;

create function public.project_access(project uuid) returns text
    language sql stable security definer set search_path = '' as $$
    select case
        when exists (
            select from public.projects p where p.id = project and p.user_id = (select auth.uid())
        ) then 'owner'
        when exists (select from public.my_shares() s where s.project_id = project and s.access = 'edit') then 'edit'
        when exists (select from public.my_shares() s where s.project_id = project) then 'view'
        when (select auth.uid()) is not null and exists (
            select from public.project_privacy_settings v where v.project_id = project and v.visibility = 'link'
        ) then 'view'
    end
$$;

-- Whether a generation is part of a project for others: anybody can write a project's id into a generation of their
-- own, so it counts when it is the project owner's, or when it was transferred there.
create function public.belongs_to(generation public.generations, project uuid) returns boolean
    language sql stable security definer set search_path = '' as $$
    select (generation).project_id = project and (
        exists (select from public.projects p where p.id = project and p.user_id = (generation).user_id)
        or exists (
            select from public.generation_collaborations c
            where c.generation_id = (generation).id and c.kind = 'transfer' and c.to_project_id = project
        )
    )
$$;

create function public.may_collaborate(generation uuid, team uuid, kind text) returns boolean
    language sql stable security definer set search_path = '' as $$
    select exists (
        select from public.generations g
        where g.id = generation and g.user_id = (select auth.uid()) and team is null and kind <> 'transfer'
    ) or exists (
        select from public.generations g
        join public.my_shares() s on s.project_id = g.project_id and s.team_id = team
        left join public.project_privacy_settings v on v.project_id = g.project_id
        where g.id = generation and public.belongs_to(g, g.project_id)
        and team in (select public.my_teams('{owner,admin,editor}'))
        and case kind
            when 'comment' then coalesce(v.allow_comments, true)
            when 'remix' then coalesce(v.allow_remix, true)
            when 'edit' then s.access = 'edit'
            else false
        end
    )
$$;

-- ── What other people shared ─────────────────────────────────────────────────────────────────────────────────────────

create function public.discover_teams() returns table (id uuid, name text, slug text, description text, members bigint)
    language sql stable security definer set search_path = '' as $$
    select t.id, t.name, t.slug, t.description,
        (select count(*) from public.team_members m where m.team_id = t.id)
    from public.teams t
    where t.visibility = 'discoverable' and (select auth.uid()) is not null
    order by t.name, t.id
$$;

create function public.shared_projects() returns setof public.projects
    language sql stable security definer set search_path = '' as $$
    select p.* from public.projects p
    where p.id in (select s.project_id from public.my_shares() s) and p.user_id <> (select auth.uid())
    order by p.created_at desc, p.id
$$;

create function public.shared_generations(project uuid) returns setof public.generations
    language sql stable security definer set search_path = '' as $$
    select g.* from public.generations g
    where g.project_id = project and public.belongs_to(g, project) and public.project_access(project) is not null
    order by g.created_at desc, g.id
$$;

-- ── What people do ───────────────────────────────────────────────────────────────────────────────────────────────────

create function public.invite_to_team(team uuid, email text, role text) returns table (invitation_id uuid, token text)
    language plpgsql security definer set search_path = '' as $$
declare
    address constant text := lower(trim(invite_to_team.email));
    secret constant text := replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
begin
    if coalesce(public.team_role(team), '') not in ('owner', 'admin') then
        raise exception 'Only the owner or an admin of a team invites to it.' using errcode = 'insufficient_privilege';
    end if;
    if exists (
        select from public.team_members m join public.users u on u.id = m.user_id
        where m.team_id = team and lower(u.email) = address
    ) then
        raise exception 'Whoever has this address is already a member of the team.' using errcode = 'unique_violation';
    end if;
    -- Who is invited again gets a new token; the one before is worth nothing from now on.
    update public.team_invitations i set revoked_at = now()
    where i.team_id = team and i.email = address and i.accepted_at is null and i.revoked_at is null;
    insert into public.team_invitations as i (team_id, email, role, token_sha256, invited_by)
    values (team, address, invite_to_team.role, sha256(convert_to(secret, 'UTF8')), auth.uid())
    returning i.id into invitation_id;
    token := secret;
    return next;
end
$$;

-- One UPDATE decides: of two that accept at the same moment the second waits for the first and then finds nothing.
create function public.accept_invitation(token text) returns uuid
    language plpgsql security definer set search_path = '' as $$
declare
    caller constant uuid := auth.uid();
    digest constant bytea := sha256(convert_to(token, 'UTF8'));
    invitation public.team_invitations;
begin
    update public.team_invitations i set accepted_at = now(), accepted_by = caller
    where i.token_sha256 = digest and i.email = lower(auth.jwt() ->> 'email')
    and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()
    -- An invitation is worth what its author may still give.
    and exists (
        select from public.team_members m
        where m.team_id = i.team_id and m.user_id = i.invited_by and m.role in ('owner', 'admin')
    )
    returning i.* into invitation;
    if invitation.id is null then
        perform public.explain_refusal(digest);
    end if;
    if public.is_team_member(invitation.team_id) then
        raise exception 'You are already a member of this team.' using errcode = 'unique_violation';
    end if;
    insert into public.team_members (team_id, user_id, role) values (invitation.team_id, caller, invitation.role);
    return invitation.team_id;
end
$$;

create function public.explain_refusal(digest bytea) returns void
    language plpgsql stable set search_path = '' as $$
declare
    invitation public.team_invitations;
begin
    select i.* into invitation from public.team_invitations i where i.token_sha256 = digest;
    if invitation.id is null then
        raise exception 'There is no such invitation.';
    elsif invitation.email is distinct from lower(auth.jwt() ->> 'email') then
        raise exception 'This invitation is for another address.' using errcode = 'insufficient_privilege';
    elsif invitation.accepted_at is not null then
        raise exception 'This invitation has been accepted already.';
    elsif invitation.revoked_at is not null then
        raise exception 'This invitation was withdrawn.';
    elsif invitation.expires_at <= now() then
        raise exception 'This invitation has expired.';
    end if;
    raise exception 'Whoever made this invitation may no longer invite.';
end
$$;

-- A generation moves to another project and stays its owner's, so nobody loses a picture to an admin.
create function public.transfer_generation(generation uuid, project uuid) returns void
    language plpgsql security definer set search_path = '' as $$
declare
    caller constant uuid := auth.uid();
    moved public.generations;
    through uuid; -- the team that sees it happen
    by_team boolean;
    by_owner boolean;
begin
    select g.* into moved from public.generations g where g.id = generation for no key update;
    select origin.team_id,
        origin.access = 'edit' and target.access = 'edit'
        and origin.team_id in (select public.my_teams('{owner,admin}')) as allowed
    into through, by_team
    from public.my_shares() origin join public.my_shares() target on target.team_id = origin.team_id
    where origin.project_id = moved.project_id and target.project_id = project
    order by allowed desc, origin.team_id limit 1;
    by_owner := moved.user_id = caller and public.project_access(project) in ('owner', 'edit');
    if by_team is not true and by_owner is not true then
        raise exception 'Only its owner, or an admin of a team that may edit both projects, moves a generation there.'
            using errcode = 'insufficient_privilege';
    end if;
    if moved.project_id = project then
        raise exception 'The generation is in that project already.' using errcode = 'unique_violation';
    end if;
    update public.generations g set project_id = project where g.id = generation;
    insert into public.generation_collaborations (generation_id, team_id, user_id, kind, from_project_id, to_project_id)
    values (generation, through, caller, 'transfer', moved.project_id, project);
end
$$;

-- ── Guards and what follows from a change: definers, so that they see every row whoever asks ─────────────────────────

create function public.make_creator_owner() returns trigger
    language plpgsql security definer set search_path = '' as $$
begin
    insert into public.team_members (team_id, user_id, role) values (new.id, new.created_by, 'owner');
    return null;
end
$$;

create function public.guard_owner() returns trigger
    language plpgsql security definer set search_path = '' as $$
begin
    if tg_op = 'DELETE' then
        -- The row goes with its team or its account; never alone.
        if old.role = 'owner' and exists (select from public.teams t where t.id = old.team_id)
        and exists (select from public.users u where u.id = old.user_id) then
            raise exception 'The owner cannot leave the team; delete the team instead.'
                using errcode = 'insufficient_privilege';
        end if;
        return old;
    end if;
    if old.role = 'owner' and new.role <> 'owner' then
        raise exception 'The owner of a team stays its owner.' using errcode = 'insufficient_privilege';
    end if;
    -- A team without an owner is one whose owner's account is just being deleted.
    if old.role <> 'owner' and new.role = 'owner'
    and exists (select from public.team_members m where m.team_id = new.team_id and m.role = 'owner') then
        raise exception 'A team has one owner; nobody else becomes one.' using errcode = 'insufficient_privilege';
    end if;
    return new;
end
$$;

-- An owner's account is deleted: the longest-standing admin (else editor, else viewer) owns the team; nobody: it goes.
create function public.pass_ownership_on() returns trigger
    language plpgsql security definer set search_path = '' as $$
declare
    heir uuid;
begin
    -- Whoever is just joining is waited for, and whoever joins later waits for us.
    perform from public.teams t where t.id = old.team_id for update;
    if not found then
        return null;
    end if;
    -- One who is just leaving is waited for and, once gone, skipped: the limit counts locked rows.
    select m.user_id into heir from public.team_members m where m.team_id = old.team_id
    order by array_position('{admin,editor,viewer}', m.role), m.joined_at, m.user_id limit 1 for update;
    if found then
        update public.team_members m set role = 'owner' where m.team_id = old.team_id and m.user_id = heir;
    else
        delete from public.teams t where t.id = old.team_id;
    end if;
    return null;
end
$$;

-- Who leaves a team takes along what is theirs.
create function public.take_projects_along() returns trigger
    language plpgsql security definer set search_path = '' as $$
begin
    delete from public.project_teams s using public.projects p
    where s.team_id = old.team_id and p.id = s.project_id and p.user_id = old.user_id;
    return null;
end
$$;

-- The named columns say what a row is about; a row never becomes one about something else.
create function public.keep_identity() returns trigger language plpgsql set search_path = '' as $$
declare
    field text;
begin
    foreach field in array tg_argv loop
        if to_jsonb(new) -> field is distinct from to_jsonb(old) -> field then
            raise exception '% of % never changes.', field, tg_table_name using errcode = 'insufficient_privilege';
        end if;
    end loop;
    return new;
end
$$;

create function public.stamp_privacy_change() returns trigger language plpgsql set search_path = '' as $$
begin
    new.updated_at := now();
    -- An administrator is not signed in and says who; the deletion of an account (a trigger above us) takes a name out.
    if pg_trigger_depth() = 1 then
        new.updated_by := coalesce(auth.uid(), new.updated_by);
    end if;
    return new;
end
$$;

create trigger teams_creator_owns after insert on public.teams
    for each row execute function public.make_creator_owner();
create trigger teams_touch before update on public.teams
    for each row execute function public.touch_updated_at();
create trigger team_members_guard_owner before update or delete on public.team_members
    for each row execute function public.guard_owner();
create trigger team_members_keep before update on public.team_members
    for each row execute function public.keep_identity('team_id', 'user_id');
create trigger team_members_pass_on after delete on public.team_members
    for each row when (old.role = 'owner') execute function public.pass_ownership_on();
create trigger team_members_take_along after delete on public.team_members
    for each row execute function public.take_projects_along();
create trigger team_invitations_keep before update on public.team_invitations
    for each row execute function public.keep_identity('team_id', 'email', 'role', 'token_sha256');
create trigger project_privacy_settings_keep before update on public.project_privacy_settings
    for each row execute function public.keep_identity('project_id');
create trigger project_privacy_settings_stamp before insert or update on public.project_privacy_settings
    for each row execute function public.stamp_privacy_change();
create trigger project_teams_keep before update on public.project_teams
    for each row execute function public.keep_identity('project_id', 'team_id');
create trigger generation_collaborations_keep before update on public.generation_collaborations
    for each row execute function public.keep_identity('generation_id', 'user_id', 'kind');

-- ── Grants: the platform's default privileges opened everything to anon and authenticated; this closes it ────────────

revoke all on public.teams, public.team_members, public.team_invitations, public.project_privacy_settings,
    public.project_teams, public.generation_collaborations from public, anon, authenticated;

grant select, delete on public.teams, public.team_members, public.team_invitations, public.project_privacy_settings,
    public.project_teams, public.generation_collaborations to authenticated;
grant insert (id, name, slug, description, visibility, created_by) on public.teams to authenticated;
grant update (name, slug, description, visibility) on public.teams to authenticated;
grant update (role) on public.team_members to authenticated;
grant update (revoked_at) on public.team_invitations to authenticated;
-- An upsert writes its key too; keep_identity sees to it that it stays the same.
grant insert (project_id, visibility, allow_comments, allow_remix, updated_by),
    update (project_id, visibility, allow_comments, allow_remix, updated_by)
    on public.project_privacy_settings to authenticated;
grant insert (project_id, team_id, access, shared_by), update (project_id, team_id, access)
    on public.project_teams to authenticated;
grant insert (id, generation_id, team_id, user_id, kind, note), update (note)
    on public.generation_collaborations to authenticated;

revoke execute on function
    public.my_teams(text[]), public.team_role(uuid), public.is_team_member(uuid), public.my_shares(),
    public.project_access(uuid), public.may_collaborate(uuid, uuid, text), public.discover_teams(),
    public.shared_projects(), public.shared_generations(uuid), public.invite_to_team(uuid, text, text),
    public.accept_invitation(text), public.transfer_generation(uuid, uuid)
    from public, anon;
grant execute on function
    public.my_teams(text[]), public.team_role(uuid), public.is_team_member(uuid), public.my_shares(),
    public.project_access(uuid), public.may_collaborate(uuid, uuid, text), public.discover_teams(),
    public.shared_projects(), public.shared_generations(uuid), public.invite_to_team(uuid, text, text),
    public.accept_invitation(text), public.transfer_generation(uuid, uuid)
    to authenticated;
-- A trigger needs nobody's EXECUTE, and a refusal is explained by accept_invitation alone.
revoke execute on function
    public.belongs_to(public.generations, uuid), public.explain_refusal(bytea),
    public.make_creator_owner(), public.guard_owner(), public.pass_ownership_on(),
    public.take_projects_along(), public.keep_identity(), public.stamp_privacy_change()
    from public, anon, authenticated, service_role;

-- ── Row level security: `= any (array(select …))` is computed once a statement and can use an index ──────────────────

alter table public.teams enable row level security;
alter table public.team_members enable row level security;
alter table public.team_invitations enable row level security;
alter table public.project_privacy_settings enable row level security;
alter table public.project_teams enable row level security;
alter table public.generation_collaborations enable row level security;

-- The creator sees the team before the trigger has made them a member: INSERT … RETURNING looks that early.
create policy teams_are_seen_by_members on public.teams for select to authenticated
    using (created_by = (select auth.uid()) or id = any (array(select public.my_teams())));
create policy teams_are_created_in_ones_own_name on public.teams for insert to authenticated
    with check (created_by = (select auth.uid()));
create policy teams_are_changed_by_admins on public.teams for update to authenticated
    using (id = any (array(select public.my_teams('{owner,admin}'))));
create policy teams_are_deleted_by_their_owner on public.teams for delete to authenticated
    using (id = any (array(select public.my_teams('{owner}'))));

-- Nobody inserts here: a member comes in through accept_invitation(), the owner with the team.
create policy members_see_each_other on public.team_members for select to authenticated
    using (team_id = any (array(select public.my_teams())));
create policy members_get_roles_from_admins on public.team_members for update to authenticated
    using (team_id = any (array(select public.my_teams('{owner,admin}'))));
create policy members_leave_or_are_removed on public.team_members for delete to authenticated
    using (user_id = (select auth.uid()) or team_id = any (array(select public.my_teams('{owner,admin}'))));

-- Nobody inserts here either: invite_to_team() makes the token.
create policy invitations_are_seen_by_admins on public.team_invitations for select to authenticated
    using (team_id = any (array(select public.my_teams('{owner,admin}'))));
create policy invitations_are_withdrawn_by_admins on public.team_invitations for update to authenticated
    using (
        accepted_at is null and revoked_at is null
        and team_id = any (array(select public.my_teams('{owner,admin}')))
    )
    with check (revoked_at is not null);
create policy invitations_are_deleted_by_admins on public.team_invitations for delete to authenticated
    using (team_id = any (array(select public.my_teams('{owner,admin}'))));

create policy privacy_is_seen_by_who_sees_the_project on public.project_privacy_settings for select to authenticated
    using (
        project_id = any (array(select p.id from public.projects p where p.user_id = (select auth.uid())))
        or project_id = any (array(select s.project_id from public.my_shares() s))
    );
create policy privacy_is_set_by_the_projects_owner on public.project_privacy_settings for insert to authenticated
    with check (exists (select from public.projects p where p.id = project_id and p.user_id = (select auth.uid())));
create policy privacy_is_changed_by_the_projects_owner on public.project_privacy_settings for update to authenticated
    using (exists (select from public.projects p where p.id = project_id and p.user_id = (select auth.uid())));
create policy privacy_is_reset_by_the_projects_owner on public.project_privacy_settings for delete to authenticated
    using (exists (select from public.projects p where p.id = project_id and p.user_id = (select auth.uid())));

create policy shares_are_seen_by_both_sides on public.project_teams for select to authenticated
    using (
        team_id = any (array(select public.my_teams()))
        or project_id = any (array(select p.id from public.projects p where p.user_id = (select auth.uid())))
    );
create policy shares_are_made_by_editors_of_their_own on public.project_teams for insert to authenticated
    with check (
        shared_by = (select auth.uid())
        and team_id = any (array(select public.my_teams('{owner,admin,editor}')))
        and exists (select from public.projects p where p.id = project_id and p.user_id = (select auth.uid()))
    );
create policy shares_are_changed_by_the_projects_owner on public.project_teams for update to authenticated
    using (exists (select from public.projects p where p.id = project_id and p.user_id = (select auth.uid())));
create policy shares_are_ended_by_either_side on public.project_teams for delete to authenticated
    using (
        team_id = any (array(select public.my_teams('{owner,admin}')))
        or exists (select from public.projects p where p.id = project_id and p.user_id = (select auth.uid()))
    );

create policy collaborations_are_seen_by_who_is_concerned on public.generation_collaborations
    for select to authenticated
    using (
        user_id = (select auth.uid())
        or team_id = any (array(select public.my_teams()))
        or exists (select from public.generations g where g.id = generation_id and g.user_id = (select auth.uid()))
    );
create policy collaborations_are_recorded_in_ones_own_name on public.generation_collaborations
    for insert to authenticated
    with check (user_id = (select auth.uid()) and public.may_collaborate(generation_id, team_id, kind));
-- Transfers are history: nobody edits or deletes them.
create policy collaborations_are_reworded_by_their_author on public.generation_collaborations
    for update to authenticated
    using (user_id = (select auth.uid()) and kind <> 'transfer');
create policy collaborations_are_deleted_by_who_is_concerned on public.generation_collaborations
    for delete to authenticated
    using (
        kind <> 'transfer' and (
            user_id = (select auth.uid())
            or team_id = any (array(select public.my_teams('{owner,admin}')))
            or exists (select from public.generations g where g.id = generation_id and g.user_id = (select auth.uid()))
        )
    );

-- ── Foreign keys to tables in use, the most written one last; the new tables are empty, so nothing is scanned ────────

alter table public.teams
    add constraint teams_created_by_fkey foreign key (created_by) references public.users (id) on delete set null;
alter table public.team_members
    add constraint team_members_user_id_fkey foreign key (user_id) references public.users (id) on delete cascade;
alter table public.team_invitations
    add constraint team_invitations_invited_by_fkey
        foreign key (invited_by) references public.users (id) on delete set null,
    add constraint team_invitations_accepted_by_fkey
        foreign key (accepted_by) references public.users (id) on delete set null;
alter table public.project_privacy_settings
    add constraint project_privacy_settings_updated_by_fkey
        foreign key (updated_by) references public.users (id) on delete set null,
    add constraint project_privacy_settings_project_id_fkey
        foreign key (project_id) references public.projects (id) on delete cascade;
alter table public.project_teams
    add constraint project_teams_shared_by_fkey
        foreign key (shared_by) references public.users (id) on delete set null,
    add constraint project_teams_project_id_fkey
        foreign key (project_id) references public.projects (id) on delete cascade;
alter table public.generation_collaborations
    add constraint generation_collaborations_user_id_fkey
        foreign key (user_id) references public.users (id) on delete cascade,
    add constraint generation_collaborations_from_project_id_fkey
        foreign key (from_project_id) references public.projects (id) on delete set null,
    add constraint generation_collaborations_to_project_id_fkey
        foreign key (to_project_id) references public.projects (id) on delete set null,
    add constraint generation_collaborations_generation_id_fkey
        foreign key (generation_id) references public.generations (id) on delete cascade;

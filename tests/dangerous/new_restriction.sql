-- refused: new-restriction
alter table public.projects alter column description set not null;

-- refused: new-restriction
alter table public.projects add constraint named check (name <> '') not valid;

-- refused: new-restriction
alter table public.projects add constraint owned foreign key (user_id) references public.users (id) not valid;

-- refused: new-restriction
alter table public.projects add constraint one_name unique using index projects_name_idx;

-- refused: new-restriction
create unique index concurrently projects_name_idx on public.projects (name);

-- refused: new-restriction
alter table public.projects alter column created_at drop default;

-- refused: new-restriction
alter table public.projects add column kind text not null;

-- refused: new-restriction
alter table public.projects add column kind text default 'plain' unique;

-- refused: new-restriction
alter domain public.address add constraint filled check (value <> '') not valid;

-- refused: new-restriction
alter table public.projects add constraint described not null description not valid;

-- refused in a contract: constraint-missing-not-valid
alter table public.projects add constraint named check (name <> '');

-- refused in a contract: adding-foreign-key-constraint
alter table public.projects add constraint owned foreign key (user_id) references public.users (id);

-- refused in a contract: disallowed-unique-constraint
alter table public.projects add constraint one_name unique (name);

-- refused in a contract: adding-serial-primary-key-field
alter table public.projects add primary key (id);

-- refused in a contract: constraint-missing-not-valid
alter table public.projects add constraint apart exclude using gist (span with &&);

-- refused in a contract: constraint-missing-not-valid
alter table public.projects add constraint named check (name <> '') not valid;
alter table public.projects validate constraint named;

-- refused in a contract: ban-alter-domain-with-add-constraint
alter domain public.address add constraint filled check (value <> '');

-- refused in a contract: require-concurrent-index-creation
create unique index projects_name_idx on public.projects (name);

-- refused: require-concurrent-index-creation
create index projects_name_idx on public.projects (name);

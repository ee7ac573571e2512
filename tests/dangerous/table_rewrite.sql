-- refused: table-rewrite
alter table public.projects set logged;

-- refused: table-rewrite
alter table public.projects set unlogged;

-- refused: table-rewrite
alter table public.projects set tablespace fast;

-- refused: table-rewrite
alter index public.projects_pkey set tablespace fast;

-- refused: table-rewrite
alter table public.projects set access method heap;

-- refused: table-rewrite
alter table all in tablespace pg_default set tablespace fast;

-- refused: table-rewrite
alter table public.projects add column number bigserial;

-- refused: adding-field-with-default
alter table public.projects add column number bigint generated always as identity;

-- refused: adding-field-with-default
alter table public.projects add column slug text generated always as (lower(name)) stored;

-- refused: table-rewrite
alter table public.projects add column stars bigint check (stars >= 0);

-- refused: table-rewrite
alter table public.projects alter column slug set expression as (upper(name));

-- refused in a contract: adding-not-nullable-field
alter table public.projects alter column description set not null;

-- refused: adding-field-with-default
alter table public.projects add column token uuid default gen_random_uuid();

-- refused: adding-field-with-default
alter table public.projects add column seen timestamptz default clock_timestamp();

-- refused in a contract: changing-column-type
alter table public.projects alter column name type varchar(80);

-- refused: phase-mismatch
alter table public.projects alter column name type citext;

-- refused: outside-call
alter table public.projects add column colour text;
select pg_sleep(3);

-- refused: outside-call
select pg_catalog.pg_advisory_lock(1);

-- refused: outside-call
select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator';

-- refused: outside-call
do $$ begin perform pg_sleep(3); end $$;

-- refused: outside-call
do $$ begin perform set_config('lock_timeout', '0', true); end $$;

-- refused: outside-call
do $$ begin set local lock_timeout = 0; end $$;

-- refused: outside-call
do $$ begin update pg_settings set setting = '0' where name = 'lock_timeout'; end $$;

-- refused: outside-call
create function public.patient() returns int language sql set lock_timeout = 0 as $$ select 1 $$;
select public.patient();

-- refused: outside-call
do $$ begin perform pg_advisory_unlock_all(); end $$;

-- refused: outside-call
select lo_unlink(oid) from pg_largeobject_metadata;

-- refused: outside-call
copy public.projects from program 'cat /etc/passwd';

-- refused: outside-call
load 'auto_explain';

-- refused: outside-call
set local session_replication_role = replica;

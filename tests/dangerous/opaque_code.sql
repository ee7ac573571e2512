-- refused: opaque-code
do $$ begin execute format('drop table %I', 'projects'); end $$;

-- refused: opaque-code
do $$
declare
    found_table record;
begin
    for found_table in select tablename from pg_tables where schemaname = 'public' loop
        execute 'alter table public.' || found_table.tablename || ' enable row level security';
    end loop;
end
$$;

-- refused: opaque-code
do language plpython3u $$ plpy.execute('drop table projects') $$;

-- refused: opaque-code
create function public.everywhere(name text) returns void language plpgsql set search_path = '' as $$
begin
    execute 'grant select on public.' || name || ' to anon';
end
$$;
select public.everywhere('projects');

-- refused: phase-mismatch
do $$ begin execute 'drop table public.projects'; end $$;

-- refused: phase-mismatch
do $$ begin if exists (select from public.users) then alter table public.projects drop column description; end if; end $$;

-- refused: require-concurrent-index-creation
do $$ begin create index projects_name_idx on public.projects (name); end $$;

-- refused: constraint-missing-not-valid
do $$ begin alter table public.projects add constraint named check (name <> ''); exception when duplicate_object then null; end $$;

-- refused: opaque-code
create function public.wipe() returns setof int language plpgsql set search_path = '' as $$
begin
    return query execute format('delete from %I.%I returning 1', 'public', 'users');
end
$$;
select * from public.wipe();

-- refused: opaque-code
do $$ declare c refcursor; begin open c for execute format('select %s', 'pg_sleep(0)'); end $$;

-- refused: opaque-code
do $$ declare r record; begin for r in execute format('delete from %s returning 1', 'public.users') loop end loop; end $$;

-- refused: opaque-code
select query_to_xml('delete from ' || 'public.users', true, false, '');

-- refused: opaque-code
select dblink_exec('host=127.0.0.1', 'delete from users');

-- refused: opaque-code
create function public.outside() returns void language c as 'outside', 'run';
do $$ begin if public.outside() is null then null; end if; end $$;

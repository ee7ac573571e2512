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

-- refused: unbounded-write
update public.projects set name = trim(name);

-- refused: unbounded-write
update public.projects set description = '' where description is null;

-- refused: unbounded-write
update public.projects set name = lower(name) where true;

-- refused: unbounded-write
update public.generations g set project_id = p.id from public.projects p where p.user_id = g.user_id;

-- refused in a contract: unbounded-write
delete from public.generations;

-- refused in a contract: unbounded-write
delete from public.generations where created_at < now() - interval '1 year';

-- refused: unbounded-write
do $$ begin update public.projects set name = trim(name); end $$;

-- refused: unbounded-write
do $$ begin for counter in 1..3 loop update public.projects set name = trim(name); end loop; end $$;

-- refused: unbounded-write
create function public.tidy() returns void language plpgsql set search_path = '' as $$
begin
    update public.projects set name = trim(name);
end
$$;
select public.tidy();

-- refused: unbounded-write
with gone as (select id from public.users) update public.projects set name = '' where user_id in (select id from gone);

-- refused: unbounded-write
merge into public.projects p using public.users u on p.user_id = u.id when matched then update set name = u.email;

-- refused: phase-mismatch
delete from public.projects where id = '00000000-0000-0000-0000-000000000001';

-- refused: unbounded-write
with gone as (delete from public.generations returning id) select count(*) from gone;

-- refused: unbounded-write
explain analyze delete from public.generations;

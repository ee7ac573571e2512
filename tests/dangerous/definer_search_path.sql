-- refused: definer-search-path
create function public.whoami() returns uuid language sql security definer as $$ select auth.uid() $$;

-- refused: definer-search-path
create or replace function public.whoami() returns uuid language plpgsql security definer set search_path = "$user", public
as $$ begin return auth.uid(); end $$;

-- refused: definer-search-path
alter function public.handle_new_user() security definer;

-- refused: definer-search-path
alter function public.handle_new_user() reset search_path;

-- refused: definer-search-path
create procedure public.tidy() language sql security definer begin atomic; select 1; end;

-- refused: blocking-refresh
refresh materialized view public.popular;

-- refused: blocking-refresh
refresh materialized view public.popular with no data;

-- refused: blocking-refresh
do $$ begin refresh materialized view public.popular; end $$;

-- refused: attach-partition
alter table public.events attach partition public.events_2026 for values from ('2026-01-01') to ('2027-01-01');

-- refused: attach-partition
alter table public.events attach partition public.events_rest default;

-- refused in a contract: require-concurrent-partition-detach
alter table public.events detach partition public.events_2024;

-- refused: phase-mismatch
alter table public.events detach partition public.events_2024 concurrently;

-- refused: vacuum-full-or-cluster
vacuum full public.projects;

-- refused: vacuum-full-or-cluster
vacuum (full, analyze) public.projects;

-- refused: vacuum-full-or-cluster
vacuum full;

-- refused: vacuum-full-or-cluster
cluster public.projects using projects_pkey;

-- refused: vacuum-full-or-cluster
cluster;

-- refused: trigger-on-existing-table
create trigger projects_audit after update on public.projects for each row execute function public.audit();

-- refused: trigger-on-existing-table
create constraint trigger projects_audit after insert on public.projects
    deferrable initially deferred for each row execute function public.audit();

-- refused: trigger-on-existing-table
create or replace trigger projects_touch before update on public.projects for each row execute function public.touch();

-- refused: trigger-on-existing-table
create rule projects_keep as on delete to public.projects do instead nothing;

-- refused: trigger-on-existing-table
alter table public.projects enable trigger projects_audit;

-- refused: trigger-on-existing-table
create trigger on_auth_user_created after insert on auth.users for each row execute function public.welcome();

-- Runs: asked for by a person, or begun in Dagster.

create table public.runs (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null,
  pipeline_id uuid not null references public.pipelines (id),
  version integer,
  nodes_selected text[] check (cardinality(nodes_selected) > 0),
  status text not null default 'requested' check (
    status in ('requested', 'starting', 'running', 'succeeded', 'failed', 'cancelled')
  ),
  dagster_run_id text,
  progress jsonb not null default '{}' check (jsonb_typeof(progress) = 'object'),
  error jsonb,
  tags jsonb not null default '{}' check (jsonb_typeof(tags) = 'object'),
  requested_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- One run of Dagster may work on several pipelines.
  unique (dagster_run_id, pipeline_id)
);
comment on table public.runs is
  'Runs. Inserting one (pipeline_id, and if wanted nodes_selected and tags) asks for it.';
comment on column public.runs.nodes_selected is 'Ids of the nodes to run; null means all.';
comment on column public.runs.progress is 'By node: status, started_at, finished_at, rows, error.';
create index runs_pipeline on public.runs (pipeline_id, requested_at);
create index runs_owner on public.runs (owner);
create index runs_open on public.runs (requested_at)
  where status in ('requested', 'starting', 'running');

-- Runs with the rights of whoever writes, so that other people's pipelines look as if absent.
create function constellation.begin_run() returns trigger
language plpgsql set search_path = ''
as $$
declare
  pipeline record;
begin
  -- The lock waits for one who archives the pipeline at this moment.
  select p.owner, p.name, p.status, p.version into pipeline
  from public.pipelines p where p.id = new.pipeline_id for key share;
  if not found then
    raise exception 'there is no pipeline % of yours', new.pipeline_id
      using errcode = 'PT404', hint = 'Insert the pipeline first, or correct pipeline_id.';
  end if;
  new.owner := pipeline.owner;
  if new.dagster_run_id is not null then
    return new; -- it runs already, whatever is said here
  end if;
  if new.status <> 'requested' then
    raise exception 'a run of pipeline ''%'' cannot begin as %', pipeline.name, new.status
      using errcode = 'check_violation',
        hint = 'Insert it as requested, or with the dagster_run_id of the run that it tells of.';
  end if;
  if pipeline.status = 'archived'
    or (pipeline.status in ('draft', 'invalid') and pipeline.version is null) then
    raise exception 'pipeline ''%'' is %: it cannot run', pipeline.name, pipeline.status
      using errcode = 'check_violation',
        hint = case pipeline.status
          when 'invalid' then 'See its problems, save it without them and approve it again.'
          else 'Approve it first, with approve_pipeline.'
        end;
  end if;
  return new;
end
$$;

create trigger begin_run before insert on public.runs
  for each row execute function constellation.begin_run();

create function constellation.check_run() returns trigger
language plpgsql set search_path = ''
as $$
declare
  following text[];
begin
  if tg_op = 'UPDATE' then
    following := case old.status
      when 'requested' then array['starting', 'running', 'succeeded', 'failed', 'cancelled']
      when 'starting' then array['running', 'succeeded', 'failed', 'cancelled']
      when 'running' then array['succeeded', 'failed', 'cancelled']
      else array[]::text[]
    end;
    if new.status <> old.status and new.status <> all (following) then
      raise exception 'run % is %: it cannot become %', old.id, old.status, new.status
        using errcode = 'check_violation',
          hint = case
            when following = '{}' then 'It is over. Ask for another run.'
            else format('It can become: %s.', array_to_string(following, ', '))
          end;
    end if;
  end if;
  if new.status in ('starting', 'running') then
    new.started_at := coalesce(new.started_at, now());
  elsif new.status <> 'requested' then
    new.finished_at := coalesce(new.finished_at, now());
    -- No node of a run that is over still runs, whoever was killed before saying so.
    select coalesce(jsonb_object_agg(e.key, case e.value ->> 'status'
      when 'running' then e.value || jsonb_build_object(
        'status', 'failed',
        'error', 'The run ended before this node did.',
        'finished_at', new.finished_at
      )
      else e.value
    end), '{}') into new.progress from jsonb_each(new.progress) e;
  end if;
  return new;
end
$$;

create trigger check_run before insert or update on public.runs
  for each row execute function constellation.check_run();
create trigger touch before update on public.runs
  for each row when (old.* is distinct from new.*) execute function constellation.touch();

alter table public.runs enable row level security;
revoke all on table public.runs from public, anon, authenticated, service_role;
grant select, insert (id, pipeline_id, nodes_selected, tags) on table public.runs to authenticated;
grant select, insert, update, delete on table public.runs to service_role;
create policy read_own on public.runs for select to authenticated
  using (public.is_member(owner));
create policy insert_own on public.runs for insert to authenticated
  with check (public.is_member(owner));

-- What has run stays explainable: such a pipeline is archived, not deleted.
create function constellation.keep_pipeline_with_runs() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  all_runs bigint;
  open_runs bigint;
begin
  select count(*), count(*) filter (where r.status in ('requested', 'starting', 'running'))
  into all_runs, open_runs
  from public.runs r where r.pipeline_id = old.id;
  if all_runs > 0 then
    raise exception 'pipeline ''%'' cannot be deleted: it has % run(s), % of them unfinished',
      old.name, all_runs, open_runs
      using errcode = 'foreign_key_violation', hint = 'Archive it, with archive_pipeline.';
  end if;
  return old;
end
$$;

create trigger keep_pipeline_with_runs before delete on public.pipelines
  for each row execute function constellation.keep_pipeline_with_runs();

create function public.cancel_run(run uuid) returns void
language plpgsql security definer set search_path = ''
as $$
declare
  present record;
begin
  select r.owner, r.status, r.dagster_run_id into present
  from public.runs r where r.id = cancel_run.run for update;
  if not found or not constellation.may_act_for(present.owner) then
    raise exception 'there is no run % of yours', cancel_run.run using errcode = 'PT404';
  end if;
  if present.status = 'requested' and present.dagster_run_id is null then
    update public.runs set status = 'cancelled' where id = cancel_run.run;
  elsif present.status <> 'cancelled' then
    raise exception 'run % is %: it can no longer be cancelled here', cancel_run.run,
      case present.status when 'requested' then 'starting' else present.status end
      using errcode = 'check_violation',
        hint = case
          when present.status in ('succeeded', 'failed') then 'It is over.'
          else 'Terminate it in the Dagster UI.'
        end;
  end if;
end
$$;
comment on function public.cancel_run(uuid) is 'Cancels a run that has not been started yet.';
revoke all on function public.cancel_run(uuid) from public, anon, authenticated, service_role;
grant execute on function public.cancel_run(uuid) to authenticated, service_role;

create function public.run_progress(run uuid, node text, entry jsonb) returns void
language plpgsql security definer set search_path = ''
as $$
begin
  update public.runs r
  set progress = r.progress || jsonb_build_object(
    run_progress.node,
    coalesce(r.progress -> run_progress.node, '{}') || run_progress.entry
  )
  where r.id = run_progress.run;
  if not found then
    raise exception 'there is no run %', run_progress.run using errcode = 'PT404';
  end if;
end
$$;
comment on function public.run_progress(uuid, text, jsonb) is
  'Merges what is known of one node into the progress of a run.';
revoke all on function public.run_progress(uuid, text, jsonb)
  from public, anon, authenticated, service_role;
grant execute on function public.run_progress(uuid, text, jsonb) to service_role;

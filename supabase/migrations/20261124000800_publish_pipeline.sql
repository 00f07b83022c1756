-- From a draft to a version that runs: a person approves, the platform answers.

-- Locks a pipeline for the asking user, so that what follows is decided by one at a time.
create function constellation.hold_pipeline(pipeline uuid) returns public.pipelines
language plpgsql set search_path = ''
as $$
declare
  held public.pipelines;
begin
  select p.* into held from public.pipelines p where p.id = hold_pipeline.pipeline for update;
  if not found or not constellation.may_act_for(held.owner) then
    raise exception 'there is no pipeline % of yours', hold_pipeline.pipeline
      using errcode = 'PT404';
  end if;
  return held;
end
$$;

create function public.approve_pipeline(pipeline uuid) returns integer
language plpgsql security definer set search_path = ''
as $$
declare
  held constant public.pipelines := constellation.hold_pipeline(pipeline);
  draft constant jsonb := public.pipeline_spec(held.id);
  newest public.pipeline_versions;
begin
  select v.* into newest from public.pipeline_versions v
  where v.pipeline_id = held.id order by v.version desc limit 1;
  if newest.spec = draft then
    if newest.status = 'published' then
      return newest.version;
    end if;
    update public.pipeline_versions v set status = 'approved', problems = '[]'
    where v.id = newest.id and v.status <> 'approved';
  else
    insert into public.pipeline_versions (owner, pipeline_id, version, spec)
    values (held.owner, held.id, coalesce(newest.version, 0) + 1, draft)
    returning * into newest;
  end if;
  update public.pipelines p set status = 'approved', problems = '[]'
  where p.id = held.id and (p.status <> 'approved' or p.problems <> '[]');
  return newest.version;
end
$$;
comment on function public.approve_pipeline(uuid) is
  'Puts the draft up for publication as a new version; returns its number. An unchanged draft '
  'makes no new version.';

create function public.archive_pipeline(pipeline uuid) returns void
language plpgsql security definer set search_path = ''
as $$
declare
  held constant public.pipelines := constellation.hold_pipeline(pipeline);
begin
  update public.pipeline_versions v set status = 'superseded'
  where v.pipeline_id = held.id and v.status in ('approved', 'published');
  update public.pipelines p set status = 'archived', version = null, problems = '[]'
  where p.id = held.id and p.status <> 'archived';
  update public.runs r
  set status = 'cancelled', error = jsonb_build_object(
    'message', format('pipeline ''%s'' was archived before this run began', held.name)
  )
  where r.pipeline_id = held.id and r.status = 'requested' and r.dagster_run_id is null;
end
$$;
comment on function public.archive_pipeline(uuid) is
  'Takes a pipeline out of service; approve_pipeline brings it back. Runs that have not begun are '
  'cancelled.';

create function public.publish_result(
  pipeline uuid,
  version integer,
  ok boolean,
  problems jsonb default '[]',
  digest text default null,
  block_versions jsonb default null
) returns text
language plpgsql security definer set search_path = ''
as $$
declare
  held public.pipelines;
  told public.pipeline_versions;
  newest integer;
begin
  select p.* into held from public.pipelines p where p.id = publish_result.pipeline for update;
  if not found then
    return null; -- deleted meanwhile
  end if;
  select v.* into told from public.pipeline_versions v
  where v.pipeline_id = held.id and v.version = publish_result.version;
  if not found then
    raise exception 'pipeline ''%'' has no version %', held.name, publish_result.version
      using errcode = 'PT404';
  end if;
  if told.status = 'superseded' then
    return held.status; -- archived, or overtaken by a newer version, meanwhile
  end if;
  select max(v.version) into newest from public.pipeline_versions v
  where v.pipeline_id = held.id;

  if ok then
    update public.pipeline_versions v
    set status = 'published',
      problems = coalesce(publish_result.problems, '[]'),
      digest = publish_result.digest,
      block_versions = publish_result.block_versions,
      published_at = case v.status when 'published' then v.published_at else now() end
    where v.id = told.id;
    update public.pipeline_versions v set status = 'superseded'
    where v.pipeline_id = held.id and v.version < told.version
      and v.status in ('approved', 'published');
    held.version := told.version;
    if told.version = newest then
      held.status := 'published';
      held.problems := coalesce(publish_result.problems, '[]');
    end if;
  else
    update public.pipeline_versions v
    set status = 'invalid', problems = coalesce(publish_result.problems, '[]')
    where v.id = told.id;
    if held.version = told.version then
      held.version := null; -- what ran until now no longer can
    end if;
    if told.version = newest then
      if held.status = 'published' then
        update public.pipelines p set status = 'approved' where p.id = held.id;
      end if;
      held.status := 'invalid';
      held.problems := coalesce(publish_result.problems, '[]');
    end if;
  end if;

  update public.pipelines p
  set status = held.status, version = held.version, problems = held.problems
  where p.id = held.id
    and (p.status, p.version, p.problems) is distinct from
      (held.status, held.version, held.problems);
  if held.status = 'invalid' and held.version is null then
    update public.runs r
    set status = 'failed', error = jsonb_build_object(
      'message', format('pipeline ''%s'' is invalid: see its problems', held.name),
      'problems', held.problems
    )
    where r.pipeline_id = held.id and r.status = 'requested' and r.dagster_run_id is null;
  end if;
  return held.status;
end
$$;
comment on function public.publish_result(uuid, integer, boolean, jsonb, text, jsonb) is
  'The platform''s answer to an approved version: it is published, or invalid with its problems '
  'while an older one goes on serving. Returns the status of the pipeline, null if it is gone. '
  'Runs that wait for a pipeline without any valid version fail.';

revoke all on function public.approve_pipeline(uuid)
  from public, anon, authenticated, service_role;
revoke all on function public.archive_pipeline(uuid)
  from public, anon, authenticated, service_role;
revoke all on function public.publish_result(uuid, integer, boolean, jsonb, text, jsonb)
  from public, anon, authenticated, service_role;
grant execute on function public.approve_pipeline(uuid) to authenticated, service_role;
grant execute on function public.archive_pipeline(uuid) to authenticated, service_role;
grant execute on function public.publish_result(uuid, integer, boolean, jsonb, text, jsonb)
  to service_role;

-- PostgREST reads the schema again.
notify pgrst, 'reload schema';

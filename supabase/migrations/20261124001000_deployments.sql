-- Deployments: which package answers under which name, with how many replicas. People write what
-- they want; the reconciler makes it so and reports what is.

create table public.deployments (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null default auth.uid(),
  name text not null unique,
  package text not null,
  replicas integer not null default 1,
  runtime text not null default 'process',
  resources jsonb not null default '{}',
  env jsonb not null default '{}',
  batching jsonb not null default '{}',
  latency_budget_ms double precision,
  ready_timeout_s double precision not null default 60,
  canary jsonb,
  desired_state text not null default 'running',
  note text not null default '' check (length(note) <= 10000),
  expires_at timestamptz,
  epoch bigint not null default 0,
  status text not null default 'pending'
    check (status in ('pending', 'starting', 'healthy', 'degraded', 'stopped', 'failed')),
  url text,
  generation bigint not null default 1,
  observed_generation bigint not null default 0,
  observed jsonb not null default '{}' check (jsonb_typeof(observed) = 'object'),
  error jsonb check (jsonb_typeof(error) = 'object'),
  fence bigint not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.deployments is
  'Deployments. Inserting one (name, package) starts it, deleting it takes it away. Functions set '
  'status, url, what is observed, and error.';
comment on column public.deployments.package is 'As name@version or name@alias.';
comment on column public.deployments.resources is 'Of each replica: {"cpu": 0.5, "memory_mb": 512}.';
comment on column public.deployments.env is
  'Variables for the model''s code. Secrets are set with set_deployment_secret instead.';
comment on column public.deployments.batching is
  'Most rows at a time, how long a row may wait for others, how many requests may wait: '
  '{"size": 64, "delay_ms": 0, "queue": 1024}.';
comment on column public.deployments.latency_budget_ms is
  'What 99 of 100 requests must stay below.';
comment on column public.deployments.ready_timeout_s is
  'A new replica that is not ready after so many seconds makes its generation fail.';
comment on column public.deployments.canary is
  'A package on trial, with its part of the traffic: {"package": "penguins@2", "percent": 10}.';
comment on column public.deployments.note is 'Why it is as it is.';
comment on column public.deployments.expires_at is 'When it is deleted by itself; null is never.';
comment on column public.deployments.epoch is
  'Counts changed secrets and restarts: each makes new replicas.';
comment on column public.deployments.generation is 'Counts changes of what is wanted.';
comment on column public.deployments.observed_generation is
  'The generation that status, observed and error are about.';
comment on column public.deployments.fence is
  'Token of the last writer''s lock; one with a smaller token is refused.';
create index deployments_owner on public.deployments (owner);
create index deployments_package on public.deployments (split_part(package, '@', 1));
create index deployments_expiring on public.deployments (expires_at) where expires_at is not null;

create table public.deployment_revisions (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null,
  deployment_id uuid not null references public.deployments (id) on delete cascade,
  revision integer not null check (revision > 0),
  generation bigint not null,
  spec jsonb not null check (jsonb_typeof(spec) = 'object'),
  note text not null default '',
  created_at timestamptz not null default now(),
  unique (deployment_id, revision)
);
comment on table public.deployment_revisions is
  'What each deployment was when it was healthy, with its package resolved; rollback_deployment '
  'goes back to the previous one.';
create index deployment_revisions_package on public.deployment_revisions ((spec ->> 'package'));

-- Only the platform reads it.
create table public.deployment_secrets (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null,
  deployment_id uuid not null references public.deployments (id) on delete cascade,
  name text not null check (name ~ '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$'),
  value text not null check (length(value) <= 65536),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (deployment_id, name)
);
comment on table public.deployment_secrets is
  'Secrets of deployments, which their replicas find as files. Set with set_deployment_secret; '
  'nobody but the platform can read them.';

-- A reference to one of an owner's packages, resolved. Other people's look as if absent.
create function public.resolve_package(ref text, owner uuid) returns table (
  package text, status text, digest text, image text, problems jsonb
)
language sql stable security definer set search_path = ''
as $$
  select p.name || '@' || p.version, p.status, p.digest, p.image, p.problems
  from public.model_packages p
  where p.owner = resolve_package.owner and p.name = split_part(ref, '@', 1)
    and p.version = coalesce(
      (
        select a.version from public.model_aliases a
        where a.name = p.name and a.alias = split_part(ref, '@', 2)
      ),
      split_part(ref, '@', 2)
    )
$$;
comment on function public.resolve_package(text, uuid) is
  'What name@version or name@alias stands for now, among the packages of an owner.';
revoke all on function public.resolve_package(text, uuid)
  from public, anon, authenticated, service_role;
grant execute on function public.resolve_package(text, uuid) to service_role;

-- All that is wrong with a reference to a package; empty when nothing is.
create function constellation.package_problems(what text, ref text, owner uuid) returns text[]
language plpgsql stable security definer set search_path = ''
as $$
declare
  found_status text;
begin
  if ref is null or ref !~ '^[a-z][a-z0-9_]{0,62}@[0-9A-Za-z][0-9A-Za-z._-]{0,62}$' then
    return array[format('%s: %L names no package, write name@version or name@alias', what, ref)];
  end if;
  select r.status into found_status
  from public.resolve_package(ref, package_problems.owner) r;
  if not found then
    return array[format('%s: there is no package ''%s'' of yours, see `constellation '
      'model list`', what, ref)];
  end if;
  if found_status = 'rejected' then
    return array[format('%s: package ''%s'' is rejected, see its problems', what, ref)];
  end if;
  return '{}';
end
$$;

-- All that is wrong with a JSON object of numbers.
create function constellation.number_problems(
  what text, given jsonb, known text[], lowest double precision[],
  highest double precision[], whole boolean[]
) returns text[]
language plpgsql immutable set search_path = ''
as $$
declare
  problems text[] := '{}';
  field record;
  n integer;
begin
  if jsonb_typeof(given) is distinct from 'object' then
    return array[format('%s is an object of %s', what, array_to_string(known, ', '))];
  end if;
  for field in select e.key, e.value from jsonb_each(given) e order by e.key loop
    n := array_position(known, field.key);
    if n is null then
      problems := problems || format('%s has no %L, only %s', what, field.key,
        array_to_string(known, ', '));
    elsif jsonb_typeof(field.value) <> 'null' and (
      jsonb_typeof(field.value) <> 'number'
      or (field.value::text)::double precision not between lowest[n] and highest[n]
      or (whole[n] and (field.value::text)::numeric % 1 <> 0)
    ) then
      problems := problems || format('%s.%s is a %snumber from %s to %s', what, field.key,
        case when whole[n] then 'whole ' else '' end, lowest[n], highest[n]);
    end if;
  end loop;
  return problems;
end
$$;

create function constellation.deployment_problems(d public.deployments) returns text[]
language plpgsql stable security definer set search_path = ''
as $$
declare
  problems text[] := '{}';
  reserved text;
begin
  if d.name !~ '^[a-z][a-z0-9_]{0,62}$' then
    problems := problems
      || text 'name begins with a lower-case letter; at most 62 more, digits or ''_'' follow';
  end if;
  problems := problems || constellation.package_problems('package', d.package, d.owner);
  if d.replicas not between 0 and 16 then
    problems := problems || text 'replicas is a number from 0 to 16';
  end if;
  if d.runtime not in ('process', 'docker') then
    problems := problems || text 'runtime is process or docker';
  end if;
  if d.desired_state not in ('running', 'stopped') then
    problems := problems || text 'desired_state is running or stopped';
  end if;
  if d.runtime = 'process' and d.resources ->> 'cpu' is not null then
    problems := problems || text 'resources.cpu: the runtime process cannot limit processors, '
      'leave it out or use the runtime docker';
  end if;
  problems := problems
    || constellation.number_problems('resources', d.resources,
      '{cpu,memory_mb}', '{0.01,32}', '{64,1048576}', '{f,t}')
    || constellation.number_problems('batching', d.batching,
      '{size,delay_ms,queue}', '{1,0,1}', '{4096,1000,100000}', '{t,f,t}');
  if jsonb_typeof(d.env) is distinct from 'object' then
    problems := problems || text 'env is an object of texts';
  else
    select problems || coalesce(array_agg(format('env.%s is a text under a name of letters, '
      'digits and ''_''', e.key) order by e.key), '{}') into problems
    from jsonb_each(d.env) e
    where e.key !~ '^[A-Za-z_][A-Za-z0-9_]{0,99}$' or jsonb_typeof(e.value) <> 'string'
      or length(e.value #>> '{}') > 32768;
    -- They would change what runs, instead of what it works with.
    select string_agg(e.key, ', ' order by e.key) into reserved from jsonb_each(d.env) e
    where upper(e.key) ~ '^(CONSTELLATION_|LD_|DYLD_|PYTHON|MALLOC_|GLIBC_)'
      or upper(e.key) in ('PATH', 'HOME', 'IFS', 'ENV', 'BASH_ENV', 'SHELL');
    if reserved is not null then
      problems := problems || format('env cannot set %s', reserved);
    end if;
  end if;
  if d.latency_budget_ms is not null and not d.latency_budget_ms > 0 then
    problems := problems || text 'latency_budget_ms is a number above 0';
  end if;
  if not (d.ready_timeout_s > 0 and d.ready_timeout_s <= 600) then
    problems := problems || text 'ready_timeout_s is a number above 0, up to 600';
  end if;
  if d.canary is not null then
    if jsonb_typeof(d.canary) <> 'object'
      or d.canary - array['package', 'percent'] <> '{}'
      or jsonb_typeof(d.canary -> 'package') is distinct from 'string'
      or coalesce(d.canary ->> 'percent', '') !~ '^[1-9][0-9]?$' then
      problems := problems
        || text 'canary is {"package": name@version, "percent": a number from 1 to 99}';
    else
      problems := problems
        || constellation.package_problems('canary', d.canary ->> 'package', d.owner);
      if d.canary ->> 'package' = d.package then
        problems := problems || format('canary: ''%s'' is the package that it is deployed with',
          d.package);
      end if;
    end if;
  end if;
  return problems;
end
$$;

-- Sees everybody's rows: names are unique in the installation.
create function constellation.check_deployment() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  problems text[];
  following text[];
  renewed boolean := true;
begin
  if new.owner is null then
    raise exception 'deployment ''%'' needs an owner', new.name using errcode = 'not_null_violation';
  end if;
  -- What one row of several leaves out arrives as null over REST.
  new.resources := coalesce(new.resources, '{}');
  new.env := coalesce(new.env, '{}');
  new.batching := coalesce(new.batching, '{}');
  new.replicas := coalesce(new.replicas, 1);
  new.runtime := coalesce(new.runtime, 'process');
  new.desired_state := coalesce(new.desired_state, 'running');
  new.ready_timeout_s := coalesce(new.ready_timeout_s, 60);
  new.note := coalesce(new.note, '');
  if new.canary = 'null' then
    new.canary := null;
  end if;
  if tg_op = 'UPDATE' then
    if (new.id, new.owner, new.name) is distinct from (old.id, old.owner, old.name) then
      raise exception 'deployment ''%'' keeps its owner and name', old.name
        using errcode = 'check_violation',
          hint = 'Its address bears its name. Deploy under the other name and delete this one.';
    end if;
    renewed := (
      new.package, new.replicas, new.runtime, new.resources, new.env, new.batching,
      new.latency_budget_ms, new.ready_timeout_s, new.canary, new.desired_state, new.epoch
    ) is distinct from (
      old.package, old.replicas, old.runtime, old.resources, old.env, old.batching,
      old.latency_budget_ms, old.ready_timeout_s, old.canary, old.desired_state, old.epoch
    );
    following := case old.status
      when 'pending' then array['starting', 'stopped', 'failed']
      when 'starting' then array['healthy', 'degraded', 'stopped', 'failed']
      when 'healthy' then array['starting', 'degraded', 'stopped', 'failed']
      when 'degraded' then array['starting', 'healthy', 'stopped', 'failed']
      when 'stopped' then array['starting', 'failed']
      when 'failed' then array['starting', 'stopped']
    end;
    if new.status <> old.status and new.status <> all (following) then
      raise exception 'deployment ''%'' is %: it cannot become %', old.name, old.status, new.status
        using errcode = 'check_violation',
          hint = format('It can become: %s.', array_to_string(following, ', '));
    end if;
    if renewed then
      new.generation := old.generation + 1;
    end if;
  elsif new.status <> 'pending' or new.observed_generation <> 0 or new.generation <> 1 then
    raise exception 'deployment ''%'' cannot begin as %', new.name, new.status
      using errcode = 'check_violation', hint = 'Insert it as pending.';
  end if;
  if renewed then
    problems := constellation.deployment_problems(new);
    if problems <> '{}' then
      raise exception 'deployment ''%'' is refused:%', new.name,
        E'\n- ' || array_to_string(problems, E'\n- ')
        using errcode = 'check_violation';
    end if;
    -- Whoever deletes one of its packages at this moment waits, and is then refused.
    perform from public.model_packages p
    where p.name in (split_part(new.package, '@', 1), split_part(new.canary ->> 'package', '@', 1))
    for key share;
  end if;
  return new;
end
$$;

create function constellation.take_deployment_name() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if exists (
    select from public.deployments d where d.name = new.name and d.owner <> new.owner
  ) then
    raise exception 'deployment name ''%'' is taken by somebody else', new.name
      using errcode = 'unique_violation', hint = 'Choose another name.';
  end if;
  return new;
end
$$;

create trigger check_deployment before insert or update on public.deployments
  for each row execute function constellation.check_deployment();
create trigger take_name before insert on public.deployments
  for each row execute function constellation.take_deployment_name();
create trigger touch before update on public.deployments
  for each row when (old.* is distinct from new.*) execute function constellation.touch();
create trigger touch before update on public.deployment_secrets
  for each row when (old.* is distinct from new.*) execute function constellation.touch();

-- What is observed changes often and wakes nobody.
create trigger record_change after insert or delete on public.deployments
  for each row execute function constellation.record_change();
create trigger record_changed after update on public.deployments
  for each row when (
    (old.generation, old.observed_generation, old.status, old.url, old.expires_at)
      is distinct from
      (new.generation, new.observed_generation, new.status, new.url, new.expires_at)
  ) execute function constellation.record_change();
create trigger record_audit after insert or update or delete on public.deployments
  for each row execute function constellation.record_audit('observed', 'fence');
create trigger record_audit after insert or update or delete on public.deployment_revisions
  for each row execute function constellation.record_audit();
create trigger record_audit after insert or update or delete on public.deployment_secrets
  for each row execute function constellation.record_audit('value');

-- A deployment by alias has another package as soon as the alias points to one.
create function constellation.follow_alias() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if tg_op = 'INSERT' or new.version <> old.version then
    update public.deployments d set generation = d.generation + 1
    where new.name || '@' || new.alias in (d.package, d.canary ->> 'package');
  end if;
  return null;
end
$$;

create trigger follow_alias after insert or update on public.model_aliases
  for each row execute function constellation.follow_alias();

create function constellation.keep_deployed_alias() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  users text;
begin
  select string_agg(d.name, ', ' order by d.name) into users from public.deployments d
  where old.name || '@' || old.alias in (d.package, d.canary ->> 'package');
  if users is not null then
    raise exception 'alias ''%@%'' cannot be deleted: deployments follow it: %', old.name,
      old.alias, users
      using errcode = 'foreign_key_violation',
        hint = 'Deploy these with a version or another alias first, or delete them.';
  end if;
  return old;
end
$$;

create trigger keep_deployed before delete on public.model_aliases
  for each row execute function constellation.keep_deployed_alias();

-- In use is what a deployment asks for, and what it would go back to.
create function constellation.keep_deployed_package() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  ref constant text := old.name || '@' || old.version;
  users text;
begin
  select string_agg(d.name, ', ' order by d.name) into users
  from public.deployments d
  where ref in (d.package, d.canary ->> 'package')
    or exists (
      select from public.model_aliases a
      where a.name = old.name and a.version = old.version
        and a.name || '@' || a.alias in (d.package, d.canary ->> 'package')
    )
    or ref = (
      select r.spec ->> 'package' from public.deployment_revisions r
      where r.deployment_id = d.id order by r.revision desc limit 1
    );
  if users is not null then
    raise exception 'package ''%'' cannot be deleted: it is used by deployments: %', ref, users
      using errcode = 'foreign_key_violation',
        hint = 'Deploy another version under these names, or delete them, first.';
  end if;
  return old;
end
$$;

create trigger keep_deployed before delete on public.model_packages
  for each row execute function constellation.keep_deployed_package();

-- A deployment of the asking person, or of anybody for the platform; locked.
create function constellation.own_deployment(deployment uuid) returns public.deployments
language plpgsql security definer set search_path = ''
as $$
declare
  present public.deployments;
begin
  select d.* into present from public.deployments d
  where d.id = own_deployment.deployment for update;
  if not found or not constellation.may_act_for(present.owner) then
    raise exception 'there is no deployment % of yours', own_deployment.deployment
      using errcode = 'PT404';
  end if;
  return present;
end
$$;

create function public.set_deployment_secret(deployment uuid, name text, value text) returns void
language plpgsql security definer set search_path = ''
as $$
declare
  present constant public.deployments := constellation.own_deployment(deployment);
begin
  if name !~ '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$' then
    raise exception 'a secret cannot be named ''%''', name
      using errcode = 'check_violation',
        hint = 'It is the name of a file: letters, digits, ''_'', ''.'' and ''-''.';
  end if;
  if length(value) > 65536 then
    raise exception 'secret ''%'' is longer than 65536 characters', name
      using errcode = 'check_violation';
  end if;
  if value is null then
    delete from public.deployment_secrets s
    where s.deployment_id = present.id and s.name = set_deployment_secret.name;
  else
    insert into public.deployment_secrets as s (owner, deployment_id, name, value)
    values (
      present.owner, present.id, set_deployment_secret.name, set_deployment_secret.value
    )
    on conflict on constraint deployment_secrets_deployment_id_name_key
    do update set value = excluded.value where s.value <> excluded.value;
  end if;
  if found then
    update public.deployments d set epoch = d.epoch + 1 where d.id = present.id;
  end if;
end
$$;
comment on function public.set_deployment_secret(uuid, text, text) is
  'Gives the replicas of a deployment a secret, as a file in CONSTELLATION_SECRETS_DIR; null takes '
  'it away. New replicas replace those that have the old one.';

create function public.restart_deployment(deployment uuid) returns void
language plpgsql security definer set search_path = ''
as $$
declare
  present constant public.deployments := constellation.own_deployment(deployment);
begin
  if present.desired_state <> 'running' then
    raise exception 'deployment ''%'' is stopped', present.name
      using errcode = 'check_violation', hint = 'Start it instead.';
  end if;
  update public.deployments d set epoch = d.epoch + 1 where d.id = present.id;
end
$$;
comment on function public.restart_deployment(uuid) is
  'Replaces all replicas by new ones; tries again what has failed.';

create function public.rollback_deployment(deployment uuid) returns text
language plpgsql security definer set search_path = ''
as $$
declare
  present constant public.deployments := constellation.own_deployment(deployment);
  target public.deployment_revisions;
begin
  if present.canary is not null then
    update public.deployments d
    set canary = null, note = format('The canary %s was ended.', present.canary ->> 'package')
    where d.id = present.id;
    return format('the canary %s is ended', present.canary ->> 'package');
  end if;
  -- The last revision is what runs, unless something newer is wanted and not healthy yet.
  select r.* into target from public.deployment_revisions r
  where r.deployment_id = present.id
  order by r.revision desc
  limit 1 offset case
    when present.status = 'failed' or present.generation <> present.observed_generation then 0
    else 1
  end;
  if not found then
    raise exception 'deployment ''%'' has nothing to go back to', present.name
      using errcode = 'check_violation',
        hint = 'There is no earlier revision in which it was healthy.';
  end if;
  update public.deployments d
  set package = target.spec ->> 'package',
    replicas = (target.spec ->> 'replicas')::integer,
    runtime = target.spec ->> 'runtime',
    resources = target.spec -> 'resources',
    env = target.spec -> 'env',
    batching = target.spec -> 'batching',
    latency_budget_ms = (target.spec ->> 'latency_budget_ms')::double precision,
    ready_timeout_s = (target.spec ->> 'ready_timeout_s')::double precision,
    note = format('Rolled back to revision %s.', target.revision)
  where d.id = present.id;
  return format('back to revision %s, package %s', target.revision, target.spec ->> 'package');
end
$$;
comment on function public.rollback_deployment(uuid) is
  'Ends the canary, if there is one; else makes a deployment what it was when it was healthy last.';

create function public.promote_canary(
  deployment uuid, note text default null, generation bigint default null
) returns text
language plpgsql security definer set search_path = ''
as $$
declare
  present constant public.deployments := constellation.own_deployment(deployment);
  promoted text;
begin
  if present.generation <> promote_canary.generation then
    return null; -- the verdict is about something else than what is wanted now
  end if;
  if present.canary is null then
    raise exception 'deployment ''%'' has no canary', present.name
      using errcode = 'check_violation',
        hint = 'Begin one: `constellation deploy NAME@VERSION --name … --canary PERCENT`.';
  end if;
  select r.package into promoted
  from public.resolve_package(present.canary ->> 'package', present.owner) r;
  update public.deployments d
  set package = coalesce(promoted, present.canary ->> 'package'),
    canary = null,
    note = coalesce(promote_canary.note, format('The canary %s was promoted.', promoted))
  where d.id = present.id;
  return promoted;
end
$$;
comment on function public.promote_canary(uuid, text, bigint) is
  'Makes the package on trial the one that is deployed. With a generation it does nothing once '
  'another one is wanted.';

create function public.end_canary(deployment uuid, reason text, generation bigint) returns boolean
language plpgsql security definer set search_path = ''
as $$
begin
  update public.deployments d
  set canary = null,
    note = end_canary.reason,
    error = jsonb_build_object(
      'code', 'canary_rolled_back', 'message', end_canary.reason, 'generation', d.generation + 1
    )
  where d.id = end_canary.deployment and d.canary is not null
    and d.generation = end_canary.generation;
  return found;
end
$$;
comment on function public.end_canary(uuid, text, bigint) is
  'Takes a canary back and says why, unless something else is wanted by now.';

create function public.report_deployment(deployment uuid, fence bigint, report jsonb)
returns boolean
language plpgsql security definer set search_path = ''
as $$
declare
  present public.deployments;
  last_spec jsonb;
  last_revision integer;
begin
  select d.* into present from public.deployments d
  where d.id = report_deployment.deployment for update;
  if not found then
    return false;
  end if;
  if report_deployment.fence < present.fence then
    raise exception 'deployment ''%'' is in newer hands: token % is older than %', present.name,
      report_deployment.fence, present.fence
      using errcode = 'PT409', hint = 'Somebody else has taken the lock meanwhile. Leave it alone.';
  end if;
  update public.deployments d
  set fence = report_deployment.fence,
    status = coalesce(report ->> 'status', d.status),
    observed_generation = coalesce((report ->> 'generation')::bigint, d.observed_generation),
    observed = coalesce(report -> 'observed', d.observed),
    url = coalesce(report ->> 'url', d.url),
    error = case when report ? 'error' then nullif(report -> 'error', 'null') else d.error end
  where d.id = present.id;
  if jsonb_typeof(report -> 'revision') = 'object' then
    select r.spec, r.revision into last_spec, last_revision
    from public.deployment_revisions r
    where r.deployment_id = present.id order by r.revision desc limit 1;
    if last_spec is distinct from report -> 'revision' then
      insert into public.deployment_revisions
        (owner, deployment_id, revision, generation, spec, note)
      values (
        present.owner, present.id, coalesce(last_revision, 0) + 1,
        coalesce((report ->> 'generation')::bigint, present.generation), report -> 'revision',
        present.note
      );
    end if;
  end if;
  return true;
end
$$;
comment on function public.report_deployment(uuid, bigint, jsonb) is
  'Writes what is observed of a deployment: {status, generation, observed, url, error, revision}; '
  'what is left out stays. Returns whether the deployment is still there.';

-- They see everybody's rows.
revoke all on function constellation.package_problems(text, text, uuid) from public;
revoke all on function constellation.deployment_problems(public.deployments) from public;
revoke all on function constellation.own_deployment(uuid) from public;
revoke all on function public.set_deployment_secret(uuid, text, text)
  from public, anon, authenticated, service_role;
revoke all on function public.restart_deployment(uuid)
  from public, anon, authenticated, service_role;
revoke all on function public.rollback_deployment(uuid)
  from public, anon, authenticated, service_role;
revoke all on function public.promote_canary(uuid, text, bigint)
  from public, anon, authenticated, service_role;
revoke all on function public.end_canary(uuid, text, bigint)
  from public, anon, authenticated, service_role;
revoke all on function public.report_deployment(uuid, bigint, jsonb)
  from public, anon, authenticated, service_role;
grant execute on function public.set_deployment_secret(uuid, text, text)
  to authenticated, service_role;
grant execute on function public.restart_deployment(uuid) to authenticated, service_role;
grant execute on function public.rollback_deployment(uuid) to authenticated, service_role;
grant execute on function public.promote_canary(uuid, text, bigint) to authenticated, service_role;
grant execute on function public.end_canary(uuid, text, bigint) to service_role;
grant execute on function public.report_deployment(uuid, bigint, jsonb) to service_role;

alter table public.deployments enable row level security;
revoke all on table public.deployments from public, anon, authenticated, service_role;
grant
  select, delete,
  insert (
    id, name, package, replicas, runtime, resources, env, batching, latency_budget_ms,
    ready_timeout_s, canary, desired_state, note, expires_at
  ),
  update (
    package, replicas, runtime, resources, env, batching, latency_budget_ms, ready_timeout_s,
    canary, desired_state, note, expires_at
  )
  on table public.deployments to authenticated;
grant select, insert, update, delete on table public.deployments to service_role;
create policy read_own on public.deployments for select to authenticated
  using (public.is_member(owner));
create policy insert_own on public.deployments for insert to authenticated
  with check (public.is_member(owner));
create policy update_own on public.deployments for update to authenticated
  using (public.is_member(owner)) with check (public.is_member(owner));
create policy delete_own on public.deployments for delete to authenticated
  using (public.is_member(owner));

alter table public.deployment_revisions enable row level security;
revoke all on table public.deployment_revisions from public, anon, authenticated, service_role;
grant select on table public.deployment_revisions to authenticated, service_role;
create policy read_own on public.deployment_revisions for select to authenticated
  using (public.is_member(owner));

alter table public.deployment_secrets enable row level security;
revoke all on table public.deployment_secrets from public, anon, authenticated, service_role;
grant select on table public.deployment_secrets to service_role;

-- PostgREST reads the schema again.
notify pgrst, 'reload schema';

-- Pipelines as their owners draw them, and the snapshots that are run.

create table public.pipelines (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null default auth.uid(),
  name text not null unique check (length(name) between 1 and 200),
  description text not null default '',
  tags jsonb not null default '{}' check (jsonb_typeof(tags) = 'object'),
  schedule jsonb check (jsonb_typeof(schedule) = 'object'),
  status text not null default 'draft'
    check (status in ('draft', 'approved', 'published', 'invalid', 'archived')),
  version integer,
  problems jsonb not null default '[]' check (jsonb_typeof(problems) = 'array'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.pipelines is
  'A pipeline and its draft. Functions set status, version (the published one) and problems.';
create index pipelines_owner on public.pipelines (owner);

-- Names of nodes and edges are deliberately free and may double: the compiler reports all that is
-- wrong with a pipeline at once.
create table public.nodes (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null,
  pipeline_id uuid not null references public.pipelines (id) on delete cascade,
  node text not null,
  block text not null,
  config jsonb not null default '{}' check (jsonb_typeof(config) = 'object'),
  retries integer not null default 0 check (retries between 0 and 10),
  position jsonb check (
    jsonb_typeof(position) = 'object'
    and jsonb_typeof(position -> 'x') = 'number' and jsonb_typeof(position -> 'y') = 'number'
  ),
  ordinal integer not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.nodes is 'Nodes of drafts.';
comment on column public.nodes.position is 'Where an editor shows it: {"x": 1, "y": 2}.';
comment on column public.nodes.ordinal is 'Order in the pipeline; the last one when not given.';
create index nodes_pipeline on public.nodes (pipeline_id, ordinal);

create table public.edges (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null,
  pipeline_id uuid not null references public.pipelines (id) on delete cascade,
  source text not null,
  target text not null,
  position integer not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.edges is 'Edges of drafts, from "node.port" to "node.port".';
comment on column public.edges.position is
  'Order in the pipeline, and so into a port that takes several; the last one when not given.';
create index edges_pipeline on public.edges (pipeline_id, position);

create table public.pipeline_versions (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null,
  pipeline_id uuid not null references public.pipelines (id) on delete cascade,
  version integer not null check (version > 0),
  spec jsonb not null,
  status text not null default 'approved'
    check (status in ('approved', 'published', 'invalid', 'superseded')),
  problems jsonb not null default '[]' check (jsonb_typeof(problems) = 'array'),
  digest text,
  block_versions jsonb,
  published_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (pipeline_id, version)
);
comment on table public.pipeline_versions is
  'Snapshots of pipelines. Only functions write them, and a specification never changes.';

create function constellation.check_pipeline() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  following text[];
begin
  if tg_op = 'INSERT' then
    if new.status <> 'draft' or new.version is not null then
      raise exception 'pipeline ''%'' cannot begin as %', new.name, new.status
        using errcode = 'check_violation', hint = 'Insert a draft, then call approve_pipeline.';
    end if;
    return new;
  end if;
  if new.name <> old.name
    and exists (select from public.pipeline_versions where pipeline_id = old.id) then
    raise exception 'pipeline ''%'' cannot be renamed to ''%'': it has been approved before',
      old.name, new.name
      using errcode = 'check_violation',
        hint = 'Its assets and runs bear its name. Save a new pipeline and archive this one.';
  end if;
  following := case old.status
    when 'draft' then array['approved', 'archived']
    when 'approved' then array['published', 'invalid', 'archived']
    when 'published' then array['approved', 'archived']
    when 'invalid' then array['approved', 'archived']
    when 'archived' then array['approved']
  end;
  if new.status <> old.status and new.status <> all (following) then
    raise exception 'pipeline ''%'' is %: it cannot become %', old.name, old.status, new.status
      using errcode = 'check_violation',
        hint = format('It can become: %s.', array_to_string(following, ', '));
  end if;
  return new;
end
$$;

create trigger check_pipeline before insert or update on public.pipelines
  for each row execute function constellation.check_pipeline();

-- Runs with the rights of whoever writes, so that other people's pipelines look as if absent.
create function constellation.join_pipeline() returns trigger
language plpgsql set search_path = ''
as $$
begin
  select p.owner into new.owner from public.pipelines p where p.id = new.pipeline_id;
  if not found then
    raise exception 'there is no pipeline % of yours', new.pipeline_id
      using errcode = 'PT404', hint = 'Insert the pipeline first, or correct pipeline_id.';
  end if;
  return new;
end
$$;

-- Rows of one insert share their columns over REST: what one of them leaves out arrives as null.
create function constellation.fill_node() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.config := coalesce(new.config, '{}');
  new.retries := coalesce(new.retries, 0);
  return new;
end
$$;

create function constellation.append_node() returns trigger
language plpgsql set search_path = ''
as $$
begin
  select coalesce(max(n.ordinal) + 1, 0) into new.ordinal
  from public.nodes n where n.pipeline_id = new.pipeline_id;
  return new;
end
$$;

create function constellation.append_edge() returns trigger
language plpgsql set search_path = ''
as $$
begin
  select coalesce(max(e.position) + 1, 0) into new.position
  from public.edges e where e.pipeline_id = new.pipeline_id;
  return new;
end
$$;

create trigger join_pipeline before insert or update of pipeline_id, owner on public.nodes
  for each row execute function constellation.join_pipeline();
create trigger join_pipeline before insert or update of pipeline_id, owner on public.edges
  for each row execute function constellation.join_pipeline();
create trigger fill before insert or update on public.nodes
  for each row execute function constellation.fill_node();
create trigger append before insert on public.nodes
  for each row when (new.ordinal is null) execute function constellation.append_node();
create trigger append before insert on public.edges
  for each row when (new.position is null) execute function constellation.append_edge();

create function constellation.keep_version() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if (new.pipeline_id, new.version, new.spec) is distinct from
    (old.pipeline_id, old.version, old.spec) then
    raise exception 'version % of a pipeline never changes', old.version
      using errcode = 'check_violation',
        hint = 'Edit the pipeline and approve it again: that makes a new version.';
  end if;
  return new;
end
$$;

create trigger keep_version before update on public.pipeline_versions
  for each row execute function constellation.keep_version();

create trigger touch before update on public.pipelines
  for each row when (old.* is distinct from new.*) execute function constellation.touch();
create trigger touch before update on public.nodes
  for each row when (old.* is distinct from new.*) execute function constellation.touch();
create trigger touch before update on public.edges
  for each row when (old.* is distinct from new.*) execute function constellation.touch();
create trigger touch before update on public.pipeline_versions
  for each row when (old.* is distinct from new.*) execute function constellation.touch();

alter table public.pipelines enable row level security;
revoke all on table public.pipelines from public, anon, authenticated, service_role;
grant
  select, delete,
  insert (id, name, description, tags, schedule),
  update (name, description, tags, schedule)
  on table public.pipelines to authenticated;
grant select, insert, update, delete on table public.pipelines to service_role;
create policy read_own on public.pipelines for select to authenticated
  using (public.is_member(owner));
create policy insert_own on public.pipelines for insert to authenticated
  with check (public.is_member(owner));
create policy update_own on public.pipelines for update to authenticated
  using (public.is_member(owner)) with check (public.is_member(owner));
create policy delete_own on public.pipelines for delete to authenticated
  using (public.is_member(owner));

alter table public.nodes enable row level security;
revoke all on table public.nodes from public, anon, authenticated, service_role;
grant
  select, delete,
  insert (id, pipeline_id, node, block, config, retries, position, ordinal),
  update (node, block, config, retries, position, ordinal)
  on table public.nodes to authenticated;
grant select, insert, update, delete on table public.nodes to service_role;
create policy read_own on public.nodes for select to authenticated
  using (public.is_member(owner));
create policy insert_own on public.nodes for insert to authenticated
  with check (public.is_member(owner));
create policy update_own on public.nodes for update to authenticated
  using (public.is_member(owner)) with check (public.is_member(owner));
create policy delete_own on public.nodes for delete to authenticated
  using (public.is_member(owner));

alter table public.edges enable row level security;
revoke all on table public.edges from public, anon, authenticated, service_role;
grant
  select, delete,
  insert (id, pipeline_id, source, target, position),
  update (source, target, position)
  on table public.edges to authenticated;
grant select, insert, update, delete on table public.edges to service_role;
create policy read_own on public.edges for select to authenticated
  using (public.is_member(owner));
create policy insert_own on public.edges for insert to authenticated
  with check (public.is_member(owner));
create policy update_own on public.edges for update to authenticated
  using (public.is_member(owner)) with check (public.is_member(owner));
create policy delete_own on public.edges for delete to authenticated
  using (public.is_member(owner));

alter table public.pipeline_versions enable row level security;
revoke all on table public.pipeline_versions from public, anon, authenticated, service_role;
grant select on table public.pipeline_versions to authenticated, service_role;
create policy read_own on public.pipeline_versions for select to authenticated
  using (public.is_member(owner));

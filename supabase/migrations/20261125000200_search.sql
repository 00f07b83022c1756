-- Search: what there is, found by what it is called and by what it means.

-- A hosted Supabase has its extensions in this schema too.
create extension if not exists vector with schema extensions;

do $$
begin
  if not exists (
    select from pg_extension e
    where e.extname = 'vector' and e.extnamespace = 'extensions'::regnamespace
  ) then
    raise exception 'the extension vector is not in schema extensions'
      using hint = 'Run: alter extension vector set schema extensions; then migrate again.';
  end if;
end
$$;

alter table public.blocks add column if not exists phrases text[] not null default '{}';
comment on column public.blocks.phrases is 'How a person would say what it does.';

create trigger record_change after insert or update or delete on public.blocks
  for each row execute function constellation.record_change();

create table public.embeddings (
  id uuid primary key default gen_random_uuid(),
  owner uuid,
  kind text not null check (kind in ('block', 'pipeline', 'deployment', 'table')),
  entity_id text not null,
  name text not null,
  content text not null,
  content_hash text not null,
  model text not null,
  embedding extensions.vector(384) not null,
  tsv tsvector not null generated always as (
    setweight(to_tsvector('pg_catalog.english'::regconfig, replace(name, '_', ' ')), 'A')
    || setweight(to_tsvector('pg_catalog.english'::regconfig, content), 'B')
  ) stored,
  updated_at timestamptz not null default now(),
  unique (kind, entity_id)
);
comment on table public.embeddings is
  'What search looks through; the job refresh_search writes it. Rows without an owner are for all.';
create index embeddings_owner on public.embeddings (owner);
create index embeddings_tsv on public.embeddings using gin (tsv);
create index embeddings_embedding on public.embeddings
  using hnsw (embedding extensions.vector_cosine_ops);

create trigger touch before update on public.embeddings
  for each row when (old.content_hash is distinct from new.content_hash)
  execute function constellation.touch();

alter table public.embeddings enable row level security;
revoke all on table public.embeddings from public, anon, authenticated, service_role;
grant select on table public.embeddings to authenticated;
grant select, insert, update, delete on table public.embeddings to service_role;
create policy read_shared_and_own on public.embeddings for select to authenticated
  using (owner is null or public.is_member(owner));

-- What is to be found, as it is now.
create view constellation.search_documents as
with newest as (
  select distinct on (b.name) b.owner, b.name, b.summary, b.phrases
  from public.blocks b where b.retired_at is null order by b.name, b.version desc
), documents as (
  select b.owner, 'block' as kind, b.name as entity_id, b.name,
    concat_ws('. ', rtrim(b.summary, '.'), nullif(array_to_string(b.phrases, '. '), ''))
      as content
  from newest b
  union all
  select p.owner, 'pipeline', p.id::text, p.name,
    concat_ws('. ', replace(p.name, '_', ' '), nullif(rtrim(p.description, '.'), ''), (
      select string_agg(replace(split_part(n.block, '@', 1), '_', ' '), ', ' order by n.ordinal)
      from public.nodes n where n.pipeline_id = p.id
    ))
  from public.pipelines p where p.status <> 'archived'
  union all
  select d.owner, 'deployment', d.id::text, d.name,
    concat_ws('. ', replace(d.name, '_', ' '), 'Model ' || d.package, nullif(d.note, ''))
  from public.deployments d
)
select d.*, md5(concat_ws(E'\n', d.owner, d.name, d.content)) as content_hash from documents d;

create function public.outdated_search(current_model text) returns table (
  owner uuid, kind text, entity_id text, name text, content text, content_hash text
)
language sql stable security definer set search_path = ''
as $$
  select d.owner, d.kind, d.entity_id, d.name, d.content, d.content_hash
  from constellation.search_documents d
  left join public.embeddings e on e.kind = d.kind and e.entity_id = d.entity_id
  where (e.content_hash, e.model) is distinct from (d.content_hash, current_model)
  order by d.kind, d.entity_id
$$;
comment on function public.outdated_search(text) is
  'What search does not know as it is now, or knows by another embedding model.';

create function public.forget_search() returns bigint
language sql security definer set search_path = ''
as $$
  with gone as (
    delete from public.embeddings e
    where e.kind in ('block', 'pipeline', 'deployment') and not exists (
      select from constellation.search_documents d
      where d.kind = e.kind and d.entity_id = e.entity_id
    )
    returning 1
  )
  select count(*) from gone
$$;
comment on function public.forget_search() is
  'Deletes what search knows and is no more; returns how many rows.';

create function public.search_is_outdated(current_model text) returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from public.outdated_search(current_model)) or exists (
    select from public.embeddings e
    where e.kind in ('block', 'pipeline', 'deployment') and not exists (
      select from constellation.search_documents d
      where d.kind = e.kind and d.entity_id = e.entity_id
    )
  )
$$;

-- Any of the words is enough: the more of them there are, the higher the rank.
create function constellation.any_word(query text) returns tsquery
language sql immutable set search_path = ''
as $$
  select coalesce(string_agg(
    '''' || replace(replace(w, '\', '\\'), '''', '''''') || '''', ' | '
  ), '')::tsquery
  from unnest(tsvector_to_array(to_tsvector('pg_catalog.english'::regconfig, query))) w
$$;

create function public.search(
  query text,
  query_embedding extensions.vector default null,
  kinds text[] default null,
  match_count integer default 10
) returns table (
  kind text, entity_id text, name text, content text, score double precision,
  full_text_rank bigint, vector_rank bigint
)
language sql stable set search_path = ''
as $$
  with asked as (
    select constellation.any_word(replace(query, '_', ' ')) as words
  ), by_words as (
    select e.id, row_number() over (
      order by ts_rank_cd(e.tsv, a.words, 1) desc, e.kind, e.entity_id
    ) as place
    from public.embeddings e, asked a
    where e.tsv @@ a.words and (kinds is null or e.kind = any (kinds))
    order by place limit 60
  ), nearest as (
    select e.id, e.embedding operator(extensions.<=>) query_embedding as distance
    from public.embeddings e
    where query_embedding is not null and (kinds is null or e.kind = any (kinds))
    order by e.embedding operator(extensions.<=>) query_embedding limit 60
  ), by_meaning as (
    select n.id, row_number() over (order by n.distance, n.id) as place from nearest n
  )
  -- Reciprocal rank fusion: what both ways find early comes first.
  select e.kind, e.entity_id, e.name, e.content,
    (coalesce(1.0 / (60 + w.place), 0) + coalesce(1.0 / (60 + m.place), 0))::double precision,
    w.place, m.place
  from by_words w full join by_meaning m on m.id = w.id
  join public.embeddings e on e.id = coalesce(w.id, m.id)
  order by 5 desc, e.kind, e.entity_id
  limit least(greatest(match_count, 1), 100)
$$;
comment on function public.search(text, extensions.vector, text[], integer) is
  'Blocks, pipelines and deployments by words and, given the query''s embedding, by meaning.';
-- Rows of others and of other kinds are left out after the index was asked: go on until enough.
alter function public.search(text, extensions.vector, text[], integer)
  set hnsw.iterative_scan = 'strict_order';

-- Who uses what, as the asking person sees it.
create function public.users_of(of_kind text, of_name text) returns table (
  kind text, name text, depth integer
)
language sql stable set search_path = ''
as $$
  with recursive used_nodes as (
    select p.name as pipeline, split_part(n.block, '@', 1) as block, n.config
    from public.pipelines p join public.nodes n on n.pipeline_id = p.id
    where p.status <> 'archived'
    union all
    select p.name, split_part(n ->> 'block', '@', 1), coalesce(n -> 'config', '{}')
    from public.pipelines p
    join public.pipeline_versions v on v.pipeline_id = p.id and v.version = p.version
    cross join jsonb_array_elements(v.spec -> 'nodes') n
    where p.status <> 'archived'
  ), uses as (
    select 'pipeline' as user_kind, n.pipeline as user_name, 'block' as kind, n.block as name
    from used_nodes n
    union
    select 'pipeline', n.pipeline, 'deployment', n.config ->> 'deployment'
    from used_nodes n where n.config ? 'deployment'
    union
    select 'pipeline', n.pipeline, 'package', split_part(n.config ->> 'package', '@', 1)
    from used_nodes n where n.config ? 'package'
    union
    select 'package', n.config ->> 'name', 'pipeline', n.pipeline
    from used_nodes n where n.block = 'register_model' and n.config ? 'name'
    union
    select 'deployment', d.name, 'package', split_part(r, '@', 1)
    from public.deployments d, unnest(array[d.package, d.canary ->> 'package']) r
    where r is not null
  ), reached as (
    select u.user_kind, u.user_name, 1 as depth from uses u
    where u.kind = of_kind and u.name = of_name
    union all
    select u.user_kind, u.user_name, r.depth + 1
    from reached r join uses u on u.kind = r.user_kind and u.name = r.user_name
    -- A pipeline that asks a deployment of the model that it trains reaches itself.
  ) cycle user_kind, user_name set is_cycle using path
  select r.user_kind, r.user_name, min(r.depth) from reached r
  where (r.user_kind, r.user_name) is distinct from (of_kind, of_name)
  group by r.user_kind, r.user_name
  order by 3, 1, 2
$$;
comment on function public.users_of(text, text) is
  'Which pipelines, packages and deployments depend on a block, pipeline, package or deployment, '
  'and through how many steps.';

-- The platform deletes what has expired; people are told who still needs it.
create function constellation.keep_used_deployment() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  users text;
begin
  if pg_has_role(constellation.acting_role(), 'service_role', 'usage') then
    return old;
  end if;
  select string_agg(p.name, ', ' order by p.name) into users
  from public.pipelines p
  join public.pipeline_versions v on v.pipeline_id = p.id and v.version = p.version
  where p.owner = old.owner and p.status <> 'archived' and exists (
    select from jsonb_array_elements(v.spec -> 'nodes') n
    where n -> 'config' ->> 'deployment' = old.name
  );
  if users is not null then
    raise exception 'deployment ''%'' cannot be deleted: published pipelines ask it: %', old.name,
      users
      using errcode = 'foreign_key_violation',
        hint = 'Archive these pipelines or let them ask another deployment first.';
  end if;
  return old;
end
$$;

create trigger keep_used before delete on public.deployments
  for each row execute function constellation.keep_used_deployment();

revoke all on table constellation.search_documents from public, anon, authenticated, service_role;
revoke all on function public.outdated_search(text)
  from public, anon, authenticated, service_role;
revoke all on function public.search_is_outdated(text)
  from public, anon, authenticated, service_role;
revoke all on function public.forget_search() from public, anon, authenticated, service_role;
revoke all on function public.search(text, extensions.vector, text[], integer)
  from public, anon, authenticated, service_role;
grant execute on function public.outdated_search(text) to service_role;
grant execute on function public.search_is_outdated(text) to service_role;
grant execute on function public.forget_search() to service_role;
grant execute on function public.search(text, extensions.vector, text[], integer)
  to authenticated, service_role;
revoke all on function public.users_of(text, text) from public, anon, authenticated, service_role;
grant execute on function public.users_of(text, text) to authenticated, service_role;

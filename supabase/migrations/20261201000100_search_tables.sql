-- Search: people's tables too, and meaning counts more.

create function public.platform_tables() returns text[]
language sql immutable parallel safe set search_path = ''
as $$
  select array[
    'audit_log', 'blocks', 'change_events', 'completions', 'conversations',
    'deployment_revisions', 'deployment_secrets', 'deployments', 'drafts', 'edges',
    'embeddings', 'messages', 'model_aliases', 'model_packages', 'nodes',
    'pipeline_versions', 'pipelines', 'profiles', 'runs'
  ]
$$;
comment on function public.platform_tables() is
  'The platform''s own tables in schema public; the others are those of people.';
revoke all on function public.platform_tables() from public, anon, authenticated, service_role;
grant execute on function public.platform_tables() to authenticated, service_role;

create or replace view constellation.search_documents as
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
  union all
  -- Whoever is signed in may read these, or parts of them. Names of the catalogue sort by "C".
  select null, 'table', c.relname::text collate "default", c.relname::text collate "default",
    concat_ws('. ', replace(c.relname::text, '_', ' '),
      nullif(rtrim(obj_description(c.oid, 'pg_class'), '.'), ''),
      'Columns: ' || string_agg(replace(a.attname::text, '_', ' '), ', ' order by a.attnum)
    ) collate "default"
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    and has_column_privilege('authenticated', c.oid, a.attnum, 'select')
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not c.relname = any (public.platform_tables())
  group by c.oid, c.relname
)
select d.*, md5(concat_ws(E'\n', d.owner, d.name, d.content)) as content_hash from documents d;

create or replace function public.forget_search() returns bigint
language sql security definer set search_path = ''
as $$
  with gone as (
    delete from public.embeddings e
    where not exists (
      select from constellation.search_documents d
      where d.kind = e.kind and d.entity_id = e.entity_id
    )
    returning 1
  )
  select count(*) from gone
$$;

create or replace function public.search_is_outdated(current_model text) returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from public.outdated_search(current_model)) or exists (
    select from public.embeddings e
    where not exists (
      select from constellation.search_documents d
      where d.kind = e.kind and d.entity_id = e.entity_id
    )
  )
$$;

create or replace function public.search(
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
  -- Reciprocal rank fusion: what both ways find early comes first. In a library of short texts
  -- meaning counts more: many share their words.
  select e.kind, e.entity_id, e.name, e.content,
    (coalesce(0.35 / (10 + w.place), 0) + coalesce(1.0 / (10 + m.place), 0))::double precision,
    w.place, m.place
  from by_words w full join by_meaning m on m.id = w.id
  join public.embeddings e on e.id = coalesce(w.id, m.id)
  order by 5 desc, e.kind, e.entity_id
  limit least(greatest(match_count, 1), 100)
$$;

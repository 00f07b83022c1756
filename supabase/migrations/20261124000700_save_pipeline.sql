-- A whole pipeline at once: from a specification to rows, and back.

create function constellation.unknown_keys(value jsonb, known text[]) returns text
language sql immutable set search_path = ''
as $$
  select format('unknown %s; known are %s', string_agg(quote_literal(k), ', '),
    array_to_string(known, ', '))
  from jsonb_object_keys(case jsonb_typeof(value) when 'object' then value else '{}' end) k
  where k <> all (known)
  having count(*) > 0
$$;

-- Only what rows could not hold. Whether the pipeline makes sense is for the compiler to say.
create function constellation.spec_problems(spec jsonb) returns setof text
language plpgsql immutable set search_path = ''
as $$
declare
  empty constant jsonb := '[]';
begin
  if jsonb_typeof(spec) is distinct from 'object' then
    return next 'it must be an object';
    return;
  end if;

  return query
    select rule.message
    from (values
      (true, constellation.unknown_keys(
        spec, array['name', 'description', 'nodes', 'edges', 'schedule', 'tags'])),
      (jsonb_typeof(spec -> 'name') is distinct from 'string'
          or length(spec ->> 'name') not between 1 and 200,
        'name: it must be a text of 1 to 200 characters'),
      (jsonb_typeof(spec -> 'description') <> 'string', 'description: it must be a text'),
      (jsonb_typeof(spec -> 'tags') <> 'object'
          or jsonb_path_exists(spec, '$.tags.* ? (@.type() != "string")'),
        'tags: it must be an object of texts'),
      (jsonb_typeof(spec -> 'schedule') not in ('object', 'null'),
        'schedule: it must be an object or null'),
      (jsonb_typeof(spec -> 'schedule') = 'object'
          and jsonb_typeof(spec #> '{schedule,cron}') is distinct from 'string',
        'schedule: it needs a text ''cron'''),
      (jsonb_typeof(spec #> '{schedule,timezone}') <> 'string',
        'schedule: timezone must be a text'),
      (true, 'schedule: '
        || constellation.unknown_keys(spec -> 'schedule', array['cron', 'timezone'])),
      (jsonb_typeof(spec -> 'nodes') is distinct from 'array', 'nodes: it must be a list'),
      (jsonb_typeof(spec -> 'edges') <> 'array', 'edges: it must be a list')
    ) as rule (broken, message)
    where rule.broken and rule.message is not null;

  return query
    select format('%s: %s', place.name, rule.message)
    from jsonb_array_elements(
        case jsonb_typeof(spec -> 'nodes') when 'array' then spec -> 'nodes' else empty end
      ) with ordinality as item (value, number),
      lateral (select case jsonb_typeof(item.value -> 'id')
        when 'string' then format('node ''%s''', item.value ->> 'id')
        else format('nodes[%s]', item.number - 1)
      end) as place (name),
      lateral (values
        (jsonb_typeof(item.value -> 'id') is distinct from 'string', 'it needs a text ''id'''),
        (jsonb_typeof(item.value -> 'block') is distinct from 'string',
          'it needs a text ''block'''),
        (jsonb_typeof(item.value -> 'config') <> 'object', 'config must be an object'),
        (item.value ? 'retries'
            and item.value -> 'retries' not in (select to_jsonb(n) from generate_series(0, 10) n),
          'retries must be a whole number from 0 to 10'),
        (true, constellation.unknown_keys(item.value, array['id', 'block', 'config', 'retries']))
      ) as rule (broken, message)
    where rule.broken and rule.message is not null
    order by item.number;

  return query
    select format('edges[%s]: %s', item.number - 1, rule.message)
    from jsonb_array_elements(
        case jsonb_typeof(spec -> 'edges') when 'array' then spec -> 'edges' else empty end
      ) with ordinality as item (value, number),
      lateral (values
        (jsonb_typeof(item.value -> 'source') is distinct from 'string',
          'it needs a text ''source'''),
        (jsonb_typeof(item.value -> 'target') is distinct from 'string',
          'it needs a text ''target'''),
        (true, constellation.unknown_keys(item.value, array['source', 'target']))
      ) as rule (broken, message)
    where rule.broken and rule.message is not null
    order by item.number;
end
$$;

-- Pairs the nodes that a pipeline has with those it shall have; of several with one id, the first
-- with the first. Without `present` a node is new, without `node` it has to go.
create function constellation.pair_nodes(pipeline uuid, nodes jsonb) returns table (
  present uuid, node text, block text, config jsonb, retries integer, ordinal integer
)
language sql stable set search_path = ''
as $$
  select had.id, has.node, has.block, has.config, has.retries, has.ordinal
  from (
    select n.id, n.node, row_number() over (
      partition by n.node order by n.ordinal, n.created_at, n.id) as nth
    from public.nodes n where n.pipeline_id = pipeline
  ) had
  full join (
    select w.value ->> 'id' as node, w.value ->> 'block' as block,
      coalesce(w.value -> 'config', '{}') as config,
      coalesce((w.value -> 'retries')::integer, 0) as retries,
      (w.number - 1)::integer as ordinal,
      row_number() over (partition by w.value ->> 'id' order by w.number) as nth
    from jsonb_array_elements(nodes) with ordinality as w (value, number)
  ) has on has.node = had.node and has.nth = had.nth
$$;

create function constellation.pair_edges(pipeline uuid, edges jsonb) returns table (
  present uuid, source text, target text, place integer
)
language sql stable set search_path = ''
as $$
  select had.id, has.source, has.target, has.place
  from (
    select e.id, e.source, e.target, row_number() over (
      partition by e.source, e.target order by e.position, e.created_at, e.id) as nth
    from public.edges e where e.pipeline_id = pipeline
  ) had
  full join (
    select w.value ->> 'source' as source, w.value ->> 'target' as target,
      (w.number - 1)::integer as place,
      row_number() over (
        partition by w.value ->> 'source', w.value ->> 'target' order by w.number) as nth
    from jsonb_array_elements(edges) with ordinality as w (value, number)
  ) has on has.source = had.source and has.target = had.target and has.nth = had.nth
$$;

create function public.save_pipeline(spec jsonb) returns uuid
language plpgsql set search_path = ''
as $$
declare
  found_problems text[];
  saved uuid;
  wanted_tags constant jsonb := coalesce(spec -> 'tags', '{}');
  wanted_edges constant jsonb := coalesce(spec -> 'edges', '[]');
  wanted_schedule jsonb;
begin
  if auth.uid() is null then
    raise exception 'nobody is signed in whose pipeline this could be'
      using errcode = 'insufficient_privilege', hint = 'Call save_pipeline as a signed-in user.';
  end if;
  select array_agg(problem) into found_problems
  from constellation.spec_problems(spec) problem;
  if found_problems is not null then
    raise exception 'pipeline ''%'' cannot be saved:%', coalesce(spec ->> 'name', '?'),
      E'\n- ' || array_to_string(found_problems, E'\n- ')
      using errcode = 'invalid_parameter_value',
        hint = 'A pipeline is {name, description, nodes, edges, schedule, tags}.';
  end if;
  if jsonb_typeof(spec -> 'schedule') = 'object' then
    wanted_schedule := '{"timezone": "UTC"}' || (spec -> 'schedule');
  end if;

  insert into public.pipelines as p (name, description, tags, schedule)
  values (spec ->> 'name', coalesce(spec ->> 'description', ''), wanted_tags, wanted_schedule)
  on conflict (name) do nothing
  returning p.id into saved;
  if saved is null then
    -- The lock makes one who saves or approves the same pipeline wait.
    select p.id into saved from public.pipelines p
    where p.name = spec ->> 'name' and public.is_member(p.owner) for update;
    if not found then
      raise exception 'pipeline name ''%'' is taken by somebody else', spec ->> 'name'
        using errcode = 'unique_violation', hint = 'Choose another name.';
    end if;
    update public.pipelines p
    set description = coalesce(spec ->> 'description', ''),
      tags = wanted_tags,
      schedule = wanted_schedule
    where p.id = saved and (p.description, p.tags, p.schedule) is distinct from
      (coalesce(spec ->> 'description', ''), wanted_tags, wanted_schedule);
  end if;

  delete from public.nodes n using constellation.pair_nodes(saved, spec -> 'nodes') w
  where n.id = w.present and w.node is null;
  update public.nodes n
  set block = w.block, config = w.config, retries = w.retries, ordinal = w.ordinal
  from constellation.pair_nodes(saved, spec -> 'nodes') w
  where n.id = w.present and (n.block, n.config, n.retries, n.ordinal) is distinct from
    (w.block, w.config, w.retries, w.ordinal);
  insert into public.nodes (pipeline_id, node, block, config, retries, ordinal)
  select saved, w.node, w.block, w.config, w.retries, w.ordinal
  from constellation.pair_nodes(saved, spec -> 'nodes') w
  where w.present is null order by w.ordinal;

  delete from public.edges e using constellation.pair_edges(saved, wanted_edges) w
  where e.id = w.present and w.source is null;
  update public.edges e set position = w.place
  from constellation.pair_edges(saved, wanted_edges) w
  where e.id = w.present and e.position <> w.place;
  insert into public.edges (pipeline_id, source, target, position)
  select saved, w.source, w.target, w.place
  from constellation.pair_edges(saved, wanted_edges) w
  where w.present is null order by w.place;
  return saved;
end
$$;
comment on function public.save_pipeline(jsonb) is
  'Saves a whole pipeline by its name, as the asking user; returns its id. What is the same stays '
  'untouched, and what is published stays published until the pipeline is approved again.';

create function public.pipeline_spec(pipeline uuid) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  spec jsonb;
begin
  select jsonb_build_object(
    'name', p.name,
    'description', p.description,
    'nodes', coalesce((
      select jsonb_agg(
        jsonb_build_object(
          'id', n.node, 'block', n.block, 'config', n.config, 'retries', n.retries
        ) order by n.ordinal, n.created_at, n.id
      )
      from public.nodes n where n.pipeline_id = p.id
    ), '[]'),
    'edges', coalesce((
      select jsonb_agg(
        jsonb_build_object('source', e.source, 'target', e.target)
        order by e.position, e.created_at, e.id
      )
      from public.edges e where e.pipeline_id = p.id
    ), '[]'),
    'schedule', p.schedule,
    'tags', p.tags
  ) into spec
  from public.pipelines p where p.id = pipeline_spec.pipeline;
  if not found then
    raise exception 'there is no pipeline % of yours', pipeline_spec.pipeline
      using errcode = 'PT404';
  end if;
  return spec;
end
$$;
comment on function public.pipeline_spec(uuid) is
  'The draft of a pipeline as one document, as save_pipeline takes it.';

revoke all on function public.save_pipeline(jsonb)
  from public, anon, authenticated, service_role;
revoke all on function public.pipeline_spec(uuid)
  from public, anon, authenticated, service_role;
grant execute on function public.save_pipeline(jsonb) to authenticated, service_role;
grant execute on function public.pipeline_spec(uuid) to authenticated, service_role;

-- The change feed: which rows changed, for readers that must miss nothing.
--
-- Numbers from a sequence are handed out before transactions commit, so a reader that remembers
-- the last number skips whatever commits late. This feed is read in the order of transaction ids,
-- and only below the oldest transaction that is still open: nothing can appear there any more.
-- An event says which row changed, not how; the reader reads the row itself.

create table public.change_events (
  id bigint generated always as identity primary key,
  xid xid8 not null default pg_current_xact_id(),
  table_name text not null,
  op text not null,
  row_id uuid not null,
  owner uuid,
  pipeline_id uuid,
  at timestamptz not null default clock_timestamp()
);
comment on table public.change_events is 'The change feed; read it with read_changes.';
create unique index change_events_order on public.change_events (xid, id);

-- How far events of each table have been pruned.
create table constellation.pruned_changes (
  table_name text primary key,
  xid xid8 not null,
  id bigint not null
);

create function constellation.record_change() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  subject record;
  pipeline uuid;
begin
  if tg_op = 'DELETE' then
    subject := old;
  else
    subject := new;
  end if;
  if tg_table_name = 'pipelines' then
    pipeline := subject.id;
  else
    -- Null for what is not part of a pipeline.
    pipeline := to_jsonb(subject) ->> 'pipeline_id';
  end if;
  insert into public.change_events (table_name, op, row_id, owner, pipeline_id)
  values (tg_table_name, tg_op, subject.id, subject.owner, pipeline);
  perform pg_notify('constellation', tg_table_name);
  return null;
end
$$;

create trigger record_change after insert or update or delete on public.pipelines
  for each row execute function constellation.record_change();
create trigger record_change after insert or update or delete on public.nodes
  for each row execute function constellation.record_change();
create trigger record_change after insert or update or delete on public.edges
  for each row execute function constellation.record_change();
create trigger record_change after insert or update or delete on public.pipeline_versions
  for each row execute function constellation.record_change();
-- Not for progress, which changes with every node and wakes nobody.
create trigger record_change
  after insert or delete or update of status, version, nodes_selected, dagster_run_id, error, tags
  on public.runs for each row execute function constellation.record_change();

create function public.change_cursor() returns table (
  xid text, id bigint, system_identifier text
)
language sql stable security definer set search_path = ''
as $$
  select pg_snapshot_xmin(pg_current_snapshot())::text, 0::bigint,
    (select c.system_identifier::text from pg_control_system() c)
$$;
comment on function public.change_cursor() is
  'Where the feed stands now: all events before this position can be seen, all others come after. '
  'A position is good for one cluster only, told by its system_identifier.';

create function public.read_changes(
  after_xid text default '0',
  after_id bigint default 0,
  tables text[] default null,
  lim integer default 1000
) returns table (
  xid text, id bigint, table_name text, op text, row_id uuid, owner uuid, pipeline_id uuid,
  at timestamptz
)
language plpgsql stable security definer set search_path = ''
as $$
declare
  position_xid constant xid8 := after_xid::xid8;
begin
  if position_xid > pg_snapshot_xmax(pg_current_snapshot()) then
    raise exception 'position % lies ahead of this database', after_xid
      using errcode = 'PT410',
        hint = 'It is of another database, or this one was restored. Read the tables anew and go '
          'on from change_cursor().';
  end if;
  if exists (
    select from constellation.pruned_changes p
    where (p.xid, p.id) > (position_xid, after_id)
      and (tables is null or p.table_name = any (tables))
  ) then
    raise exception 'events after position % have been pruned', after_xid
      using errcode = 'PT410', hint = 'Read the tables anew and go on from change_cursor().';
  end if;
  return query
    select e.xid::text, e.id, e.table_name, e.op, e.row_id, e.owner, e.pipeline_id, e.at
    from public.change_events e
    where e.xid < pg_snapshot_xmin(pg_current_snapshot())
      and (e.xid, e.id) > (position_xid, after_id)
      and (tables is null or e.table_name = any (tables))
    order by e.xid, e.id
    limit greatest(lim, 1);
end
$$;
comment on function public.read_changes(text, bigint, text[], integer) is
  'Events after a position, oldest transaction first; the last one is the next position. Error '
  'PT410 means that the position is of no use any more.';

create function public.prune_changes(keep interval default '7 days') returns bigint
language sql security definer set search_path = ''
as $$
  with gone as (
    delete from public.change_events e
    where e.xid < pg_snapshot_xmin(pg_current_snapshot()) and e.at < clock_timestamp() - keep
    returning e.table_name, e.xid, e.id
  ), noted as (
    insert into constellation.pruned_changes as p (table_name, xid, id)
    select distinct on (g.table_name) g.table_name, g.xid, g.id
    from gone g order by g.table_name, g.xid desc, g.id desc
    on conflict (table_name) do update set xid = excluded.xid, id = excluded.id
    where (excluded.xid, excluded.id) > (p.xid, p.id)
  )
  select count(*) from gone
$$;
comment on function public.prune_changes(interval) is 'Deletes old events; returns how many.';

alter table public.change_events enable row level security;
alter table constellation.pruned_changes enable row level security;
revoke all on table public.change_events from public, anon, authenticated, service_role;
revoke all on sequence public.change_events_id_seq
  from public, anon, authenticated, service_role;
revoke all on table constellation.pruned_changes from public, anon, authenticated, service_role;
grant select on table public.change_events to service_role;
revoke all on function public.change_cursor() from public, anon, authenticated, service_role;
revoke all on function public.read_changes(text, bigint, text[], integer)
  from public, anon, authenticated, service_role;
revoke all on function public.prune_changes(interval)
  from public, anon, authenticated, service_role;
grant execute on function public.change_cursor() to service_role;
grant execute on function public.read_changes(text, bigint, text[], integer) to service_role;
grant execute on function public.prune_changes(interval) to service_role;

-- Who changed what, when and in which role. Of an update, only what changed.

create table public.audit_log (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  actor uuid,
  role text not null,
  table_name text not null,
  row_id uuid not null,
  owner uuid,
  op text not null,
  old jsonb,
  new jsonb
);
comment on table public.audit_log is
  'Changes of rows, written by triggers only. The actor is null when the platform itself acted.';
create index audit_log_row on public.audit_log (row_id, id);
create index audit_log_owner on public.audit_log (owner, id);

-- Arguments: columns that are not worth an entry.
create function constellation.record_audit() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  ignored constant text[] := array['updated_at'] || coalesce(tg_argv::text[], '{}');
  before jsonb;
  after jsonb;
  subject jsonb;
begin
  if tg_op <> 'INSERT' then
    before := to_jsonb(old) - ignored;
  end if;
  if tg_op <> 'DELETE' then
    after := to_jsonb(new) - ignored;
  end if;
  subject := coalesce(after, before);
  if tg_op = 'UPDATE' then
    if before = after then
      return null;
    end if;
    select jsonb_object_agg(b.key, b.value), jsonb_object_agg(b.key, after -> b.key)
    into before, after
    from jsonb_each(before) b where b.value is distinct from after -> b.key;
  end if;
  insert into public.audit_log (actor, role, table_name, row_id, owner, op, old, new)
  values (
    auth.uid(), constellation.acting_role(), tg_table_name,
    (subject ->> 'id')::uuid, (subject ->> 'owner')::uuid, tg_op, before, after
  );
  return null;
end
$$;

create trigger record_audit after insert or update or delete on public.profiles
  for each row execute function constellation.record_audit();
create trigger record_audit after insert or update or delete on public.blocks
  for each row execute function constellation.record_audit();
create trigger record_audit after insert or update or delete on public.pipelines
  for each row execute function constellation.record_audit();
create trigger record_audit after insert or update or delete on public.nodes
  for each row execute function constellation.record_audit();
create trigger record_audit after insert or update or delete on public.edges
  for each row execute function constellation.record_audit();
create trigger record_audit after insert or update or delete on public.pipeline_versions
  for each row execute function constellation.record_audit();
-- Progress changes with every node, and tells nothing of who did what.
create trigger record_audit
  after insert or delete or update of
    owner, pipeline_id, version, nodes_selected, status, dagster_run_id, error, tags,
    requested_at, started_at, finished_at
  on public.runs for each row execute function constellation.record_audit('progress');

create function constellation.refuse_change() returns trigger
language plpgsql set search_path = ''
as $$
begin
  raise exception 'the audit log cannot be changed' using errcode = 'insufficient_privilege';
end
$$;

create trigger refuse_change before update or delete or truncate on public.audit_log
  for each statement execute function constellation.refuse_change();

alter table public.audit_log enable row level security;
revoke all on table public.audit_log from public, anon, authenticated, service_role;
revoke all on sequence public.audit_log_id_seq from public, anon, authenticated, service_role;
grant select on table public.audit_log to authenticated, service_role;
create policy read_own on public.audit_log for select to authenticated
  using (public.is_member(owner));

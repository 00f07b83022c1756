-- The catalogue: which blocks there are to draw pipelines from.

create table public.blocks (
  id uuid primary key default gen_random_uuid(),
  owner uuid,
  name text not null,
  version integer not null check (version > 0),
  kind text not null
    check (kind in ('source', 'transform', 'train', 'infer', 'evaluate', 'sink')),
  summary text not null default '',
  doc text not null default '',
  inputs jsonb not null default '[]' check (jsonb_typeof(inputs) = 'array'),
  outputs jsonb not null default '[]' check (jsonb_typeof(outputs) = 'array'),
  config_schema jsonb not null default '{}' check (jsonb_typeof(config_schema) = 'object'),
  requirements jsonb not null default '[]' check (jsonb_typeof(requirements) = 'array'),
  resources jsonb not null default '[]' check (jsonb_typeof(resources) = 'array'),
  code_version text not null,
  retired_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (name, version)
);
comment on table public.blocks is
  'Blocks, one row for each version. Those without an owner are shipped with the platform.';

create trigger touch before update on public.blocks
  for each row when (old.* is distinct from new.*) execute function constellation.touch();

alter table public.blocks enable row level security;
revoke all on table public.blocks from public, anon, authenticated, service_role;
grant select on table public.blocks to authenticated;
grant select, insert, update, delete on table public.blocks to service_role;
create policy read_shipped_and_own on public.blocks for select to authenticated
  using (owner is null or public.is_member(owner));

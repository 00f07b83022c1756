-- Who may see what, and the people themselves.

-- Inner workings live apart from schema public, which is what PostgREST serves.
create schema if not exists constellation;
revoke all on schema constellation from public;
grant usage on schema constellation to authenticated, service_role;

-- Every policy goes through this one function, so that teams can come without a rewrite. An owner
-- is therefore no foreign key to auth.users: it may become something else than a person, and what
-- a person made outlives their account.
create function public.is_member(owner uuid) returns boolean
language sql stable security definer set search_path = ''
as $$ select coalesce(owner = auth.uid(), false) $$;

comment on function public.is_member(uuid) is
  'Whether the asking user may act for the owner of a row.';
revoke all on function public.is_member(uuid) from public, anon, authenticated, service_role;
grant execute on function public.is_member(uuid) to authenticated, service_role;

-- Inside a security definer function current_user is the definer; this is who called.
create function constellation.acting_role() returns name
language sql stable set search_path = ''
as $$
  select case current_setting('role')
    when 'none' then session_user
    else current_setting('role')::name
  end
$$;

create function constellation.may_act_for(owner uuid) returns boolean
language sql stable set search_path = ''
as $$
  select public.is_member(owner)
    or pg_catalog.pg_has_role(constellation.acting_role(), 'service_role', 'usage')
$$;

create function constellation.touch() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.updated_at := now();
  return new;
end
$$;

create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  owner uuid not null check (owner = id),
  email text,
  display_name text not null default '',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.profiles is 'One row for each account; it follows auth.users.';

create trigger touch before update on public.profiles
  for each row when (old.* is distinct from new.*) execute function constellation.touch();

alter table public.profiles enable row level security;
revoke all on table public.profiles from public, anon, authenticated, service_role;
grant select, update (display_name) on table public.profiles to authenticated;
grant select, update on table public.profiles to service_role;
create policy read_own on public.profiles for select to authenticated
  using (public.is_member(owner));
create policy update_own on public.profiles for update to authenticated
  using (public.is_member(owner)) with check (public.is_member(owner));

create function constellation.follow_account() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into public.profiles (id, owner, email, display_name)
  values (new.id, new.id, new.email, coalesce(new.raw_user_meta_data ->> 'display_name', ''))
  on conflict (id) do update set email = excluded.email;
  return null;
end
$$;

create trigger constellation_profile after insert or update of email on auth.users
  for each row execute function constellation.follow_account();

insert into public.profiles (id, owner, email, display_name)
select id, id, email, coalesce(raw_user_meta_data ->> 'display_name', '') from auth.users
on conflict (id) do nothing;

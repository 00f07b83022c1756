-- Model packages: names and versions that point to a digest, and aliases that point to a version.
-- The packages themselves lie in the package store, under their digests.

create table public.model_packages (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null default auth.uid(),
  name text not null,
  version text not null,
  source_url text check (length(source_url) between 1 and 2000),
  status text not null default 'registered'
    check (status in ('registered', 'packaged', 'imaged', 'rejected')),
  digest text check (digest ~ '^sha256:[0-9a-f]{64}$'),
  flavor text check (flavor in ('onnx', 'sklearn', 'mlflow', 'python')),
  signature jsonb check (jsonb_typeof(signature) = 'object'),
  manifest jsonb check (jsonb_typeof(manifest) = 'object'),
  card text check (length(card) <= 200000),
  measured jsonb not null default '{}' check (jsonb_typeof(measured) = 'object'),
  package_url text,
  image text,
  image_digest text,
  problems jsonb not null default '[]' check (jsonb_typeof(problems) = 'array'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (name, version),
  check ((digest is null) = (manifest is null)),
  check (status not in ('packaged', 'imaged') or digest is not null),
  check (status <> 'imaged' or image is not null)
);
comment on table public.model_packages is
  'Packages of models. Inserting one (name, version, source_url, and if wanted a card) has the '
  'model at that address packaged; register_model_package says that one has been.';
comment on column public.model_packages.source_url is
  'Where the model is read from: an ONNX or skops file, or an MLflow model of such a file.';
comment on column public.model_packages.digest is 'What the version is; once set it never changes.';
comment on column public.model_packages.card is
  'The model card, as Markdown: the one that was asked for, then the one in the package.';
comment on column public.model_packages.measured is
  'What was measured when the model was packaged; it is no part of the digest.';
create index model_packages_owner on public.model_packages (owner);
create index model_packages_registered on public.model_packages (created_at)
  where status = 'registered';

create table public.model_aliases (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null,
  name text not null,
  alias text not null check (alias ~ '^[a-z][a-z0-9_]{0,62}$'),
  version text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (name, alias),
  foreign key (name, version) references public.model_packages (name, version)
);
comment on table public.model_aliases is
  'Names such as champion that move from version to version, with set_model_alias.';
create index model_aliases_version on public.model_aliases (name, version);
create index model_aliases_owner on public.model_aliases (owner);

-- Sees everybody's rows: names are unique in the installation.
create function constellation.begin_package() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if new.name !~ '^[a-z][a-z0-9_]{0,62}$' then
    raise exception 'a package cannot be named ''%''', new.name
      using errcode = 'check_violation',
        hint = 'A name has lower-case letters, digits and ''_'', begins with a letter and has 63 '
          'characters at most.';
  end if;
  if new.version !~ '^[0-9A-Za-z][0-9A-Za-z._-]{0,62}$' then
    raise exception 'package ''%'' cannot have a version ''%''', new.name, new.version
      using errcode = 'check_violation',
        hint = 'A version has letters, digits, ''.'', ''_'' and ''-'', such as 1 or 2026-11-24.';
  end if;
  if new.owner is null then
    raise exception 'package ''%'' needs an owner', new.name using errcode = 'not_null_violation';
  end if;
  -- One at a time may take a name.
  perform pg_advisory_xact_lock(hashtextextended('model_packages ' || new.name, 0));
  if exists (select from public.model_packages p where p.name = new.name and p.owner <> new.owner)
  then
    raise exception 'the package name ''%'' is taken by somebody else', new.name
      using errcode = 'unique_violation', hint = 'Choose another name.';
  end if;
  if exists (
    select from public.model_aliases a where a.name = new.name and a.alias = new.version
  ) then
    raise exception '''%'' is an alias of package ''%'', so it cannot be a version', new.version,
      new.name
      using errcode = 'unique_violation', hint = 'Choose another version.';
  end if;
  if new.status not in ('registered', 'packaged') then
    raise exception 'package ''%@%'' cannot begin as %', new.name, new.version, new.status
      using errcode = 'check_violation', hint = 'Insert it as registered, with a source_url.';
  end if;
  if new.status = 'registered' and (new.source_url is null or new.digest is not null) then
    raise exception 'package ''%@%'' needs a source_url', new.name, new.version
      using errcode = 'check_violation',
        hint = 'Say where its ONNX or skops file is, or use `constellation model register`.';
  end if;
  return new;
end
$$;

create function constellation.check_package() returns trigger
language plpgsql set search_path = ''
as $$
declare
  following text[];
begin
  if (new.id, new.owner, new.name, new.version, new.source_url) is distinct from
    (old.id, old.owner, old.name, old.version, old.source_url) then
    raise exception 'package ''%@%'' keeps its owner, name, version and source', old.name,
      old.version
      using errcode = 'check_violation', hint = 'Register another version.';
  end if;
  if old.digest is not null
    and (new.digest, new.manifest, new.flavor, new.signature) is distinct from
      (old.digest, old.manifest, old.flavor, old.signature) then
    raise exception 'package ''%@%'' never changes: it is %', old.name, old.version, old.digest
      using errcode = 'check_violation', hint = 'Register another version.';
  end if;
  following := case old.status
    when 'registered' then array['packaged', 'rejected']
    when 'packaged' then array['imaged', 'rejected']
    else array[]::text[]
  end;
  if new.status <> old.status and new.status <> all (following) then
    raise exception 'package ''%@%'' is %: it cannot become %', old.name, old.version, old.status,
      new.status
      using errcode = 'check_violation',
        hint = case
          when following = '{}' then 'It stays so. Register another version.'
          else format('It can become: %s.', array_to_string(following, ', '))
        end;
  end if;
  return new;
end
$$;

-- Of a person's rows, only what they wait for or what came to nothing may go: the rest explains
-- what has run.
create function constellation.keep_package() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  aliases text;
begin
  select string_agg(a.alias, ', ' order by a.alias) into aliases
  from public.model_aliases a where a.name = old.name and a.version = old.version;
  if aliases is not null then
    raise exception 'package ''%@%'' cannot be deleted: it is %', old.name, old.version, aliases
      using errcode = 'foreign_key_violation',
        hint = 'Move these aliases to another version, or delete them, first.';
  end if;
  return old;
end
$$;

create trigger begin_package before insert on public.model_packages
  for each row execute function constellation.begin_package();
create trigger check_package before update on public.model_packages
  for each row execute function constellation.check_package();
create trigger keep_package before delete on public.model_packages
  for each row execute function constellation.keep_package();
create trigger touch before update on public.model_packages
  for each row when (old.* is distinct from new.*) execute function constellation.touch();
create trigger touch before update on public.model_aliases
  for each row when (old.* is distinct from new.*) execute function constellation.touch();
create trigger record_change after insert or update or delete on public.model_packages
  for each row execute function constellation.record_change();
create trigger record_change after insert or update or delete on public.model_aliases
  for each row execute function constellation.record_change();
-- A manifest and a card can be long, and never change once they are there.
create trigger record_audit after insert or update or delete on public.model_packages
  for each row execute function constellation.record_audit('manifest', 'signature', 'card');
create trigger record_audit after insert or update or delete on public.model_aliases
  for each row execute function constellation.record_audit();

alter table public.model_packages enable row level security;
revoke all on table public.model_packages from public, anon, authenticated, service_role;
grant select, delete, insert (id, name, version, source_url, card)
  on table public.model_packages to authenticated;
grant select, insert, update, delete on table public.model_packages to service_role;
create policy read_own on public.model_packages for select to authenticated
  using (public.is_member(owner));
create policy insert_own on public.model_packages for insert to authenticated
  with check (public.is_member(owner));
create policy delete_own on public.model_packages for delete to authenticated
  using (public.is_member(owner) and status in ('registered', 'rejected'));

alter table public.model_aliases enable row level security;
revoke all on table public.model_aliases from public, anon, authenticated, service_role;
grant select, delete on table public.model_aliases to authenticated;
grant select, insert, update, delete on table public.model_aliases to service_role;
create policy read_own on public.model_aliases for select to authenticated
  using (public.is_member(owner));
create policy delete_own on public.model_aliases for delete to authenticated
  using (public.is_member(owner));

-- The digest is computed here, so that nobody can say of a manifest that it is another package.
create function public.register_model_package(
  name text,
  version text,
  manifest text,
  card text default null,
  measured jsonb default '{}',
  owner uuid default null
) returns boolean
language plpgsql security definer set search_path = ''
as $$
declare
  person constant uuid := coalesce(register_model_package.owner, auth.uid());
  by_platform constant boolean :=
    pg_catalog.pg_has_role(constellation.acting_role(), 'service_role', 'usage');
  ref constant text := name || '@' || version;
  found_digest constant text :=
    'sha256:' || encode(sha256(convert_to(register_model_package.manifest, 'UTF8')), 'hex');
  content jsonb;
  present public.model_packages;
begin
  if person is null or not constellation.may_act_for(person) then
    raise exception 'package ''%'' can be registered by its owner only', ref
      using errcode = 'insufficient_privilege', hint = 'Sign in as the owner.';
  end if;
  content := register_model_package.manifest::jsonb;
  if content -> 'format' is distinct from '1'
    or jsonb_typeof(content #> '{signature,inputs}') is distinct from 'array'
    or jsonb_typeof(content #> '{signature,outputs}') is distinct from 'array'
    or jsonb_typeof(content -> 'files') is distinct from 'array'
    or jsonb_array_length(content -> 'files') = 0
    or coalesce(content ->> 'flavor', '') not in ('onnx', 'sklearn', 'mlflow', 'python') then
    raise exception 'what is registered as package ''%'' is no manifest of format 1', ref
      using errcode = 'check_violation', hint = 'Register it with `constellation model register`.';
  end if;
  if content ->> 'flavor' in ('mlflow', 'python') and not by_platform then
    raise exception 'package ''%'' holds Python code or needs some of other packages (flavor %): '
      'only an operator can register it', ref, content ->> 'flavor'
      using errcode = 'insufficient_privilege',
        hint = 'Register the model as ONNX or skops, or have somebody do it who has '
          'SUPABASE_SERVICE_ROLE_KEY.';
  end if;

  select p.* into present from public.model_packages p
  where p.name = register_model_package.name and p.version = register_model_package.version
    and p.owner = person
  for update;
  if found then
    if present.digest = found_digest and present.status <> 'rejected' then
      return false;
    end if;
    raise exception 'package ''%'' exists, as %', ref, case present.status
        when 'rejected' then present.status
        when 'registered' then format('registered from %s', present.source_url)
        else present.digest
      end
      using errcode = 'unique_violation',
        hint = case present.status
          when 'rejected' then 'Delete its row, or register another version.'
          else 'A version never changes: register another one.'
        end;
  end if;
  insert into public.model_packages
    (owner, name, version, status, digest, flavor, signature, manifest, card, measured)
  values (
    person, register_model_package.name, register_model_package.version, 'packaged', found_digest,
    content ->> 'flavor', content -> 'signature', content, register_model_package.card,
    coalesce(register_model_package.measured, '{}')
  );
  return true;
end
$$;
comment on function public.register_model_package(text, text, text, text, jsonb, uuid) is
  'Gives a name and version to a package that is in the package store. The manifest is its text in '
  'canonical form, whose hash is the digest. Returns whether it is new: the same content again '
  'changes nothing, other content is refused.';

create function public.set_model_alias(name text, alias text, version text) returns text
language plpgsql security definer set search_path = ''
as $$
declare
  package public.model_packages;
  before text;
begin
  -- One move of an alias after the other, and none while somebody takes the name.
  perform pg_advisory_xact_lock(
    hashtextextended('model_packages ' || set_model_alias.name, 0));
  select p.* into package from public.model_packages p
  where p.name = set_model_alias.name and p.version = set_model_alias.version
  for key share;
  if not found or not constellation.may_act_for(package.owner) then
    raise exception 'there is no package ''%@%'' of yours', set_model_alias.name,
      set_model_alias.version
      using errcode = 'PT404', hint = 'See `constellation model list`.';
  end if;
  if package.status not in ('packaged', 'imaged') then
    raise exception 'package ''%@%'' is %: it cannot have an alias', package.name,
      package.version, package.status
      using errcode = 'check_violation', hint = 'Give the alias to a version that is packaged.';
  end if;
  if set_model_alias.alias !~ '^[a-z][a-z0-9_]{0,62}$' then
    raise exception '''%'' is no alias', set_model_alias.alias
      using errcode = 'check_violation',
        hint = 'An alias has lower-case letters, digits and ''_'', such as champion.';
  end if;
  if exists (
    select from public.model_packages p
    where p.name = package.name and p.version = set_model_alias.alias
  ) then
    raise exception '''%'' is a version of package ''%'', so it cannot be an alias',
      set_model_alias.alias, package.name
      using errcode = 'unique_violation', hint = 'Choose another alias.';
  end if;
  select a.version into before from public.model_aliases a
  where a.name = package.name and a.alias = set_model_alias.alias;
  insert into public.model_aliases as a (owner, name, alias, version)
  values (package.owner, package.name, set_model_alias.alias, package.version)
  on conflict on constraint model_aliases_name_alias_key
    do update set version = excluded.version where a.version <> excluded.version;
  return before;
end
$$;
comment on function public.set_model_alias(text, text, text) is
  'Lets an alias point to a version; readers see the old one or the new one. Returns the version '
  'that it pointed to before, null if there was none.';

revoke all on function public.register_model_package(text, text, text, text, jsonb, uuid)
  from public, anon, authenticated, service_role;
revoke all on function public.set_model_alias(text, text, text)
  from public, anon, authenticated, service_role;
grant execute on function public.register_model_package(text, text, text, text, jsonb, uuid)
  to authenticated, service_role;
grant execute on function public.set_model_alias(text, text, text) to authenticated, service_role;

-- PostgREST reads the schema again.
notify pgrst, 'reload schema';

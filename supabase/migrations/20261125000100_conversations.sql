-- Conversations with the agent: what people say, what it answers, the pipelines it proposes.
--
-- People insert messages and read the rest; only functions write it. A turn of the agent ends in
-- one transaction, so whoever is killed when, a message has one reply and one draft at most.

create table public.conversations (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null default auth.uid(),
  title text not null default '' check (length(title) <= 200),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.conversations is
  'Conversations with the agent. Deleting one deletes what was said in it; pipelines stay.';
comment on column public.conversations.title is 'The beginning of its first message if not given.';
comment on column public.conversations.updated_at is 'When something was last said in it.';
create index conversations_owner on public.conversations (owner, updated_at);

create table public.messages (
  id uuid primary key default gen_random_uuid(),
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  owner uuid not null,
  role text not null default 'user' check (role in ('user', 'assistant')),
  content text not null check (length(content) between 1 and 20000 and btrim(content) <> ''),
  status text not null default 'requested'
    check (status in ('requested', 'running', 'answered', 'failed')),
  -- Unique: no message has two replies.
  reply_to uuid unique references public.messages (id) on delete cascade,
  draft_id uuid,
  dagster_run_id text,
  tries integer not null default 0,
  tokens_in integer not null default 0,
  tokens_out integer not null default 0,
  latency_ms integer not null default 0,
  error jsonb check (jsonb_typeof(error) = 'object'),
  position bigint generated always as identity,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  check ((role = 'assistant') = (reply_to is not null)),
  check (role = 'user' or status in ('answered', 'failed'))
);
comment on table public.messages is
  'What was said. Inserting one (conversation_id, content) asks the agent.';
comment on column public.messages.status is
  'Of a person''s message: requested, running, then answered or failed.';
comment on column public.messages.reply_to is 'Of a reply: the message that it answers.';
comment on column public.messages.tries is 'How often a turn ended without a reply.';
create index messages_conversation on public.messages (conversation_id, position);
create index messages_owner on public.messages (owner);
create index messages_open on public.messages (position)
  where status in ('requested', 'running');
-- One turn of a conversation at a time, for each builds on the one before.
create unique index messages_running on public.messages (conversation_id)
  where status = 'running';

create table public.drafts (
  id uuid primary key default gen_random_uuid(),
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  message_id uuid not null unique references public.messages (id) on delete cascade,
  owner uuid not null,
  pipeline_id uuid references public.pipelines (id) on delete set null,
  name text not null,
  spec jsonb not null check (jsonb_typeof(spec) = 'object'),
  base jsonb,
  diagram text not null default '',
  explanation text not null default '',
  questions jsonb not null default '[]' check (jsonb_typeof(questions) = 'array'),
  problems jsonb not null default '[]' check (jsonb_typeof(problems) = 'array'),
  sample jsonb check (jsonb_typeof(sample) = 'object'),
  provenance jsonb not null default '{}' check (jsonb_typeof(provenance) = 'object'),
  status text not null check (status in ('ready', 'incomplete', 'approved', 'rejected')),
  reason text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.drafts is
  'Pipelines that the agent proposes. They run nowhere until a person approves them.';
comment on column public.drafts.message_id is 'The message that asked for it.';
comment on column public.drafts.pipeline_id is
  'The pipeline that it changes; of an approved one, the pipeline that it has become.';
comment on column public.drafts.base is 'What the pipeline that it changes was at that time.';
comment on column public.drafts.status is
  'incomplete while questions or problems are open; ready, then approved or rejected.';
comment on column public.drafts.reason is 'Why it was rejected.';
create index drafts_conversation on public.drafts (conversation_id, created_at);
create index drafts_owner on public.drafts (owner, created_at);
create index drafts_pipeline on public.drafts (pipeline_id);

alter table public.messages add foreign key (draft_id) references public.drafts (id);
create index messages_draft on public.messages (draft_id);

create table public.completions (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null,
  message_id uuid not null references public.messages (id) on delete cascade,
  model text not null,
  request jsonb not null,
  response jsonb not null,
  created_at timestamptz not null default now()
);
comment on table public.completions is
  'What a language model was asked and what it said, without secrets; see prune_completions.';
create index completions_message on public.completions (message_id, created_at);
create index completions_owner on public.completions (owner);
create index completions_age on public.completions (created_at);

-- Runs with the rights of whoever writes, so that other people's conversations look as if absent.
create function constellation.begin_message() returns trigger
language plpgsql set search_path = ''
as $$
begin
  select c.owner into new.owner from public.conversations c where c.id = new.conversation_id;
  if not found then
    raise exception 'there is no conversation % of yours', new.conversation_id
      using errcode = 'PT404', hint = 'Insert the conversation first, or correct conversation_id.';
  end if;
  if length(new.content) > 20000 or btrim(new.content) = '' then
    raise exception 'a message has 1 to 20000 characters, this one has %', length(new.content)
      using errcode = 'check_violation', hint = 'Say it shorter, or in several messages.';
  end if;
  return new;
end
$$;

create function constellation.follow_message() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.conversations c
  set updated_at = now(),
    title = case c.title when '' then left(btrim(new.content), 80) else c.title end
  where c.id = new.conversation_id;
  return null;
end
$$;

create function constellation.begin_completion() returns trigger
language plpgsql set search_path = ''
as $$
begin
  select m.owner into new.owner from public.messages m where m.id = new.message_id;
  if not found then
    raise exception 'there is no message %', new.message_id using errcode = 'PT404';
  end if;
  return new;
end
$$;

create trigger begin_message before insert on public.messages
  for each row execute function constellation.begin_message();
create trigger follow_message after insert on public.messages
  for each row execute function constellation.follow_message();
create trigger begin_completion before insert on public.completions
  for each row execute function constellation.begin_completion();

create trigger touch before update on public.conversations
  for each row when (old.* is distinct from new.*) execute function constellation.touch();
create trigger touch before update on public.messages
  for each row when (old.* is distinct from new.*) execute function constellation.touch();
create trigger touch before update on public.drafts
  for each row when (old.* is distinct from new.*) execute function constellation.touch();

-- Not for updated_at, which changes with every message.
create trigger record_change after insert or delete on public.conversations
  for each row execute function constellation.record_change();
create trigger record_change after insert or update or delete on public.messages
  for each row execute function constellation.record_change();
create trigger record_change after insert or update or delete on public.drafts
  for each row execute function constellation.record_change();
-- Long texts stay out: they never change, and are gone when their owner deletes them. A completion
-- is a record already.
create trigger record_audit after insert or update or delete on public.conversations
  for each row execute function constellation.record_audit('title');
create trigger record_audit after insert or update or delete on public.messages
  for each row execute function constellation.record_audit('content');
create trigger record_audit after insert or update or delete on public.drafts
  for each row execute function constellation.record_audit(
    'spec', 'base', 'diagram', 'explanation', 'sample', 'provenance');

-- Locks a conversation, then one of its messages, always in this order. Null if it is gone.
create function constellation.hold_message(message uuid) returns public.messages
language plpgsql set search_path = ''
as $$
declare
  held public.messages;
begin
  perform from public.conversations c
  where c.id = (select m.conversation_id from public.messages m where m.id = hold_message.message)
  for update;
  select m.* into held from public.messages m
  where m.id = hold_message.message and m.role = 'user' for update;
  return held;
end
$$;

create function public.due_messages(lim integer default 20) returns table (
  id uuid, conversation_id uuid, owner uuid, tries integer
)
language sql stable security definer set search_path = ''
as $$
  select d.id, d.conversation_id, d.owner, d.tries
  from (
    select distinct on (m.conversation_id) m.*
    from public.messages m
    where m.status in ('requested', 'running')
    -- A running one comes first, and holds back what waits behind it.
    order by m.conversation_id, m.status = 'running' desc, m.position
  ) d
  where d.status = 'requested'
  order by d.position
  limit greatest(lim, 1)
$$;
comment on function public.due_messages(integer) is
  'Messages to be answered next: of each conversation the oldest, unless one is being answered.';

create function public.begin_turn(
  message uuid, dagster_run_id text, instead_of text default null
) returns boolean
language plpgsql security definer set search_path = ''
as $$
declare
  held constant public.messages := constellation.hold_message(message);
begin
  if held.status = 'running' then
    if held.dagster_run_id = begin_turn.dagster_run_id then
      return true;
    elsif held.dagster_run_id is distinct from begin_turn.instead_of then
      return false;
    end if;
  elsif held.status is distinct from 'requested' or exists (
    select from public.messages m
    where m.conversation_id = held.conversation_id and m.status = 'running'
  ) then
    return false;
  end if;
  update public.messages m
  set status = 'running', dagster_run_id = begin_turn.dagster_run_id
  where m.id = held.id;
  return true;
end
$$;
comment on function public.begin_turn(uuid, text, text) is
  'Says that a run answers a message; returns whether that run may. It may again when it begins '
  'anew, or in place of the run instead_of, and not while another message of the conversation is '
  'being answered.';

create function public.finish_turn(
  message uuid,
  reply text,
  draft jsonb default null,
  usage jsonb default '{}',
  error jsonb default null
) returns uuid
language plpgsql security definer set search_path = ''
as $$
declare
  held constant public.messages := constellation.hold_message(message);
  outcome constant text := case when error is null then 'answered' else 'failed' end;
  proposed constant boolean := coalesce(jsonb_typeof(draft) = 'object', false);
  changed constant uuid := (draft ->> 'pipeline_id')::uuid;
  saved_draft uuid;
  saved_reply uuid;
begin
  if held.id is null then
    return null; -- deleted meanwhile
  end if;
  if held.status in ('answered', 'failed') then
    return (select m.id from public.messages m where m.reply_to = held.id);
  end if;

  if proposed then
    if changed is not null and not exists (
      select from public.pipelines p where p.id = changed and p.owner = held.owner
    ) then
      raise exception 'there is no pipeline % of the person that draft ''%'' is for', changed,
        draft #>> '{spec,name}'
        using errcode = 'PT404';
    end if;
    insert into public.drafts (
      id, conversation_id, message_id, owner, pipeline_id, name, spec, base, diagram, explanation,
      questions, problems, sample, provenance, status
    )
    values (
      coalesce((draft ->> 'id')::uuid, gen_random_uuid()), held.conversation_id, held.id,
      held.owner, changed, coalesce(nullif(draft #>> '{spec,name}', ''), 'unnamed'),
      draft -> 'spec',
      case when changed is not null then public.pipeline_spec(changed) end,
      coalesce(draft ->> 'diagram', ''), coalesce(draft ->> 'explanation', ''),
      coalesce(draft -> 'questions', '[]'), coalesce(draft -> 'problems', '[]'),
      nullif(draft -> 'sample', 'null'), coalesce(draft -> 'provenance', '{}'),
      case
        when coalesce(draft -> 'questions', '[]') = '[]'
          and coalesce(draft -> 'problems', '[]') = '[]' then 'ready'
        else 'incomplete'
      end
    )
    returning id into saved_draft;
  end if;

  update public.messages m
  set status = outcome, draft_id = saved_draft, error = finish_turn.error
  where m.id = held.id;
  insert into public.messages (
    conversation_id, role, content, status, reply_to, draft_id, dagster_run_id, tokens_in,
    tokens_out, latency_ms, error
  )
  values (
    held.conversation_id, 'assistant', left(finish_turn.reply, 20000), outcome, held.id,
    saved_draft, held.dagster_run_id, coalesce((usage ->> 'tokens_in')::integer, 0),
    coalesce((usage ->> 'tokens_out')::integer, 0),
    coalesce((usage ->> 'latency_ms')::integer, 0), finish_turn.error
  )
  returning id into saved_reply;
  return saved_reply;
end
$$;
comment on function public.finish_turn(uuid, text, jsonb, jsonb, jsonb) is
  'Ends a turn: writes the draft {id, spec, pipeline_id, diagram, explanation, questions, problems, '
  'sample, provenance}, the reply and the status of the message, all or nothing. Returns the id of '
  'the reply; that of the first one when the message has one, null when the message is gone.';

create function public.release_turn(
  message uuid, dagster_run_id text default null, tried integer default null
) returns text
language plpgsql security definer set search_path = ''
as $$
declare
  held constant public.messages := constellation.hold_message(message);
begin
  if held.id is null or held.status not in ('requested', 'running')
    or held.dagster_run_id <> release_turn.dagster_run_id or held.tries <> release_turn.tried then
    return held.status;
  end if;
  if held.tries >= 2 then
    perform public.finish_turn(
      held.id,
      'I could not answer this: it failed each of the three times that I tried. Please say it '
        'again, perhaps in other words.',
      error => jsonb_build_object(
        'code', 'turn_died',
        'message', 'The run that answers this message ended without an answer, three times.'
      )
    );
    return 'failed';
  end if;
  update public.messages m
  set status = 'requested', dagster_run_id = null, tries = held.tries + 1
  where m.id = held.id;
  return 'requested';
end
$$;
comment on function public.release_turn(uuid, text, integer) is
  'Has a message answered by another run, for its own is dead; the third time it has failed. With '
  'dagster_run_id or tried it does so only if that is still its run or number of tries. Returns '
  'the status of the message, null when it is gone.';

create function constellation.hold_draft(draft uuid) returns public.drafts
language plpgsql set search_path = ''
as $$
declare
  held public.drafts;
begin
  select d.* into held from public.drafts d where d.id = hold_draft.draft for update;
  if not found or not public.is_member(held.owner) then
    raise exception 'there is no draft % of yours', hold_draft.draft
      using errcode = 'PT404', hint = 'See `constellation draft list`.';
  end if;
  return held;
end
$$;

create function public.approve_draft(draft uuid, name text default null) returns uuid
language plpgsql security definer set search_path = ''
as $$
declare
  held constant public.drafts := constellation.hold_draft(draft);
  wanted constant text := coalesce(nullif(btrim(approve_draft.name), ''), held.name);
  present public.pipelines;
  saved uuid;
begin
  if held.status = 'approved' and held.pipeline_id is not null then
    return held.pipeline_id;
  end if;
  if held.status <> 'ready' then
    raise exception 'draft ''%'' is %: it cannot be approved%', held.name, held.status, (
      select coalesce(string_agg(E'\n- ' || item.text, ''), '')
      from (
        select q.value ->> 'text' from jsonb_array_elements(held.questions) q
        union all
        select p.value ->> 'message' from jsonb_array_elements(held.problems) p
      ) item (text)
      where held.status = 'incomplete'
    )
      using errcode = 'check_violation',
        hint = case held.status
          when 'incomplete' then 'Answer in its conversation: that makes a new draft.'
          else 'Ask for another one in its conversation.'
        end;
  end if;

  if held.base is null then
    -- By name, save_pipeline would write over a pipeline that the draft knows nothing of.
    select p.* into present from public.pipelines p
    where p.name = wanted and public.is_member(p.owner);
    if found then
      raise exception 'there is a pipeline ''%'' already', wanted
        using errcode = 'unique_violation', hint = 'Approve the draft under another name.';
    end if;
  else
    select p.* into present from public.pipelines p where p.id = held.pipeline_id for update;
    if not found or public.pipeline_spec(held.pipeline_id) <> held.base then
      raise exception 'pipeline ''%'' is not what it was when draft % was made',
        held.base ->> 'name', held.id
        using errcode = 'check_violation', hint = 'Ask for the change again.';
    end if;
    if wanted not in (held.name, present.name) then
      raise exception 'draft ''%'' changes pipeline ''%'': it cannot be named ''%''', held.name,
        present.name, wanted
        using errcode = 'check_violation', hint = 'Approve it without a name.';
    end if;
  end if;

  saved := public.save_pipeline(
    held.spec || jsonb_build_object('name', coalesce(present.name, wanted)));
  perform public.approve_pipeline(saved);
  update public.drafts d set status = 'approved', pipeline_id = saved where d.id = held.id;
  return saved;
end
$$;
comment on function public.approve_draft(uuid, text) is
  'Makes a ready draft a pipeline, or changes the one it is for, and has it published, as the '
  'asking user. Returns the id of the pipeline; an approved draft changes nothing again.';

create function public.reject_draft(draft uuid, reason text default null) returns void
language plpgsql security definer set search_path = ''
as $$
declare
  held constant public.drafts := constellation.hold_draft(draft);
begin
  if held.status = 'approved' then
    raise exception 'draft ''%'' is approved: it cannot be rejected', held.name
      using errcode = 'check_violation', hint = 'Archive its pipeline, with archive_pipeline.';
  end if;
  update public.drafts d
  set status = 'rejected', reason = coalesce(nullif(btrim(reject_draft.reason), ''), held.reason)
  where d.id = held.id;
end
$$;
comment on function public.reject_draft(uuid, text) is
  'Turns a draft down; the agent is told the reason with the next message.';

create function public.prune_completions(keep interval default '30 days') returns bigint
language sql security definer set search_path = ''
as $$
  with gone as (
    delete from public.completions c where c.created_at < now() - keep returning c.id
  )
  select count(*) from gone
$$;
comment on function public.prune_completions(interval) is
  'Deletes old completions; returns how many.';

revoke all on function constellation.hold_message(uuid) from public;
revoke all on function constellation.hold_draft(uuid) from public;
revoke all on function public.due_messages(integer)
  from public, anon, authenticated, service_role;
revoke all on function public.begin_turn(uuid, text, text)
  from public, anon, authenticated, service_role;
revoke all on function public.finish_turn(uuid, text, jsonb, jsonb, jsonb)
  from public, anon, authenticated, service_role;
revoke all on function public.release_turn(uuid, text, integer)
  from public, anon, authenticated, service_role;
revoke all on function public.approve_draft(uuid, text)
  from public, anon, authenticated, service_role;
revoke all on function public.reject_draft(uuid, text)
  from public, anon, authenticated, service_role;
revoke all on function public.prune_completions(interval)
  from public, anon, authenticated, service_role;
grant execute on function public.due_messages(integer) to service_role;
grant execute on function public.begin_turn(uuid, text, text) to service_role;
grant execute on function public.finish_turn(uuid, text, jsonb, jsonb, jsonb) to service_role;
grant execute on function public.release_turn(uuid, text, integer) to service_role;
grant execute on function public.approve_draft(uuid, text) to authenticated, service_role;
grant execute on function public.reject_draft(uuid, text) to authenticated, service_role;
grant execute on function public.prune_completions(interval) to service_role;

alter table public.conversations enable row level security;
revoke all on table public.conversations from public, anon, authenticated, service_role;
grant select, delete, insert (id, title) on table public.conversations to authenticated;
grant select on table public.conversations to service_role;
create policy read_own on public.conversations for select to authenticated
  using (public.is_member(owner));
create policy insert_own on public.conversations for insert to authenticated
  with check (public.is_member(owner));
create policy delete_own on public.conversations for delete to authenticated
  using (public.is_member(owner));

alter table public.messages enable row level security;
revoke all on table public.messages from public, anon, authenticated, service_role;
revoke all on sequence public.messages_position_seq
  from public, anon, authenticated, service_role;
grant select, insert (id, conversation_id, content) on table public.messages to authenticated;
grant select on table public.messages to service_role;
create policy read_own on public.messages for select to authenticated
  using (public.is_member(owner));
create policy insert_own on public.messages for insert to authenticated
  with check (public.is_member(owner));

alter table public.drafts enable row level security;
revoke all on table public.drafts from public, anon, authenticated, service_role;
grant select on table public.drafts to authenticated, service_role;
create policy read_own on public.drafts for select to authenticated
  using (public.is_member(owner));

alter table public.completions enable row level security;
revoke all on table public.completions from public, anon, authenticated, service_role;
grant select on table public.completions to authenticated;
grant select, insert on table public.completions to service_role;
create policy read_own on public.completions for select to authenticated
  using (public.is_member(owner));

-- PostgREST reads the schema again.
notify pgrst, 'reload schema';

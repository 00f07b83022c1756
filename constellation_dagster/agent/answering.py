"""Answers about what there is: from rows, with the rights of who asks, and nothing is changed.

What they say is looked up, never made up, so they name the ids that it can be found by.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from constellation_dagster.agent.context import Context
from constellation_dagster.agent.failures import errors_of
from constellation_dagster.agent.gathering import search_blocks
from constellation_dagster.agent.possibilities import MOST_LISTED, items, possibilities
from constellation_dagster.domain.explanation import explain_pipeline
from constellation_dagster.domain.facts import FileFact, PipelineFact, TableFact
from constellation_dagster.domain.registry import Registry, load_registry
from constellation_dagster.domain.suggestions import closest

_USED = ("deployment", "package", "block", "pipeline")
_NO_NAMES = {"do", "does", "for", "have", "here", "is", "mean", "there", "use", "used", "uses"}
_RUN_WORDS = re.compile(r"\b(runs?|läufe?|exécutions?|ejecuci[oó]n(es)?)\b", re.IGNORECASE)
_FAILURE_WORDS = re.compile(
    r"\b(fail|broke|break|crash|wrong|error|fehl|gescheitert|échou|fall)", re.IGNORECASE
)
_WHY_IT = re.compile(r"\b(why|what)\b.*\b(it|this|that|last)\b", re.IGNORECASE)
_USE_WORDS = re.compile(
    r"\b(use|uses|used|using|depend\w*|need|needs|benutz\w*|verwend\w*|nutz\w*|utilis\w*|usan?)\b",
    re.IGNORECASE,
)
_BLOCKS_FOR = re.compile(r"\bblocks?\b.*\b(for|about|with|that|to|which|can)\s+\w", re.IGNORECASE)
_THIS_TABLE = re.compile(r"\b(this|the|my) table\b", re.IGNORECASE)
_RUNS: LiteralString = """
select r.id::text, p.id::text as pipeline_id, p.name as pipeline, r.status, r.error, r.progress,
    coalesce(r.finished_at, r.started_at, r.requested_at)::timestamp(0)::text as at
from public.runs r join public.pipelines p on p.id = r.pipeline_id
where r.owner = auth.uid() and (%(pipeline)s::uuid is null or p.id = %(pipeline)s)
    and (not %(failed)s or r.status = 'failed')
order by r.requested_at desc, r.id limit 1
"""
_USERS: LiteralString = """
select u.kind, u.name, u.depth, coalesce(p.id::text, d.id::text) as id
from public.users_of(%(kind)s, %(name)s) u
left join public.pipelines p on u.kind = 'pipeline' and p.name = u.name and p.owner = auth.uid()
left join public.deployments d on u.kind = 'deployment' and d.name = u.name
    and d.owner = auth.uid()
order by u.depth, u.kind, u.name
"""
_DEPLOYMENT: LiteralString = """
select id::text, package, status::text from public.deployments
where owner = auth.uid() and name = %(name)s
"""
_ABILITIES = (
    "I can answer these from what is yours: why a run failed, what can be done with a table or a "
    "file, which pipelines use a deployment, a package or a block, what a pipeline or a block "
    "does, and which pipelines, deployments, packages, tables, files and blocks there are."
)


def answer(context: Context, person: psycopg.Connection) -> str:
    """The answer to what the person asked, as Markdown.

    Args:
        context: What was said, and what there is.
        person: A transaction with the person's rights, as `as_person` lends it.
    """
    return _Answerer(context, person, load_registry()).answer()


class _Answerer:
    """Finds out what is asked about, then which question it is."""

    def __init__(self, context: Context, person: psycopg.Connection, registry: Registry) -> None:
        self.context, self.person, self.registry = context, person, registry
        self.text = context.request
        self.facts = context.facts

    def answer(self) -> str:
        """The first of the answers that fits."""
        tries = (self.about_a_failure, self.about_use, self.about_a_pipeline, self.about_others)
        found = next((text for one in tries if (text := one()) is not None), None)
        return found or self.without_a_name()

    def pipeline(self) -> PipelineFact | None:
        """The pipeline that is named."""
        pipelines = {pipeline.name: pipeline for pipeline in self.facts.pipelines}
        return pipelines.get(self.named(pipelines, "pipeline") or "")

    def about_a_failure(self) -> str | None:
        """Why a run failed."""
        pipeline = self.pipeline()
        # A pipeline may be called `broken_sales`.
        said = self.text.replace(pipeline.name, "") if pipeline is not None else self.text
        if not _FAILURE_WORDS.search(said):
            return None
        if pipeline is None and not (_RUN_WORDS.search(said) or _WHY_IT.search(said)):
            return None
        return self.why_failed(pipeline)

    def about_use(self) -> str | None:
        """Who uses something."""
        if not _USE_WORDS.search(self.text):
            return None
        # The kind that is said goes before the others: a package may be called like a block.
        kinds = sorted(_USED, key=lambda kind: re.search(rf"\b{kind}\b", self.text) is None)
        for kind in kinds:
            names = self.kinds()[kind]
            if (name := self.named(names, kind)) is not None:
                return self.users(kind, name)
            if (unknown := _said_after(kind, self.text)) is not None:
                return _no_such(kind, unknown, names)
        return None

    def about_a_pipeline(self) -> str | None:
        """What a pipeline does."""
        pipeline = self.pipeline()
        return self.explain(pipeline) if pipeline is not None else None

    def about_others(self) -> str | None:
        """What there is to say of a table, a file, a deployment or a block."""
        data: dict[str, TableFact | FileFact] = {file.path: file for file in self.facts.files}
        data |= {table.name: table for table in self.facts.tables}
        thing = self.named(data, "table") or self.named(data, "file")
        is_this = _THIS_TABLE.search(self.text) and not _said_after("table", self.text)
        if thing is None and is_this and len(self.facts.tables) == 1:
            thing = self.facts.tables[0].name
        if thing is not None:
            return possibilities(data[thing])
        if (deployment := self.named(self.facts.deployments, "deployment")) is not None:
            return self.deployment(deployment)
        if (name := self.named(self.registry.names, "block")) is not None:
            return self.block(name)
        return None

    def without_a_name(self) -> str:
        """The answer where nothing that there is was named."""
        for kind, names in self.kinds().items():
            if (unknown := _said_after(kind, self.text)) is not None:
                return _no_such(kind, unknown, names)
        if _RUN_WORDS.search(self.text):
            return self.last_run(None)
        draft = self.context.thread.last_draft
        if draft is not None and re.search(r"\b(draft|pipeline|it|this|that)\b", self.text):
            return (
                f"The draft `{draft.name}` (draft {draft.id}) does this:\n\n"
                f"{explain_pipeline(draft.spec, self.registry)}"
            )
        if _BLOCKS_FOR.search(self.text) and (blocks := self.blocks_for()) is not None:
            return blocks
        for kind, names in self.kinds().items():
            if re.search(rf"\b{kind}s?\b", self.text, re.IGNORECASE):
                return self.all_of(kind, names)
        return _ABILITIES

    def kinds(self) -> dict[str, Sequence[str]]:
        """The names of what there is, by kind."""
        return {
            "pipeline": [f"{p.name}" for p in self.facts.pipelines],
            "deployment": self.facts.deployments,
            "package": self.facts.packages,
            "table": [table.name for table in self.facts.tables],
            "file": [file.path for file in self.facts.files],
            "block": self.registry.names,
        }

    def named(self, names: Iterable[str], kind: str) -> str | None:
        """The longest of the names that stands in the text, or the one that was nearly written."""
        known = [name for name in names if name]
        found = [name for name in known if _stands_in(name, self.text)]
        if found:
            return max(found, key=len)
        # What follows "deployment" is a name even when it is misspelt.
        said = _said_after(kind, self.text)
        return closest(said, known) if said is not None and known else None

    def why_failed(self, pipeline: PipelineFact | None) -> str:
        """What the last failed run says of itself."""
        run = self.run(pipeline, failed=True)
        if run is None:
            whose = f"of `{pipeline.name}`" if pipeline is not None else "of yours"
            return f"No run {whose} has failed. {self.last_run(pipeline)}"
        where = f"the pipeline `{run['pipeline']}` (pipeline {run['pipeline_id']})"
        lines = [f"The run {run['id']} of {where} failed at {run['at']} UTC."]
        lines += list(errors_of(run["error"], run["progress"])) or ["Its row does not say why."]
        last = self.run(pipeline, failed=False)
        if last is not None and last["id"] != run["id"]:
            lines.append(f"The last run is a later one, {last['id']}: {last['status']}.")
        return "\n\n".join(lines)

    def last_run(self, pipeline: PipelineFact | None) -> str:
        """How the last run went."""
        run = self.run(pipeline, failed=False)
        if run is None:
            return "There is no run yet."
        return (
            f"The last run is {run['id']} of the pipeline `{run['pipeline']}` "
            f"(pipeline {run['pipeline_id']}): {run['status']}, {run['at']} UTC."
        )

    def run(self, pipeline: PipelineFact | None, *, failed: bool) -> Mapping[str, Any] | None:
        """The last run, or the last that failed."""
        wanted = {"pipeline": pipeline.id if pipeline is not None else None, "failed": failed}
        return next(iter(self.rows(_RUNS, wanted)), None)

    def users(self, kind: str, name: str) -> str:
        """What uses a thing, and what depends on those."""
        rows = self.rows(_USERS, {"kind": kind, "name": name})
        if not rows:
            return f"Nothing of yours uses the {kind} `{name}`."
        direct = [_used_by(row) for row in rows if row["depth"] == 1]
        parts = [f"The {kind} `{name}` is used by:{items(direct)}"]
        further = [_used_by(row) for row in rows if row["depth"] > 1]
        if further:
            parts.append(f"These depend on them:{items(further)}")
        return "\n\n".join(parts)

    def explain(self, pipeline: PipelineFact) -> str:
        """What a pipeline does, and how its last run went."""
        return (
            f"The pipeline `{pipeline.name}` (pipeline {pipeline.id}, {pipeline.status}) does "
            f"this:\n\n{explain_pipeline(pipeline.spec, self.registry)}\n\n"
            f"{self.last_run(pipeline)}"
        )

    def deployment(self, name: str) -> str:
        """What a deployment serves, and who asks it."""
        what = "The deployment `{name}` (deployment {id}) serves `{package}`: {status}."
        serves = [what.format(name=name, **r) for r in self.rows(_DEPLOYMENT, {"name": name})]
        return "\n\n".join([*serves, self.users("deployment", name)])

    def block(self, name: str) -> str:
        """What a block does."""
        block = self.registry.get(name)
        fields = block.config_model.model_fields
        keys = [f"`{key}`{' (needed)' if f.is_required() else ''}" for key, f in fields.items()]
        return (
            f"The block `{block.ref}`: {block.summary}\n\n"
            f"It takes {_ports(p.name for p in block.inputs)} and gives "
            f"{_ports(p.name for p in block.outputs)}. "
            f"Its configuration: {_listed(keys) if keys else 'none'}."
        )

    def blocks_for(self) -> str | None:
        """The blocks that the search finds for what is asked, the likeliest first."""
        names = self.context.candidates or search_blocks(self.text)
        found = [block for name in names if (block := self.registry.find(name)) is not None]
        shown = items(f"`{block.name}`: {block.summary}" for block in found)
        return f"These blocks may fit, the likeliest first:{shown}" if found else None

    def all_of(self, kind: str, names: Sequence[str]) -> str:
        """What there is of a kind."""
        if not names:
            return f"You have no {kind}s."
        if kind == "pipeline":
            shown = [f"`{p.name}` ({p.status}, pipeline {p.id})" for p in self.facts.pipelines]
        else:
            shown = [f"`{name}`" for name in names]
        owned = "There are" if kind in ("block", "table") else "You have"
        return f"{owned} these {kind}s:{items(shown)}"

    def rows(self, query: LiteralString, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self.person.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, values).fetchall()


def _stands_in(name: str, text: str) -> bool:
    words = re.escape(name).replace("_", r"[_ \-]")
    # A block named `sql`, `chart` or `infer` is also a plain word; that is for the caller to weigh.
    # A pipeline `sales` is not meant by the file `sales.csv`.
    return re.search(rf"(?<![\w.]){words}(?!\w|\.\w)", text, re.IGNORECASE) is not None


def _said_after(kind: str, text: str) -> str | None:
    """What is named after the kind of thing: `deployment churn_model`, `the table prices?`."""
    found = re.search(
        rf"\b{kind}\s+[`'\"]?(\w*[._\-]\w[\w.\-]*|\w+(?=[`'\"]?\W*$))", text, re.IGNORECASE
    )
    return found[1] if found is not None and found[1].lower() not in _NO_NAMES else None


def _no_such(kind: str, name: str, names: Sequence[str]) -> str:
    there = f" There are: {_listed(names)}." if names else f" You have no {kind}s yet."
    return f"You have no {kind} `{name}`.{there}"


def _used_by(row: Mapping[str, Any]) -> str:
    id_ = f" ({row['kind']} {row['id']})" if row["id"] else ""
    return f"the {row['kind']} `{row['name']}`{id_}"


def _ports(names: Iterable[str]) -> str:
    return _listed([f"`{name}`" for name in names]) or "nothing"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more

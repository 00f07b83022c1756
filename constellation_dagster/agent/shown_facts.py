"""What a language model is shown of the conversation and of what there is: little, clean and short."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from constellation_dagster.agent.answer_schema import bare
from constellation_dagster.agent.context import Context
from constellation_dagster.agent.embedded.words import stem, words_of
from constellation_dagster.agent.redaction import Secrets
from constellation_dagster.domain.explanation import in_order
from constellation_dagster.domain.facts import ColumnFact, FileFact, TableFact

_MOST_SOURCES = 12
_MOST_COLUMNS = 24
_MOST_NAMES = 12
_MOST_STEPS = 30
_MOST_MESSAGES = 6
_LONGEST_NAME = 80
_LONGEST_SAMPLE = 20
_LONGEST_MESSAGE = 300
_LONGEST_VALUE = 200


def clean(text: str, longest: int) -> str:
    """A text in one line, without characters that are not to be seen, cut to a length."""
    seen = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    seen = re.sub(" {2,}", " ", seen).strip()
    return seen if len(seen) <= longest else f"{seen[: longest - 1]}…"


def shown_data(context: Context, secrets: Secrets) -> dict[str, Any]:
    """What the request may be about, as a JSON object.

    Args:
        context: What there is.
        secrets: Takes the secrets out.
    """
    facts = context.facts
    said = _stems(" ".join(m.content for m in context.thread.messages if m.role == "user"))
    specs = _specs(context, said)
    urls = {
        str(node.get("config", {}).get(key))
        for spec in specs.values()
        for node in spec.get("nodes", ())
        for key in ("url", "name")
    }
    sources: list[FileFact | TableFact] = [*facts.files, *facts.tables]
    likely = [s for s in sources if _name(s) in urls or _is_said(_name(s), said)]
    own = context.thread.last_draft.name if context.thread.last_draft is not None else None
    shown = (likely or _by_columns(sources, said))[:_MOST_SOURCES]
    data: dict[str, Any] = {
        "files": {clean(f.path, _LONGEST_NAME): _file(f) for f in shown if isinstance(f, FileFact)},
        "tables": {
            clean(t.name, _LONGEST_NAME): _columns(t.columns)
            for t in shown
            if isinstance(t, TableFact)
        },
        "other_files": _names((f.path for f in facts.files if f not in shown), said),
        "other_tables": _names((t.name for t in facts.tables if t not in shown), said),
        "deployments": _names(facts.deployments, said),
        "packages": _names(facts.packages, said),
        "pipelines": {
            clean(name, _LONGEST_NAME): _spec(spec) for name, spec in specs.items() if name != own
        },
        "other_pipelines": _names(
            (p.name for p in facts.pipelines if p.name not in specs and p.name != own), said
        ),
        "draft": _draft(context, specs),
        "earlier": [
            f"{'person' if m.role == 'user' else 'you'}: {clean(m.content, _LONGEST_MESSAGE)}"
            for m in context.thread.messages[:-1][-_MOST_MESSAGES:]
        ],
    }
    return cast("dict[str, Any]", _hidden({k: v for k, v in data.items() if v}, secrets))


def steps_of(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The nodes of a pipeline in the order in which they run, as a model is shown steps."""
    nodes = {node["id"]: node for node in spec.get("nodes", ())}
    return [
        {"block": bare(str(nodes[name]["block"])), "config": nodes[name].get("config") or {}}
        for name in in_order(spec)
    ]


def _specs(context: Context, said: set[str]) -> dict[str, Mapping[str, Any]]:
    """The pipelines that are spoken of and the draft, by their names."""
    found: dict[str, Mapping[str, Any]] = {
        p.name: p.spec for p in context.facts.pipelines if _stems(p.name) <= said
    }
    if context.thread.last_draft is not None:
        found[context.thread.last_draft.name] = context.thread.last_draft.spec
    return found


def _draft(context: Context, specs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    draft = context.thread.last_draft
    if draft is None:
        return {}
    shown: dict[str, Any] = {"name": draft.name, "steps": _spec(specs[draft.name])}
    if draft.spec.get("schedule"):
        shown["schedule"] = draft.spec["schedule"]
    if draft.questions:
        shown["open questions"] = [clean(q.text, _LONGEST_VALUE) for q in draft.questions[:6]]
    if draft.status == "rejected":
        shown["rejected because"] = clean(draft.reason or "no reason given", _LONGEST_MESSAGE)
    return shown


def _spec(spec: Mapping[str, Any]) -> list[Any]:
    return [_short(step) for step in steps_of(spec)[:_MOST_STEPS]]


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value, _LONGEST_VALUE)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {clean(key, _LONGEST_NAME): _short(item) for key, item in items}
    if isinstance(value, list | tuple):
        return [_short(item) for item in cast("Sequence[Any]", value)][:_MOST_COLUMNS]
    return value


def _hidden(value: Any, secrets: Secrets) -> Any:
    """The same with stand-ins for secrets."""
    if isinstance(value, str):
        return secrets.hide(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {secrets.hide(key): _hidden(item, secrets) for key, item in items}
    if isinstance(value, list | tuple):
        return [_hidden(item, secrets) for item in cast("Sequence[Any]", value)]
    return value


def _name(source: FileFact | TableFact) -> str:
    return source.path if isinstance(source, FileFact) else source.name


def _by_columns(
    sources: Sequence[FileFact | TableFact], said: set[str]
) -> list[FileFact | TableFact]:
    """Those with columns that are spoken of first."""
    return sorted(sources, key=lambda s: -sum(_is_said(c.name, said) for c in s.columns))


def _is_said(name: str, said: set[str]) -> bool:
    """Whether a name is spoken of, or a part of it that tells something."""
    base = name.rpartition("/")[2].partition(".")[0]
    return any(len(part) > 2 and part in said for part in _stems(base))


def _stems(text: str) -> set[str]:
    return {stem(word) for word in words_of(text)}


def _names(names: Iterable[str], said: set[str]) -> list[str]:
    known = sorted(names, key=lambda name: not _is_said(name, said))
    return [clean(name, _LONGEST_NAME) for name in known[:_MOST_NAMES]]


def _file(file: FileFact) -> str:
    if file.columns:
        return _columns(file.columns)
    return clean(f"{file.kind} {file.note if file.kind == 'image' else ''}", _LONGEST_NAME)


def _columns(columns: Sequence[ColumnFact]) -> str:
    return ", ".join(_column(column) for column in columns[:_MOST_COLUMNS])


def _column(column: ColumnFact) -> str:
    samples = [clean(sample, _LONGEST_SAMPLE) for sample in column.samples[:3]]
    shown = f" ({', '.join(samples)})" if samples and column.type == "text" else ""
    return f"{clean(column.name, _LONGEST_NAME)} {column.type}{shown}"

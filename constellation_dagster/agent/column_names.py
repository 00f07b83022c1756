"""Columns and conditions as a language model writes them become those that there are."""

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from pydantic import JsonValue
from rapidfuzz import fuzz, process

from constellation_dagster.agent.answer_schema import bare
from constellation_dagster.agent.embedded.words import fold
from constellation_dagster.domain.config_formats import COLUMN, CONDITION, EXPRESSION, formats
from constellation_dagster.domain.facts import ColumnFact, Facts
from constellation_dagster.domain.proposals import Step
from constellation_dagster.domain.registry import Registry

_ALIKE = 80
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_NAME = re.compile(r"[^\W\d]\w*")
_FIGURE = re.compile(r"\s*(\w+)\s*\(\s*(.*?)\s*\)\s*")
_FIGURES = {"avg": "mean", "average": "mean", "maximum": "max", "minimum": "min", "total": "sum"}
# As SQL and other languages write what a condition says as Python does.
_FOREIGN = (
    (re.compile(r"\bis\s+not\s+null\b", re.IGNORECASE), "is not None"),
    (re.compile(r"\bis\s+null\b", re.IGNORECASE), "is None"),
    (re.compile(r"<>"), "!="),
    (re.compile(r"&&"), " and "),
    (re.compile(r"\|\|"), " or "),
    (re.compile(r"(?<![<>=!])=(?!=)"), "=="),
    (re.compile(r"\bAND\b"), "and"),
    (re.compile(r"\bOR\b"), "or"),
    (re.compile(r"\bNOT\b"), "not"),
    (re.compile(r"\bIN\b"), "in"),
    (re.compile(r"\btrue\b"), "True"),
    (re.compile(r"\bfalse\b"), "False"),
)


class ColumnNames:
    """The columns that steps can name.

    Args:
        steps: All steps of a pipeline.
        registry: The blocks.
        facts: What the sources hold.
    """

    def __init__(self, steps: Sequence[Step], registry: Registry, facts: Facts) -> None:
        self._registry = registry
        columns = [c for step in steps for c in _read(step, facts)]
        self._known = {column.name: column for column in columns}
        self._made = {name for step in steps for name in _made(step)}
        self._folded = {_plain(name): name for name in [*self._made, *self._known]}

    def corrected(self, step: Step) -> Step:
        """The step with each column named as it is in the data."""
        block = self._registry.find(step.block)
        if block is None or block.kind == "source":
            return step
        config = dict(step.config)
        for key, kind in formats(block).items():
            if key in config and kind == COLUMN:
                config[key] = self._columns(config[key])
            elif kind in (CONDITION, EXPRESSION) and isinstance(config.get(key), str):
                config[key] = self._expression(str(config[key]))
        figures = config.get("aggregates")
        if isinstance(figures, dict):
            config["aggregates"] = {
                name: self._figure(name, text) for name, text in figures.items()
            }
        return step.model_copy(update={"config": config})

    def name(self, name: str) -> str:
        """The column that is meant; the same if there is none like it."""
        if not self._known or name in self._known or name in self._made:
            return name
        if _plain(name) in self._folded:
            return self._folded[_plain(name)]
        if len(name) < 4:
            return name
        best = process.extractOne(
            name, list(self._known), scorer=fuzz.ratio, processor=fold, score_cutoff=_ALIKE
        )
        return best[0] if best is not None else name

    def _columns(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return self.name(value)
        if isinstance(value, list):
            return [self.name(item) if isinstance(item, str) else item for item in value]
        if isinstance(value, dict):
            return {self.name(key): item for key, item in value.items()}
        return value

    def _expression(self, text: str) -> str:
        if not _parses(text):
            text = _outside_quotes(text, _as_python)
        text = _outside_quotes(text, lambda part: _NAME.sub(self._name_in, part))
        if _parses(text):
            text = self._with_samples(text)
        return text

    def _name_in(self, match: re.Match[str]) -> str:
        before, after = match.string[: match.start()], match.string[match.end() :]
        called = after.lstrip().startswith("(") or before.endswith(".")
        reserved = match[0] in ("and", "or", "not", "in", "is", "None", "True", "False")
        return match[0] if called or reserved else self.name(match[0])

    def _with_samples(self, text: str) -> str:
        """`region == 'North'` becomes `'north'` where the data has it so."""
        tree = ast.parse(text.strip(), mode="eval")
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        values = {
            fold(sample): sample
            for name in names
            if name in self._known and self._known[name].type == "text"
            for sample in self._known[name].samples
        }

        def quoted(match: re.Match[str]) -> str:
            inner = match[0][1:-1]
            return match[0][0] + values.get(fold(inner), inner) + match[0][0]

        return _QUOTED.sub(quoted, text)

    def _figure(self, name: str, text: JsonValue) -> JsonValue:
        if not isinstance(text, str):
            return text
        match = _FIGURE.fullmatch(text)
        if match is None:
            # {"price": "mean"} can mean one thing only.
            known = self.name(name)
            return f"{_FIGURES.get(text, text)}({known})" if known in self._known else text
        function = _FIGURES.get(match[1].lower(), match[1].lower())
        column = "" if match[2] in ("*", "1") else match[2].strip("'\"`")
        return f"{function}({self.name(column) if column else ''})"


def _read(step: Step, facts: Facts) -> Iterable[ColumnFact]:
    if bare(step.block) == "read_table":
        table = facts.table(str(step.config.get("name")))
        return table.columns if table is not None else ()
    file = facts.file(str(step.config.get("url")))
    return file.columns if file is not None and step.block.startswith("read_") else ()


def _made(step: Step) -> Iterable[str]:
    """Columns that a step makes, as its configuration names them."""
    config: Mapping[str, object] = step.config
    for key in ("aggregates", "names"):
        made = config.get(key)
        if isinstance(made, dict):
            named = cast("dict[str, object]", made)
            yield from (str(name) for name in (named if key == "aggregates" else named.values()))
    for key in ("column", "name"):
        if isinstance(config.get(key), str) and bare(step.block) != "read_table":
            yield str(config[key])
    yield from _ALWAYS_MADE.get(bare(step.block), ())


_ALWAYS_MADE: Mapping[str, Sequence[str]] = {
    "infer": ("prediction",),
    "ephemeral_infer": ("prediction",),
    "predict": ("prediction",),
    "train_clusterer": ("cluster",),
    "count_words": ("word", "count"),
    "count_values": ("count",),
    "metrics_table": ("metric", "value"),
}


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", fold(name))


def _as_python(text: str) -> str:
    for pattern, written in _FOREIGN:
        text = pattern.sub(written, text)
    return text


def _outside_quotes(text: str, change: Callable[[str], str]) -> str:
    """Change a text, but not what is in quotes in it."""
    parts: list[str] = []
    end = 0
    for match in _QUOTED.finditer(text):
        parts += [change(text[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*parts, change(text[end:])])


def _parses(text: str) -> bool:
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True

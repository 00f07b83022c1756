"""A block's configuration from the words of a clause, by what each key means."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import JsonValue, ValidationError

from constellation_dagster.agent.embedded.columns import ColumnReader, Groups, is_name, says
from constellation_dagster.agent.embedded.conditions import find_condition
from constellation_dagster.agent.embedded.expressions import find_expression, is_definition
from constellation_dagster.agent.embedded.reading import extension
from constellation_dagster.agent.embedded.superlatives import superlative
from constellation_dagster.agent.embedded.words import vocabulary
from constellation_dagster.domain import config_formats as is_a
from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.config_formats import formats


@dataclass
class Filler(ColumnReader):
    """Fills the configuration of one step.

    Attributes:
        source: The file that it reads, if it is a source.
        target: The file that it writes, if it is a sink.
    """

    source: str | None = None
    target: str | None = None

    def config(self) -> dict[str, JsonValue]:
        """What the clause says about the block's keys."""
        kinds = formats(self.block)
        properties = cast(
            "Mapping[str, Mapping[str, Any]]", self.block.config_schema.get("properties", {})
        )
        # A key with words of its own takes its columns first, what is left goes to the others.
        cues = cast("Groups", vocabulary()["cues"])
        order = sorted(properties, key=lambda key: (_rank(self.block, key), key not in cues))
        found: dict[str, JsonValue] = {}
        for key in order:
            value = self.value(key, properties[key], kinds.get(key))
            if value is not None:
                found[key] = value
        for key in properties:
            # A value to fill in says that one is to be filled in.
            if f"{key}_constant" in found:
                found[key] = "constant"
        allowed = self.allowed(found)
        return {key: allowed[key] for key in properties if key in allowed}

    def allowed(self, found: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """What the block takes of these values: a width of 2 pixels is no width of a chart."""
        try:
            self.block.config_model.model_validate(found)
        except ValidationError as error:
            wrong = {e["loc"][0] for e in error.errors() if e["loc"] and e["type"] != "missing"}
            return {key: value for key, value in found.items() if key not in wrong}
        return found

    def value(self, key: str, schema: Mapping[str, Any], kind: str | None) -> JsonValue:
        """The value of one key; none if the clause says nothing about it."""
        readers: dict[str, Callable[[], JsonValue]] = {
            is_a.READ_URL: lambda: self.source,
            is_a.WRITE_URL: lambda: self.target,
            is_a.TABLE: lambda: self.named(is_a.TABLE),
            is_a.DEPLOYMENT: lambda: self.named(is_a.DEPLOYMENT),
            is_a.PACKAGE: lambda: self.named(is_a.PACKAGE),
            is_a.CONDITION: self.condition,
            is_a.EXPRESSION: lambda: find_expression(self.tokens),
            is_a.NEW_COLUMN: self.new_name,
            is_a.SQL: lambda: next((t.text for t in self.tokens if t.kind == "quote"), None),
        }
        if kind in readers:
            return readers[kind]()
        if kind == is_a.COLUMN or schema.get("type") == "object":
            return self.of_columns(key, schema)
        return self.plain(key, schema)

    def condition(self) -> str | None:
        """The condition that the clause states."""
        return find_condition(self.tokens, self.columns, negated=self.removes())

    def answer(self, key: str) -> JsonValue:
        """The value of a key that was asked for."""
        properties = cast("Mapping[str, Mapping[str, Any]]", self.block.config_schema["properties"])
        schema = properties.get(key)
        return None if schema is None else self.value(key, schema, formats(self.block).get(key))

    def removes(self) -> bool:
        """Whether it says what is to go."""
        return any(t.is_any(("remove", "drop", "delete", "discard", "exclude", "omit", "throw",
                             "without", "except")) for t in self.tokens)  # fmt: skip

    def named(self, kind: str) -> str | None:
        """A table, deployment or package: known by name, or named after the word."""
        for token in self.tokens:
            if token.kind == kind or (token.kind == "quote" and extension(token.text) == ""):
                return token.text
        words = {is_a.TABLE: ("table",), is_a.DEPLOYMENT: ("deployment", "endpoint")}
        cues = (*words.get(kind, ("package",)), "as", "called", "named")
        for place, token in enumerate(self.tokens[:-1]):
            after = self.tokens[place + 1]
            if token.is_any(cues) and after.kind in ("word", "column"):
                plain = re.fullmatch(r"[a-z][a-z0-9_]*", after.said)
                dull = after.is_any(("a", "the", "of", "on", "in", "with", "by", "called", "named"))
                if plain and not dull and not after.is_any(("table", "package", "supabase")):
                    return after.said
        if kind == is_a.TABLE:
            for place, token in enumerate(self.tokens[1:], 1):
                before = self.tokens[place - 1]
                if token.is_any(("table",)) and before.kind == "word" and "_" in before.said:
                    return before.said
        return None

    def new_name(self) -> str | None:
        """What a new column is called."""
        for place, token in enumerate(self.tokens[:-1]):
            after = self.tokens[place + 1]
            if after.is_any(("called", "named", "as")):
                continue
            said = token.is_any(("called", "named", "column", "as", "call"))
            if said and (after.kind == "quote" or (after.kind == "word" and is_name(after))):
                return after.text if after.kind == "quote" else after.said
            if after.text in ("=", ":") and token.kind in ("word", "column"):
                return token.said
        if is_definition(tuple(self.tokens)):
            return self.tokens[0].said
        verbs = ("compute", "add", "derive", "calculate", "create")
        for place, token in enumerate(self.tokens[:-1]):
            rest = [t for t in self.tokens[place + 1 :] if not t.is_any(("a", "the", "new"))]
            if not token.is_any(verbs) or len(rest) < 2 or rest[0].kind != "word":
                continue
            if rest[1].is_any(("as", "by", "from", "which", "is")) and is_name(rest[0]):
                return rest[0].said
        return None

    def of_columns(self, key: str, schema: Mapping[str, Any]) -> JsonValue:
        """Columns: one, a list of them, or a mapping."""
        shapes = [schema, *cast("list[Mapping[str, Any]]", schema.get("anyOf", []))]
        types = {shape.get("type") for shape in shapes}
        if "object" in types:
            return {"names": self.renamed, "types": self.cast}.get(key, self.aggregated)()
        many = "array" in types
        names = self.after_cue(key, many=many)
        if not names and self.takes_others(key, many=many):
            names = self.others(key, many=many)
        if not names:
            return None
        return cast("JsonValue", list(names)) if many else names[0]

    def takes_others(self, key: str, *, many: bool) -> bool:
        """Whether columns that stand after no word for a key can be meant by this one."""
        if key == "features":
            return self.block.name == "train_clusterer"
        if key == "by" and "aggregates" in self.block.config_model.model_fields:
            return False
        return key in self.required() or key == "y" or many

    def others(self, key: str, *, many: bool) -> list[str]:
        """The columns that no other key took; where one is needed, what may be misspelt."""
        free = self.free()
        taken = free if many else free[:1]
        self.used.update(place for place, _ in taken)
        names = list(dict.fromkeys(name for _, name in taken))
        if not names and key in self.required():
            return self.implied(key)
        return names

    def implied(self, key: str) -> list[str]:
        """Columns that no word is the exact name of."""
        way = superlative(self.tokens, self.columns) if self.block.name == "sort_rows" else None
        if way is not None and way.column is not None and key == "by":
            return [way.column]
        return self.misspelt()

    def plain(self, key: str, schema: Mapping[str, Any]) -> JsonValue:
        """A choice, a switch, a number or a text."""
        shapes = [schema, *cast("list[Mapping[str, Any]]", schema.get("anyOf", []))]
        text = " ".join(t.text for t in self.tokens if t.kind in ("word", "number"))
        for shape in shapes:
            if "enum" in shape:
                return self.choice(key, cast("list[str]", shape["enum"]), text)
            if shape.get("type") == "boolean":
                return self.switch(key, text)
            if shape.get("type") in ("integer", "number"):
                return self.number(key, whole=shape["type"] == "integer")
        if key == "title":
            return self.after_word(("titled", "title", "entitled", "headed"))
        return None

    def switch(self, key: str, text: str) -> bool | None:
        """Whether something is on or off; none if nothing is said of it."""
        ways = superlative(self.tokens, self.columns) if key == "descending" else None
        if says(text, cast("Groups", vocabulary()["switches_off"]).get(key, [])):
            return False
        if ways is not None:
            return ways.descending or None
        return says(text, cast("Groups", vocabulary()["switches"]).get(key, [])) or None

    def choice(self, key: str, options: Sequence[str], text: str) -> JsonValue:
        """The choice that is named."""
        others = cast("Groups", vocabulary()["choices"])
        if key in ("aggregate", "numbers"):
            others = {**others, **cast("Groups", vocabulary()["aggregates"])}
        for option in options:
            # "first rows" is no way to keep; `auto` and `none` are never said.
            if option in ("auto", "none") or (key == "keep" and option == "first"):
                continue
            if says(text, [option.replace("_", " "), option, *others.get(option, [])]):
                return option
        return self.chart_kind() if self.block.name == "chart" and key == "kind" else None

    def chart_kind(self) -> str | None:
        """The chart that fits the columns, where only they are named."""
        types = [t.column.type for t in self.tokens if t.column is not None]
        if types == ["number"]:
            return "histogram"
        if "date" in types:
            return "line"
        if len(types) > 1 and types[:2] == ["number", "number"]:
            return "scatter"
        return "bar" if {"number", "text"} <= set(types) else None

    def after_word(self, words: Sequence[str]) -> str | None:
        """The quoted text after one of these words."""
        for place, token in enumerate(self.tokens[:-1]):
            if token.is_any(words) and self.tokens[place + 1].kind == "quote":
                return self.tokens[place + 1].text
        return None

    def number(self, key: str, *, whole: bool) -> JsonValue:
        """The number beside a word for the key, or the only one where the key has to be given."""
        if key in ("width", "height") and (pair := self.pair()) is not None:
            return pair[0 if key == "width" else 1]
        units = cast("Groups", vocabulary()["units"])
        cues = units.get(key, [key.replace("_", " ")])
        for place, token in enumerate(self.tokens):
            if token.kind != "number" or place in self.used:
                continue
            percent = token.text.endswith("%") or (
                (place + 1 < len(self.tokens) and self.tokens[place + 1].is_any(("percent", "%")))
                or (place + 1 < len(self.tokens) and self.tokens[place + 1].text == "%")
            )
            near = self.tokens[max(0, place - 3) : place + 3]
            fits = any(t.is_any(cues) for t in near)
            if key == "test_fraction":
                fits = percent or "." in token.text
            elif key == "fraction":
                fits = percent or (fits and "." in token.text)
            elif percent:
                fits = False
            only = key in self.required() or (
                key in ("count", "clusters") and not percent and not fits
            )
            alone = sum(t.kind == "number" for t in self.tokens) == 1
            if key == "count" and self.block.config_model.model_fields.keys() & {"fraction"}:
                alone = alone and not percent
            if not fits and not (only and alone):
                continue
            number = float(token.text.rstrip("%")) / (100 if percent else 1)
            if (
                key == "test_fraction"
                and number > 0.5
                and any(t.is_any(("train", "training")) for t in self.tokens[place : place + 4])
            ):
                number = round(1 - number, 6)
            if whole and number != int(number):
                continue
            self.used.add(place)
            return int(number) if whole else number
        return None

    def pair(self) -> tuple[int, int] | None:
        """A size such as 640 x 480."""
        for place in range(len(self.tokens) - 2):
            first, sign, second = self.tokens[place : place + 3]
            if first.kind == second.kind == "number" and sign.text in ("x", "by", "*"):
                return int(float(first.text)), int(float(second.text))
        return None


def _rank(block: AnyBlock, key: str) -> int:
    order = {"by": 0, "index": 0, "color": 0, "target": 0, "x": 2, "y": 1, "columns": 2,
             "values": 1, "aggregates": 3, "features": 3, "stratify": 0}  # fmt: skip
    if block.name == "chart":
        order |= {"x": 1, "y": 2}
    return order.get(key, 4)

"""Conditions on rows: a small part of Python's expressions, turned into polars expressions.

Python only parses the text; nothing of it is ever evaluated by Python. What is not listed here
is refused, so a condition cannot do anything but compare columns and constants.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import polars as pl

from constellation_dagster.blocks.condition_words import (
    ARITHMETIC,
    COMPARISONS,
    FUNCTIONS,
    KIND_NAMES,
    Kind,
    kind_of,
)
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.suggestions import closest, did_you_mean

# Polars walks nested expressions recursively, and would overflow its stack on a hostile one.
_DEEPEST = 60
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class _Value:
    """A part of a condition."""

    expression: pl.Expr
    kind: Kind
    text: str
    """How it is written."""


def parse_condition(text: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """Turn a condition into an expression that is true for the rows to keep.

    Args:
        text: The condition.
        schema: The columns of the table that it will be used on.

    Raises:
        BlockFailed: It cannot be used; the message names the place.
    """
    source, body = _parsed(text)
    return _Reader(source, schema).condition(body)


def parse_expression(text: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """Turn what is written as in a condition into an expression of any kind of value.

    Args:
        text: The expression.
        schema: The columns of the table that it will be used on.

    Raises:
        BlockFailed: It cannot be used; the message names the place.
    """
    source, body = _parsed(text)
    return _Reader(source, schema).value(body).expression


def _parsed(text: str) -> tuple[str, ast.expr]:
    # Brackets make line breaks harmless, as a folded YAML text may have them.
    source = " ".join(text.split("\n")).strip()
    try:
        return source, ast.parse(source, mode="eval").body
    except SyntaxError as error:
        raise _syntax_error(source, error) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise BlockFailed(f"The condition {_shortened(source)!r} cannot be read.") from error


def _syntax_error(source: str, error: SyntaxError) -> BlockFailed:
    place = f" at character {error.offset}" if error.offset else ""
    words = source.replace("(", " ").split()
    hint = "Conditions are written as in Python, such as `price > 100 and city == 'Bonn'`."
    if "AND" in words or "OR" in words or "NOT" in words or "&&" in source or "||" in source:
        hint = "Write `and`, `or` and `not`, in lower case."
    elif "=" in source.replace("==", "").replace("!=", "").replace("<=", "").replace(">=", ""):
        hint = "Write `==` to compare."
    elif "<>" in source:
        hint = "Write `!=` for what is not equal."
    elif "IS" in words or "NULL" in words:
        hint = "Write `is None` or `is not None`."
    reason = error.msg.partition(". Perhaps")[0].partition(". Maybe")[0]
    return BlockFailed(
        f"The condition {_shortened(source)!r} cannot be read{place}: {reason}.", hint
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}…"


class _Reader:
    def __init__(self, source: str, schema: Mapping[str, pl.DataType]) -> None:
        self.source = source
        self.schema = schema
        self.depth = 0

    def error(self, node: ast.AST, message: str, hint: str | None = None) -> BlockFailed:
        column = int(getattr(node, "col_offset", 0))
        # Python counts bytes of UTF-8.
        place = len(self.source.encode()[:column].decode(errors="ignore")) + 1
        return BlockFailed(
            f"The condition {_shortened(self.source)!r}, at character {place}: {message}", hint
        )

    def written(self, node: ast.AST) -> str:
        return _shortened(ast.get_source_segment(self.source, cast("Any", node)) or "")

    def condition(self, node: ast.expr) -> pl.Expr:
        value = self.value(node)
        if value.kind != "truth":
            raise self.error(
                node,
                f"{value.text!r} is {KIND_NAMES[value.kind]}, not true or false.",
                "Compare it with something, such as `> 0`.",
            )
        return value.expression

    def value(self, node: ast.expr) -> _Value:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.error(node, "it is nested too deeply.", "Use several filter_rows.")
        try:
            return self.part(node)
        finally:
            self.depth -= 1

    def part(self, node: ast.expr) -> _Value:
        match node:
            case ast.Name(id=name):
                return self.column(node, name)
            case ast.Constant():
                return self.constant(node)
            case ast.Compare():
                return self.comparison(node)
            case ast.Call(func=ast.Name(id=name), keywords=[]):
                return self.call(node, name)
            case _:
                return self.operation(node)

    def operation(self, node: ast.expr) -> _Value:
        match node:
            case ast.BoolOp(op=operator, values=values):
                parts = [self.condition(value) for value in values]
                join = pl.all_horizontal if isinstance(operator, ast.And) else pl.any_horizontal
                return self.result(node, join(parts), "truth")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.result(node, ~self.condition(operand), "truth")
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.result(node, -self.number(operand), "number")
            case ast.BinOp(left=first, op=operator, right=second) if type(operator) in ARITHMETIC:
                left, right = self.number(first), self.number(second)
                return self.result(node, ARITHMETIC[type(operator)](left, right), "number")
            case _:
                raise self.error(
                    node,
                    f"{self.written(node)!r} cannot be used in a condition.",
                    "See what can in the documentation of the block filter_rows.",
                )

    def result(self, node: ast.expr, expression: pl.Expr, kind: Kind) -> _Value:
        return _Value(expression, kind, self.written(node))

    def number(self, node: ast.expr) -> pl.Expr:
        value = self.value(node)
        if value.kind != "number":
            raise self.error(node, f"{value.text!r} is {KIND_NAMES[value.kind]}, not a number.")
        return value.expression

    def column(self, node: ast.expr, name: str) -> _Value:
        if name not in self.schema:
            hint = did_you_mean(name, self.schema, there_are="The columns are")
            if name.lower() in ("null", "none", "nil"):
                hint = "Write `is None` for a missing value."
            elif name.lower() in ("true", "false"):
                hint = f"Write `{name.title()}`."
            elif closest(name, self.schema) is None:
                hint = f"A text needs quotes: '{name}'. {hint or ''}".strip()
            raise self.error(node, f"there is no column {name!r}.", hint)
        dtype = self.schema[name]
        expression = pl.col(name)
        if isinstance(dtype, pl.Categorical | pl.Enum):
            expression = expression.cast(pl.String)
        elif dtype.is_float():
            # NaN is a missing number to a person; to polars it is greater than all others.
            expression = expression.fill_nan(None)
        return self.result(node, expression, kind_of(dtype))

    def constant(self, node: ast.Constant) -> _Value:
        value = node.value
        if isinstance(value, bool):
            return self.result(node, pl.lit(value), "truth")
        if isinstance(value, str):
            return self.result(node, pl.lit(value), "text")
        if isinstance(value, float) or (isinstance(value, int) and value in _INT64):
            return self.result(node, pl.lit(value), "number")
        if value is None:
            raise self.error(node, "None can only be compared with `is` or `is not`.")
        raise self.error(node, f"{self.written(node)!r} is no value that a column can have.")

    def comparison(self, node: ast.Compare) -> _Value:
        parts: list[pl.Expr] = []
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            parts.append(self.compared(left, operator, right))
            left = right
        return self.result(node, pl.all_horizontal(parts) if len(parts) > 1 else parts[0], "truth")

    def compared(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> pl.Expr:
        if isinstance(operator, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Constant) and right.value is None):
                raise self.error(
                    right, "`is` and `is not` go with None only.", "Write `==` or `!=`."
                )
            missing = self.value(left).expression.is_null()
            return missing if isinstance(operator, ast.Is) else ~missing
        if isinstance(operator, ast.In | ast.NotIn):
            found = self.among(left, right)
            return found if isinstance(operator, ast.In) else ~found
        first, second = self.value(left), self.value(right)
        self.same_kind(first, second, right)
        return COMPARISONS[type(operator)](first.expression, second.expression)

    def among(self, left: ast.expr, right: ast.expr) -> pl.Expr:
        value = self.value(left)
        if not isinstance(right, ast.List | ast.Tuple | ast.Set) or not right.elts:
            raise self.error(
                right, "`in` needs a list of values.", "Such as `city in ['Bonn', 'Rome']`."
            )
        options: list[pl.Expr] = []
        for element in right.elts:
            option = self.value(element)
            self.same_kind(value, option, element)
            options.append(value.expression == option.expression)
        return pl.any_horizontal(options)

    def same_kind(self, left: _Value, right: _Value, at: ast.expr) -> None:
        if left.kind == right.kind and left.kind != "other":
            return
        hint = None
        if {left.kind, right.kind} == {"date", "text"}:
            hint = "Write a date as date('2026-01-31')."
        elif {left.kind, right.kind} == {"number", "text"}:
            hint = "Numbers are written without quotes, texts with."
        raise self.error(
            at,
            f"{left.text!r} is {KIND_NAMES[left.kind]} and {right.text!r} is "
            f"{KIND_NAMES[right.kind]}; they cannot be compared.",
            hint,
        )

    def call(self, node: ast.Call, name: str) -> _Value:
        if name in ("col", "date"):
            argument = node.args[0] if len(node.args) == 1 else None
            if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                raise self.error(node, f"{name}(...) takes one text in quotes.")
            if name == "col":
                return self.column(node, argument.value)
            try:
                return self.result(node, pl.lit(date.fromisoformat(argument.value)), "date")
            except ValueError as error:
                message = f"{argument.value!r} is no date such as '2026-01-31'."
                raise self.error(argument, message) from error
        function = FUNCTIONS.get(name)
        if function is None:
            names = sorted([*FUNCTIONS, "col", "date"])
            hint = did_you_mean(name, names, there_are="The functions are")
            raise self.error(node, f"there is no function {name!r}.", hint)
        if len(node.args) != len(function.takes):
            raise self.error(node, f"{name}(...) takes {len(function.takes)} value(s).")
        arguments: list[pl.Expr] = []
        for argument, kind in zip(node.args, function.takes, strict=True):
            value = self.value(argument)
            if value.kind != kind:
                raise self.error(
                    argument,
                    f"{value.text!r} is {KIND_NAMES[value.kind]}, but {name} takes "
                    f"{KIND_NAMES[kind]}.",
                )
            arguments.append(value.expression)
        return self.result(node, function.build(arguments), function.gives)

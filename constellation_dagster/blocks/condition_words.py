"""What conditions are made of: kinds of values, operators and functions."""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import polars as pl

Kind: TypeAlias = Literal["number", "text", "truth", "date", "other"]

KIND_NAMES: Mapping[Kind, str] = {
    "number": "a number",
    "text": "a text",
    "truth": "true or false",
    "date": "a date",
    "other": "of another type",
}
COMPARISONS: Mapping[type[ast.cmpop], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.Eq: lambda left, right: left == right,
    ast.NotEq: lambda left, right: left != right,
    ast.Lt: lambda left, right: left < right,
    ast.LtE: lambda left, right: left <= right,
    ast.Gt: lambda left, right: left > right,
    ast.GtE: lambda left, right: left >= right,
}
ARITHMETIC: Mapping[type[ast.operator], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: (left / right).fill_nan(None),
    ast.FloorDiv: lambda left, right: left // right,
    ast.Mod: lambda left, right: left % right,
}


@dataclass(frozen=True)
class Function:
    """A function that a condition may call."""

    takes: tuple[Kind, ...]
    gives: Kind
    build: Callable[[Sequence[pl.Expr]], pl.Expr]


FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(("number",), "number", lambda args: args[0].abs()),
    "lower": Function(("text",), "text", lambda args: args[0].str.to_lowercase()),
    "upper": Function(("text",), "text", lambda args: args[0].str.to_uppercase()),
    "length": Function(("text",), "number", lambda args: args[0].str.len_chars()),
    "contains": Function(
        ("text", "text"), "truth", lambda args: args[0].str.contains(args[1], literal=True)
    ),
    "starts_with": Function(
        ("text", "text"), "truth", lambda args: args[0].str.starts_with(args[1])
    ),
    "ends_with": Function(("text", "text"), "truth", lambda args: args[0].str.ends_with(args[1])),
}


def kind_of(dtype: pl.DataType) -> Kind:
    """The kind of values that a column has."""
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "text"
    if isinstance(dtype, pl.Boolean):
        return "truth"
    return "date" if isinstance(dtype, pl.Date | pl.Datetime) else "other"

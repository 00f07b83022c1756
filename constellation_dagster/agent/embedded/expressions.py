"""Values computed from a row: "price times quantity" becomes `price * quantity`."""

import re
from collections.abc import Sequence

from constellation_dagster.agent.embedded.conditions import column_name
from constellation_dagster.agent.embedded.reading import Clause, Token

_SIGNS = {
    "times": "*",
    "multiplied": "*",
    "divided": "/",
    "over": "/",
    "plus": "+",
    "minus": "-",
    "*": "*",
    "/": "/",
    "+": "+",
    "-": "-",
    "x": "*",
}
_VERBS = {"multiply": "*", "divide": "/", "sum": "+", "product": "*", "ratio": "/",
          "difference": "-", "subtract": "-"}  # fmt: skip


def find_expression(tokens: Sequence[Token]) -> str | None:
    """The computation that a clause states: the longest run of values with signs between."""
    best: list[str] = []
    for start in range(len(tokens)):
        run = _run(tokens, start)
        if len(run) > len(best):
            best = run
    if len(best) >= 3:
        return " ".join(best)
    verb = next((_VERBS[t.text] for t in tokens if t.kind == "word" and t.text in _VERBS), None)
    values = [_value(t) for t in tokens if t.kind in ("column", "number")]
    if verb and len(values) >= 2:
        return f" {verb} ".join(values[-2:])
    return None


def is_definition(clause: Clause) -> bool:
    """Whether a clause says what a new column is: "revenue is price * quantity"."""
    if len(clause) < 4 or clause[0].kind != "word":
        return False
    return clause[1].text in ("is", "=", "means") and find_expression(clause[2:]) is not None


def _run(tokens: Sequence[Token], start: int) -> list[str]:
    parts: list[str] = []
    for token in tokens[start:]:
        wants_value = len(parts) % 2 == 0
        if wants_value and token.kind in ("column", "number"):
            parts.append(_value(token))
        elif not wants_value and token.text in _SIGNS and token.kind in ("word", "mark"):
            parts.append(_SIGNS[token.text])
        elif parts and token.is_any(("by", "the")):
            continue
        else:
            break
    return parts if len(parts) % 2 else parts[:-1]


def _value(token: Token) -> str:
    return column_name(token.text) if token.kind == "column" else re.sub(r"%$", "", token.text)

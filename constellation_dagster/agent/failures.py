"""Why a run failed, as its row tells it."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

_LONGEST_ERROR = 1000


def errors_of(error: object, progress: object) -> Iterator[str]:
    """What a row says of its failure: for the run, and for each node."""
    told: dict[str, str] = {}
    message = ""
    if isinstance(error, dict):
        failure = cast("Mapping[str, Any]", error)
        yield (message := _error(failure))
        told = dict(failure.get("nodes") or {})
    for node, entry in cast("Mapping[str, Any]", progress or {}).items():
        if entry.get("error"):
            told.setdefault(node, entry["error"])
    for node, failure in told.items():
        # The run's own error mostly says what its nodes say.
        if (text := _error(failure)) not in message:
            yield f"Node `{node}`: {text}"


def _error(error: object) -> str:
    if not isinstance(error, dict):
        return str(error)[:_LONGEST_ERROR]
    failure = cast("Mapping[str, object]", error)
    hint = f" {failure['hint']}" if failure.get("hint") else ""
    return f"{failure.get('message') or failure.get('code')}{hint}"[:_LONGEST_ERROR]

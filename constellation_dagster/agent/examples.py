"""The requests that a language model is shown, with what to answer: those most like the present one."""

from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.resources.embeddings import get_embedder


class Example(BaseModel):
    """A request and what a planner answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: str
    data: dict[str, Any] = Field(default_factory=dict, description="As the model is shown it.")
    answer: dict[str, Any] = Field(description="As the model answers.")

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks that the answer uses."""
        return tuple(step["block"] for step in self.answer.get("steps", ()))


@lru_cache(maxsize=1)
def load_examples() -> tuple[Example, ...]:
    """All examples."""
    text = (resources.files("constellation_dagster.agent") / "examples.yaml").read_text("utf-8")
    return TypeAdapter(tuple[Example, ...]).validate_python(yaml.safe_load(text))


def closest_examples(request: str, count: int, *, edits: bool) -> tuple[Example, ...]:
    """The examples most like a request, the likest last: it is what a model heeds most.

    Args:
        request: What the person said.
        count: How many.
        edits: Whether there is a pipeline or draft that the request may be about.
    """
    known = [e for e in load_examples() if edits or e.answer["action"] != "edit"]
    ranked = [known[p] for p in most_alike(request, [example.request for example in known])]
    near = ranked[:count]
    if all(example.blocks for example in near):
        # One at least shows that not every request has a pipeline.
        near = [*near[:-1], next(example for example in ranked if not example.blocks)]
    return tuple(reversed(near))


def most_alike(text: str, others: Sequence[str]) -> list[int]:
    """Places of the other texts, the one most like the text first; as they are if none can tell."""
    try:
        (wanted,) = get_embedder().embed([text])
        vectors = _vectors(tuple(others))
    except ConstellationError:
        return list(range(len(others)))
    near = [_dot(wanted, vector) for vector in vectors]
    return sorted(range(len(others)), key=lambda place: -near[place])


@lru_cache(maxsize=8)
def _vectors(texts: tuple[str, ...]) -> list[list[float]]:
    return get_embedder().embed(texts)


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))

"""What a run of a draft on the first rows of its data gave.

It is kept as JSON with the draft, so everything in it is small and of a kind that JSON has.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import polars as pl
from PIL import Image as PILImage
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from constellation_dagster.domain.markdown import cut
from constellation_dagster.domain.ports import PortType
from constellation_dagster.domain.values import File, Model

HEAD_ROWS = 5
HEAD_COLUMNS = 50
CELL_CHARACTERS = 80
TEXT_CHARACTERS = 500


class SampleColumn(BaseModel):
    """A column of a table."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    type: str = Field(description="As polars calls it.")


class SampleOutput(BaseModel):
    """An output of a node."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str = Field(description="The port's type, such as `Table`.")
    rows: int | None = Field(default=None, description="Of a table, all rows on the sample.")
    columns: tuple[SampleColumn, ...] = ()
    more_columns: int = Field(default=0, description="Columns that are not among `columns`.")
    head: tuple[tuple[JsonValue, ...], ...] = Field(
        default=(), description="Of a table, the first rows, with a value for each of `columns`."
    )
    shape: tuple[int, ...] | None = Field(
        default=None, description="Of an array its dimensions, of an image height and width."
    )
    text: str | None = Field(default=None, description="What is to be said of any other.")

    @property
    def summary(self) -> str:
        """In a few words, such as `Table, 200 rows, 8 columns`."""
        if self.rows is not None:
            width = len(self.columns) + self.more_columns
            return f"{self.type}, {_count(self.rows, 'row')}, {_count(width, 'column')}"
        shape = " x ".join(map(str, self.shape or ()))
        return ", ".join(part for part in (self.type, shape, self.text) if part)


class SampleProblem(BaseModel):
    """Why the run did not get further."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    node: str | None = Field(default=None, description="The node, if it is one's.")
    message: str = Field(description="What went wrong and what to do about it.")

    def __str__(self) -> str:
        return f"node {self.node!r}: {self.message}" if self.node else self.message


class SkippedNode(BaseModel):
    """A node that was not run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    node: str
    why: str = Field(description="As one sentence.")


class SampleResult(BaseModel):
    """What a run of a draft on the first rows of its data gave."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ok: bool = Field(description="Whether all that could be run gave its outputs.")
    rows: int = Field(default=0, description="The most rows that a source gave.")
    seconds: float = Field(default=0.0, description="How long it took, its start included.")
    outputs: Mapping[str, SampleOutput] = Field(default={}, description="By `node.port`, in order.")
    problems: tuple[SampleProblem, ...] = ()
    skipped: tuple[SkippedNode, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As `DraftProposal.sample` has it."""
        return self.model_dump(mode="json", exclude_none=True)


def describe_output(port_type: PortType, value: Any) -> SampleOutput:
    """What is to be seen of an output.

    Args:
        port_type: The type of its port.
        value: A value of that type.
    """
    return SampleOutput(type=port_type.value, **_DESCRIBE[port_type](value))


def _table(frame: pl.DataFrame) -> dict[str, Any]:
    shown = frame.head(HEAD_ROWS).select(frame.columns[:HEAD_COLUMNS])
    return {
        "rows": frame.height,
        "columns": [
            SampleColumn(name=_text(name, CELL_CHARACTERS), type=_text(str(dtype), CELL_CHARACTERS))
            for name, dtype in shown.schema.items()
        ],
        "more_columns": frame.width - shown.width,
        "head": [tuple(map(_cell, row)) for row in shown.iter_rows()],
    }


def _cell(value: object) -> JsonValue:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _text(str(value), CELL_CHARACTERS)


def _text(text: str, characters: int) -> str:
    """A text that is not too long and that Postgres takes: without NULs and halves of letters."""
    short = cut(text, characters).replace("\0", "\ufffd")
    return short.encode("utf-8", errors="replace").decode("utf-8")


def _array(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"shape": array.shape, "text": str(array.dtype)}


def _image(image: PILImage.Image) -> dict[str, Any]:
    return {"shape": (image.height, image.width), "text": image.mode}


def _model(model: Model) -> dict[str, Any]:
    said = f"{model.task} of {model.target!r} from {', '.join(model.features)}"
    return {"text": _text(said, TEXT_CHARACTERS)}


def _metrics(metrics: Mapping[str, float]) -> dict[str, Any]:
    said = ", ".join(f"{name} {value:.6g}" for name, value in metrics.items())
    return {"text": _text(said, TEXT_CHARACTERS)}


def _json(value: Any) -> dict[str, Any]:
    return {"text": _text(json.dumps(value, ensure_ascii=False), TEXT_CHARACTERS)}


def _file(file: File) -> dict[str, Any]:
    return {"text": _text(f"{file.url}, {_count(file.size, 'byte')}", TEXT_CHARACTERS)}


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


_DESCRIBE: Final[Mapping[PortType, Callable[[Any], dict[str, Any]]]] = {
    PortType.TABLE: _table,
    PortType.ARRAY: _array,
    PortType.IMAGE: _image,
    PortType.MODEL: _model,
    PortType.METRICS: _metrics,
    PortType.TEXT: lambda text: {"text": _text(text, TEXT_CHARACTERS)},
    PortType.JSON: _json,
    PortType.FILE: _file,
}

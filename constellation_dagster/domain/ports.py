"""Port types: what can flow along an edge.

A block's function names them in its type hints: `Table`, `Array`, `Image`, `Model`, `Metrics`,
`Text`, `Json`, `File`, and `list[Table]` and so on for an input that takes many edges in order.
To a type checker they are the Python types that the values have.
"""

from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import numpy as np
import PIL.Image
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from constellation_dagster.domain import values


class PortType(StrEnum):
    """The kinds of value. They are nominal: only equal types fit together."""

    TABLE = "Table"
    ARRAY = "Array"
    IMAGE = "Image"
    MODEL = "Model"
    METRICS = "Metrics"
    TEXT = "Text"
    JSON = "Json"
    FILE = "File"


Table: TypeAlias = Annotated[pl.DataFrame, PortType.TABLE]
Array: TypeAlias = Annotated[np.ndarray[Any, np.dtype[Any]], PortType.ARRAY]
Image: TypeAlias = Annotated[PIL.Image.Image, PortType.IMAGE]
Metrics: TypeAlias = Annotated[dict[str, float], PortType.METRICS]
Text: TypeAlias = Annotated[str, PortType.TEXT]
Json: TypeAlias = Annotated[JsonValue, PortType.JSON]
Model: TypeAlias = Annotated[values.Model, PortType.MODEL]
File: TypeAlias = Annotated[values.File, PortType.FILE]


class Port(BaseModel):
    """An input or output of a block."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Its name; `node.name` is one end of an edge.")
    type: PortType = Field(description="What flows through it.")
    many: bool = Field(default=False, description="An input that takes many edges, in order.")
    required: bool = Field(default=True, description="An input that needs an edge.")
    description: str = Field(default="", description="What it is for.")

    @property
    def type_name(self) -> str:
        """`Table`, or `List[Table]` for a port that takes many."""
        return f"List[{self.type}]" if self.many else str(self.type)

    @property
    def a_type(self) -> str:
        """The type's name with its article, for messages: `a Table`, `an Image`."""
        return f"{'an' if self.type_name[0] in 'AI' else 'a'} {self.type_name}"

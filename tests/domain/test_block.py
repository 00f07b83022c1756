"""Declaring a block, and calling one."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import PIL.Image
import polars as pl
import pytest
from pydantic import Field, ValidationError

from constellation_dagster.domain.errors import BlockDeclarationError, BlockOutputError
from constellation_dagster.domain.ports import (
    Array,
    File,
    Image,
    Json,
    Metrics,
    Model,
    Port,
    PortType,
    Table,
    Text,
)
from constellation_dagster.domain.registry import BlockDefinition, block
from constellation_dagster.domain.tables import TableStore
from constellation_dagster.domain.values import File as WrittenFile
from constellation_dagster.domain.values import Model as FittedModel


class Parts(NamedTuple):
    good: Annotated[Table, Field(description="The good rows.")]
    notes: Text


@block(kind="transform", version=3, requirements=["nothing>=1"], resources=["tables"])
def sort_out(
    table: Annotated[Table, Field(description="The rows.")],
    others: list[Table],
    image: Image | None,
    text: Text | None = None,
    *,
    least: Annotated[int, Field(description="The least.", ge=0)],
    how: Annotated[Literal["quick", "slow"], Field(description="How.")] = "quick",
    tables: TableStore,
) -> Parts:
    """Sort rows out.

    At *length*.
    """
    assert tables is not None
    assert image is None
    return Parts(pl.concat([table, *others]).head(least), text or how)


FRAME = pl.DataFrame({"a": [1, 2]})


def test_everything_is_read_off_the_function() -> None:
    assert (sort_out.name, sort_out.ref, sort_out.kind) == ("sort_out", "sort_out@3", "transform")
    assert sort_out.summary == "Sort rows out."
    assert sort_out.doc == "Sort rows out.\n\nAt *length*."
    assert sort_out.inputs == (
        Port(name="table", type=PortType.TABLE, description="The rows."),
        Port(name="others", type=PortType.TABLE, many=True),
        Port(name="image", type=PortType.IMAGE, required=False),
        Port(name="text", type=PortType.TEXT, required=False),
    )
    assert [port.type_name for port in sort_out.inputs[:2]] == ["Table", "List[Table]"]
    assert sort_out.outputs == (
        Port(name="good", type=PortType.TABLE, description="The good rows."),
        Port(name="notes", type=PortType.TEXT),
    )
    assert sort_out.config_schema == {
        "title": "SortOutConfig",
        "type": "object",
        "additionalProperties": False,
        "required": ["least"],
        "properties": {
            "least": {
                "title": "Least",
                "description": "The least.",
                "type": "integer",
                "minimum": 0,
            },
            "how": {
                "title": "How",
                "description": "How.",
                "type": "string",
                "enum": ["quick", "slow"],
                "default": "quick",
            },
        },
    }
    assert sort_out.requirements == ("nothing>=1",)
    assert sort_out.resources == ("tables",)
    assert sort_out.code_version.startswith("3-")


def test_calling_it_calls_the_function() -> None:
    assert sort_out(FRAME, [FRAME], None, least=3, tables=object()).good.height == 3  # type: ignore[arg-type]


def test_a_runner_calls_it_by_port_names() -> None:
    result = sort_out.call(
        {"table": FRAME, "others": [FRAME, FRAME]},
        {"least": 5},
        {"tables": object(), "not asked for": 1},
    )
    assert list(result) == ["good", "notes"]
    assert result["notes"] == "quick"
    with pytest.raises(ValidationError):
        sort_out.call({"table": FRAME, "others": []}, {"least": -1}, {"tables": object()})


def _declared(hint: Any) -> BlockDefinition[..., Any]:
    def returner(*, value: Annotated[Any, Field(description="What to return.")]) -> Any:
        """Return it."""
        return value

    returner.__annotations__["return"] = hint
    return block(kind="source")(returner)


GOOD: list[tuple[Any, str, Any]] = [
    (Table, "table", FRAME),
    (Array, "array", np.ones(2)),
    (Image, "image", PIL.Image.new("RGB", (1, 1))),
    (Model, "model", FittedModel(None, (), "y", "regression")),
    (Metrics, "metrics", {"a": 1.0}),
    (Text, "text", "a"),
    (Json, "json", {"a": [1, None, "b"]}),
    (File, "file", WrittenFile("a", 1, "b")),
]


def _call(definition: BlockDefinition[..., Any], value: object) -> dict[str, object]:
    return definition._outputs(value)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(("hint", "name", "value"), GOOD, ids=[name for _, name, _ in GOOD])
def test_one_output_is_named_after_its_type_and_checked(hint: Any, name: str, value: Any) -> None:
    definition = _declared(hint)
    returned = _call(definition, value)[name]
    assert returned is value or returned == value
    for _, other, wrong in GOOD:
        # A text and metrics are JSON as well.
        if other == name or (name == "json" and other in ("text", "metrics")):
            continue
        with pytest.raises(BlockOutputError, match=f"for its output '{name}', which is an? "):
            _call(definition, wrong)


def test_metrics_become_plain_floats() -> None:
    returned = _call(_declared(Metrics), {"a": np.float32(0.5), "b": 2})["metrics"]
    assert returned == {"a": 0.5, "b": 2.0}
    assert {type(number) for number in returned.values()} == {float}  # type: ignore[union-attr]
    with pytest.raises(BlockOutputError, match="a dict of numbers by name"):
        _call(_declared(Metrics), {"a": "b"})


def test_too_few_outputs() -> None:
    with pytest.raises(
        BlockOutputError, match="one value instead of one value for each of its outputs good"
    ):
        _call(sort_out, FRAME)


def no_doc(table: Table) -> Table:
    return table


def Upper(table: Table) -> Table:  # noqa: N802
    """Bad name."""
    return table


def no_type(table: Table) -> Table:
    """No type."""
    return table


del no_type.__annotations__["table"]


def plain_type(table: pl.DataFrame) -> Table:
    """A type that is no port type."""
    return table


def no_return(table: Table):  # type: ignore[no-untyped-def]
    """No return type."""
    return table


def returns_none(table: Table) -> None:
    """Nothing comes out."""


def returns_list(table: Table) -> list[Table]:
    """A list comes out."""
    return [table]


def variadic(*tables: Table) -> Table:
    """Any number of ports."""
    return tables[0]


def config_in_front(table: Table, limit: int = 3) -> Table:
    """Config before the star."""
    return table.head(limit)


def port_default(table: Table, text: Text = "a") -> Table:
    """A port with a default."""
    return table.with_columns(pl.lit(text))


def not_described(table: Table, *, limit: int = 3) -> Table:
    """A key without description."""
    return table.head(limit)


def untyped_key(table: Table, *, limit=3) -> Table:  # type: ignore[no-untyped-def]
    """A key without type."""
    return table.head(limit)


def taken_key(table: Table, *, json: Annotated[int, Field(description="x")] = 1) -> Table:
    """A key that pydantic needs itself."""
    return table.head(json)


def bad_default(table: Table, *, limit: Annotated[int, Field(description="x", ge=5)] = 1) -> Table:
    """A default that is not valid."""
    return table.head(limit)


def not_json(table: Table, *, frame: Annotated[pl.DataFrame, Field(description="x")]) -> Table:
    """A key that JSON cannot hold."""
    return pl.concat([table, frame])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (no_doc, "it has no docstring"),
        (Upper, "its name has to start with a lower-case letter"),
        (no_type, "parameter 'table' has no type; an input port has one of Table, Array"),
        (plain_type, "parameter 'table' has the type DataFrame, which is not a port type"),
        (no_return, "it has no return type"),
        (returns_none, "the return type has the type NoneType, which is not a port type"),
        (returns_list, "the return type has the type list, which is not a port type"),
        (variadic, "a port or key needs a name"),
        (config_in_front, "parameter 'limit' is an input port, so its default can only be None"),
        (port_default, "parameter 'text' is an input port, so its default can only be None"),
        (not_described, "configuration key 'limit' has no description"),
        (untyped_key, "configuration key 'limit' has no type"),
        (taken_key, "configuration key 'json': this name is taken"),
        (bad_default, "the default of configuration key 'limit' must be at least 5, not 1"),
        (not_json, "its configuration cannot be read from JSON"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong_and_where(
    function: Callable[..., Any], message: str
) -> None:
    with pytest.raises(BlockDeclarationError) as caught:
        block(kind="transform")(function)
    assert message in str(caught.value)
    assert f"block '{function.__name__}'" in str(caught.value)
    assert "test_block.py" in str(caught.value)


def test_wrong_arguments_of_the_decorator() -> None:
    for arguments, message in [
        ({"kind": "tranform"}, "kind 'tranform' is none of"),
        ({"kind": "sink", "version": 0}, "version 0 has to be 1 or more"),
        ({"kind": "sink", "resources": ("tables",)}, "resource 'tables' is not a keyword-only"),
    ]:
        with pytest.raises(BlockDeclarationError, match=message):
            block(**arguments)(no_options)  # type: ignore[arg-type]


def no_options(table: Table) -> Table:
    """Nothing to set."""
    return table

"""`@block`: a plain typed function becomes a block."""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, ParamSpec, TypeAlias, TypeVar, cast, get_args

from pydantic import BaseModel, JsonValue

from constellation_dagster.domain.declaration import read_declaration
from constellation_dagster.domain.errors import BlockDeclarationError, BlockOutputError
from constellation_dagster.domain.port_values import as_port_value
from constellation_dagster.domain.ports import Port

P = ParamSpec("P")
R = TypeVar("R")

BlockKind = Literal["source", "transform", "train", "infer", "evaluate", "sink"]


@dataclass(frozen=True, eq=False)
class BlockDefinition(Generic[P, R]):
    """A block. Calling it calls its function, so that it can be used and tested as one."""

    name: str
    version: int
    kind: BlockKind
    summary: str
    """What it does, in one line: the first line of the docstring."""
    doc: str
    """The whole docstring, as Markdown."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    config_model: type[BaseModel]
    """The configuration: one field per keyword-only parameter."""
    requirements: tuple[str, ...]
    """Python packages that it needs beyond the platform's own."""
    resources: tuple[str, ...]
    """Keyword-only parameters that the runner provides."""
    function: Callable[P, R]
    code_version: str
    """Changes with the version and with the function's source."""
    phrases: tuple[str, ...] = ()
    """How a person would say what it does."""

    @property
    def ref(self) -> str:
        """The name with the version: `read_csv@1`."""
        return f"{self.name}@{self.version}"

    @property
    def config_schema(self) -> dict[str, JsonValue]:
        """The configuration's JSON Schema."""
        return self.config_model.model_json_schema()

    def input(self, name: str) -> Port | None:
        """The input port of that name."""
        return next((port for port in self.inputs if port.name == name), None)

    def output(self, name: str) -> Port | None:
        """The output port of that name."""
        return next((port for port in self.outputs if port.name == name), None)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    def call(
        self,
        inputs: Mapping[str, object],
        config: Mapping[str, Any],
        resources: Mapping[str, object],
    ) -> dict[str, object]:
        """Run the block as a node of a pipeline.

        Args:
            inputs: A value for each input port (a list for a list port); optional ones may be
                left out.
            config: The configuration as JSON; defaults may be left out.
            resources: What it declares in `resources`; more is ignored.

        Returns:
            A value for each output port.

        Raises:
            BlockFailed: The user of the block made a mistake.
            BlockOutputError: The block returned something else than it declares.
            pydantic.ValidationError: The configuration is not valid.
        """
        settings = self.config_model.model_validate(dict(config))
        values: dict[str, object] = {
            name: getattr(settings, name) for name in self.config_model.model_fields
        }
        values.update({name: resources[name] for name in self.resources})
        arguments = [
            inputs[port.name] if port.required else inputs.get(port.name) for port in self.inputs
        ]
        function = cast("Callable[..., object]", self.function)
        return self._outputs(function(*arguments, **values))

    def _outputs(self, returned: object) -> dict[str, object]:
        several = isinstance(returned, tuple)
        results: Sequence[object] = cast("Sequence[object]", returned) if several else (returned,)
        if len(results) != len(self.outputs):
            count = len(results) if several else "one value"
            raise BlockOutputError(
                f"block {self.ref!r} returned {count} instead of one value for each of its "
                f"outputs {', '.join(port.name for port in self.outputs)}."
            )
        return {
            port.name: as_port_value(self.ref, port, value)
            for port, value in zip(self.outputs, results, strict=True)
        }


AnyBlock: TypeAlias = BlockDefinition[..., Any]
"""A block, whatever its function takes and returns."""


def block(
    *,
    kind: BlockKind,
    version: int = 1,
    requirements: Sequence[str] = (),
    resources: Sequence[str] = (),
    phrases: Sequence[str] = (),
) -> Callable[[Callable[P, R]], BlockDefinition[P, R]]:
    """Declare that a function is a block.

    Positional parameters are the input ports, keyword-only parameters the configuration (each
    `Annotated[type, Field(description=...)]`), the return type the output ports (several: a
    `NamedTuple`), and the docstring the documentation.

    Args:
        kind: What sort of step it is.
        version: Raise it when pipelines made for the previous one would no longer mean the same.
        requirements: Python packages that it needs beyond the platform's own.
        resources: Keyword-only parameters that the platform provides and are no configuration.
        phrases: How a person would say what it does, such as "drop incomplete rows".

    Raises:
        BlockDeclarationError: The function cannot be a block; the message says why.
    """

    def decorate(function: Callable[P, R]) -> BlockDefinition[P, R]:
        if kind not in get_args(BlockKind):
            raise BlockDeclarationError(
                f"block {function.__name__!r}: kind {kind!r} is none of "
                f"{', '.join(get_args(BlockKind))}."
            )
        if version < 1:
            raise BlockDeclarationError(
                f"block {function.__name__!r}: version {version!r} has to be 1 or more."
            )
        declared = read_declaration(function, resources=tuple(resources))
        return BlockDefinition(
            name=function.__name__,
            version=version,
            kind=kind,
            summary=declared.summary,
            doc=declared.doc,
            inputs=declared.inputs,
            outputs=declared.outputs,
            config_model=declared.config_model,
            requirements=tuple(requirements),
            resources=tuple(resources),
            function=function,
            code_version=f"{version}-{_source_hash(function)}",
            phrases=tuple(phrases),
        )

    return decorate


def _source_hash(function: Callable[..., object]) -> str:
    try:
        source = inspect.getsource(function).encode()
    except (OSError, TypeError):
        # Defined where there is no source file, as in a notebook cell or a zipped package.
        source = function.__code__.co_code + repr(function.__code__.co_consts).encode()
    return hashlib.sha256(source).hexdigest()[:12]

"""Reading a block's ports, configuration and documentation off its function."""

import inspect
import re
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo

from constellation_dagster.domain.errors import BlockDeclarationError
from constellation_dagster.domain.ports import Port, PortType
from constellation_dagster.domain.validation import explain

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PORT_TYPES = ", ".join(PortType)


@dataclass(frozen=True)
class Declaration:
    """What a function says about the block that it is."""

    summary: str
    doc: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    config_model: type[BaseModel]


def read_declaration(function: Callable[..., object], *, resources: tuple[str, ...]) -> Declaration:
    """Read a block off its function.

    Raises:
        BlockDeclarationError: It says what is wrong, and at which parameter.
    """
    return _Reader(function, resources).read()


class _Reader:
    def __init__(self, function: Callable[..., object], resources: tuple[str, ...]) -> None:
        self.function = function
        self.resources = resources
        self.signature = inspect.signature(function)
        try:
            self.hints: dict[str, Any] = get_type_hints(function, include_extras=True)
        except (NameError, TypeError) as error:
            raise self.error(f"its type hints cannot be read: {error}.") from error

    def error(self, message: str) -> BlockDeclarationError:
        code = self.function.__code__
        return BlockDeclarationError(
            f"block {self.function.__name__!r} "
            f"({code.co_filename}, line {code.co_firstlineno}): {message}"
        )

    def read(self) -> Declaration:
        if not _NAME.fullmatch(self.function.__name__):
            raise self.error(
                "its name has to start with a lower-case letter and go on with lower-case "
                "letters, digits and '_', 63 at most."
            )
        doc = inspect.getdoc(self.function)
        if not doc:
            raise self.error("it has no docstring, which is its documentation.")
        inputs, config = self.parameters()
        return Declaration(
            summary=doc.splitlines()[0].strip(),
            doc=doc,
            inputs=inputs,
            outputs=self.outputs(),
            config_model=self.config_model(config),
        )

    def parameters(self) -> tuple[tuple[Port, ...], list[inspect.Parameter]]:
        inputs: list[Port] = []
        config: list[inspect.Parameter] = []
        for parameter in self.signature.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise self.error(
                    f"parameter {str(parameter)!r}: a port or key needs a name; a port that takes "
                    "many edges is a parameter of type list[...]."
                )
            if parameter.kind is not parameter.KEYWORD_ONLY:
                inputs.append(self.input_port(parameter))
            elif parameter.name not in self.resources:
                config.append(parameter)
        for name in self.resources:
            parameter = self.signature.parameters.get(name)
            if parameter is None or parameter.kind is not parameter.KEYWORD_ONLY:
                raise self.error(f"resource {name!r} is not a keyword-only parameter of it.")
        return tuple(inputs), config

    def input_port(self, parameter: inspect.Parameter) -> Port:
        name = parameter.name
        where = f"parameter {name!r}"
        if name not in self.hints:
            raise self.error(f"{where} has no type; an input port has one of {_PORT_TYPES}.")
        hint, optional = _without_none(self.hints[name])
        has_default = parameter.default is not parameter.empty
        if has_default and parameter.default is not None:
            raise self.error(
                f"{where} is an input port, so its default can only be None (an edge may be "
                "missing). Configuration comes after a '*' in the signature."
            )
        many = get_origin(hint) is list
        port_type = self.port_type(get_args(hint)[0] if many else hint, where)
        if not _NAME.fullmatch(name):
            raise self.error(f"{where} is no good name for a port: use a-z, 0-9 and '_'.")
        return Port(
            name=name,
            type=port_type,
            many=many,
            required=not (optional or has_default),
            description=_description(hint),
        )

    def outputs(self) -> tuple[Port, ...]:
        if "return" not in self.hints:
            raise self.error(f"it has no return type; an output is one of {_PORT_TYPES}.")
        hint = self.hints["return"]
        fields = getattr(hint, "_fields", None)
        if fields is None:
            port_type = self.port_type(hint, "the return type")
            return (Port(name=port_type.lower(), type=port_type, description=_description(hint)),)
        hints = get_type_hints(hint, include_extras=True)
        return tuple(
            Port(
                name=name,
                type=self.port_type(hints[name], f"output {name!r}"),
                description=_description(hints[name]),
            )
            for name in cast("Sequence[str]", fields)
        )

    def port_type(self, hint: Any, where: str) -> PortType:
        for item in getattr(hint, "__metadata__", ()):
            if isinstance(item, PortType):
                return item
        shown = getattr(hint, "__name__", None) or str(hint)
        raise self.error(
            f"{where} has the type {shown}, which is not a port type. Use one of {_PORT_TYPES} "
            "from constellation_dagster.domain.ports (an input may also be a list[...] of one)."
        )

    def config_model(self, parameters: Sequence[inspect.Parameter]) -> type[BaseModel]:
        fields: dict[str, Any] = {}
        for parameter in parameters:
            name = parameter.name
            where = f"configuration key {name!r}"
            if name.startswith("_") or hasattr(BaseModel, name):
                raise self.error(f"{where}: this name is taken; choose another.")
            if name not in self.hints:
                raise self.error(f"{where} has no type.")
            if not _description(self.hints[name]):
                raise self.error(
                    f"{where} has no description: Annotated[..., Field(description='...')]."
                )
            default: Any = parameter.default
            fields[name] = (self.hints[name], ... if default is parameter.empty else default)
        try:
            model = create_model(
                "".join(part.title() for part in self.function.__name__.split("_")) + "Config",
                __config__=ConfigDict(extra="forbid", frozen=True, validate_default=True),
                __module__=self.function.__module__,
                **fields,
            )
            model.model_json_schema()
        except PydanticUserError as error:
            reason = str(error).splitlines()[0]
            raise self.error(f"its configuration cannot be read from JSON: {reason}") from error
        try:
            model.model_validate({})
        except ValidationError as error:
            for issue in explain(error, model, {}):
                if issue.code == "bad_value":
                    sentence = issue.sentence(noun="configuration key")
                    raise self.error(f"the default of {sentence}") from error
        return model


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (Union, types.UnionType):
        members = [member for member in get_args(hint) if member is not types.NoneType]
        if len(members) == 1 and len(members) < len(get_args(hint)):
            return members[0], True
    return hint, False


def _description(hint: Any) -> str:
    """The description in `Annotated[..., Field(description=...)]`."""
    if get_origin(hint) is Annotated:
        for item in hint.__metadata__:
            if isinstance(item, FieldInfo) and item.description:
                return item.description
    return ""

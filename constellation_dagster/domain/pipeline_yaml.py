"""Pipelines as YAML files."""

from typing import Any, cast

import yaml
from typing_extensions import override

from constellation_dagster.domain.errors import PipelineInvalid, Problem
from constellation_dagster.domain.schemas import PipelineCreateSchema, parse_pipeline

_TIMESTAMP = "tag:yaml.org,2002:timestamp"


def load_yaml(text: str) -> PipelineCreateSchema:
    """Read a pipeline from YAML (or JSON, which is YAML too).

    A component file, `type` and `attributes`, is read as the pipeline in its attributes.

    Raises:
        PipelineInvalid: It is no YAML, or not of a pipeline's shape; it lists every place.
    """
    try:
        # The loader is a SafeLoader.
        data: object = yaml.load(text, Loader=_Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise _not_yaml(f"{where}{error.problem or 'this is not valid YAML'}") from error
    except yaml.YAMLError as error:
        raise _not_yaml(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise _not_yaml("it is nested too deeply") from error
    except ValueError as error:
        # YAML's own constructors, for a number or text that Python cannot hold.
        raise _not_yaml(str(error)) from error
    return parse_pipeline(_attributes(data))


def _attributes(data: object) -> object:
    if not isinstance(data, dict):
        return data
    file = cast("dict[object, object]", data)
    attributes = file.get("attributes")
    if "type" not in file or not isinstance(attributes, dict):
        return file
    pipeline = cast("dict[object, object]", attributes)
    return {key: value for key, value in pipeline.items() if key != "owner"}


def dump_yaml(spec: PipelineCreateSchema) -> str:
    """Write a pipeline as YAML, without what is at its default; `load_yaml` gives it back."""
    content: dict[str, Any] = spec.model_dump(mode="json", exclude_defaults=True)
    ordered = {key: content[key] for key in PipelineCreateSchema.model_fields if key in content}
    return yaml.dump(ordered, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _not_yaml(reason: str) -> PipelineInvalid:
    message = f"it cannot be read as YAML: {reason.rstrip('.')}."
    return PipelineInvalid([Problem(code="bad_yaml", message=message)])


class _Loader(yaml.SafeLoader):
    """YAML without what surprises: dates stay text, keys are given once, nothing is aliased."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    @override
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # A few nested aliases can stand for more data than memory holds.
        if self.check_event(yaml.AliasEvent):
            event = cast("yaml.Event", self.peek_event())
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not supported",
                problem_mark=cast("yaml.Mark", event.start_mark),
            )
        return super().compose_node(parent, index)

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Block style with indented lists, and text of several lines as such."""

    @override
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)

    @override
    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    # YAML takes more characters for line breaks than Python writes as such: escape what is odd.
    if not all(character.isprintable() or character == "\n" for character in text):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)

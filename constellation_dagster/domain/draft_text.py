"""A draft as text: unlike a pipeline it may be incomplete, and so not of a pipeline's shape."""

import difflib
from collections.abc import Mapping
from typing import Any

import yaml

from constellation_dagster.domain.errors import PipelineInvalid
from constellation_dagster.domain.pipeline_yaml import dump_yaml
from constellation_dagster.domain.schemas import parse_pipeline


def draft_yaml(spec: Mapping[str, Any]) -> str:
    """A draft's pipeline as YAML, as `pipeline apply` takes it where it is complete."""
    try:
        return dump_yaml(parse_pipeline(dict(spec)))
    except PipelineInvalid:
        return yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True, width=100)


def draft_changes(base: Mapping[str, Any] | None, spec: Mapping[str, Any]) -> str:
    """What a draft changes, line by line; all of its lines are new where it changes no pipeline."""
    before = draft_yaml(base).splitlines() if base is not None else []
    after = draft_yaml(spec).splitlines()
    name = str(spec.get("name", "draft"))
    lines = difflib.unified_diff(
        before, after, f"{name} (as it is)", f"{name} (draft)", n=2, lineterm=""
    )
    return "\n".join(lines)

"""From a pipeline to a plan, or to everything that is wrong with it."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import cast
from zoneinfo import available_timezones

from croniter import CroniterError, croniter
from pydantic import JsonValue, ValidationError

from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.errors import PipelineInvalid, Problem
from constellation_dagster.domain.graph import topological_order
from constellation_dagster.domain.plan import Plan, PlanNode
from constellation_dagster.domain.registry import Registry
from constellation_dagster.domain.schemas import (
    NodeSchema,
    PipelineCreateSchema,
    ScheduleSchema,
    pipeline_digest,
)
from constellation_dagster.domain.suggestions import closest
from constellation_dagster.domain.validation import explain
from constellation_dagster.domain.wiring import Wiring, wire

RESERVED_NAMES = frozenset(
    {
        "blocks",
        "pipelines",
        "runs",
        "model_packages",
        "model_images",
        "deployments",
        "generated_pipelines",
        "conversations",
    }
)
"""Pipeline names that would collide with the platform's own assets."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
# What Dagster takes as tags of a definition; one that it refuses would fail the whole location.
_TAG_KEY = re.compile(r"([A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}")
_TAG_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}")
_PLATFORM_TAGS = ("dagster/", "constellation/")


def compile_pipeline(spec: PipelineCreateSchema, registry: Registry) -> Plan:
    """Compile a pipeline: its blocks looked up, its config checked, its edges resolved, in order.

    Pure, and linear in the number of nodes and edges.

    Raises:
        PipelineInvalid: It lists every problem; what only follows from another one is left out.
    """
    problems = [*_name_problems(spec), *_schedule_problems(spec), *_tag_problems(spec)]
    blocks: dict[str, AnyBlock | None] = {}
    configs: dict[str, dict[str, JsonValue]] = {}
    for node in spec.nodes:
        block = registry.find(node.block)
        if block is None:
            message, hint = registry.why_unknown(node.block)
            problems.append(_problem(spec, "unknown_block", message, hint, node=node.id))
        else:
            config, found = _config(spec, node, block)
            problems.extend(found)
            configs.setdefault(node.id, config)
        # Of several nodes with one id, edges are taken to mean the first.
        blocks.setdefault(node.id, block)
    wiring = wire(_renamed(spec), blocks)
    problems.extend(wiring.problems)
    if problems:
        # Two equal nodes with one id have equal problems.
        raise PipelineInvalid(dict.fromkeys(problems))
    return Plan(
        pipeline=spec,
        nodes=tuple(_plan_nodes(spec, blocks, configs, wiring)),
        digest=pipeline_digest(spec),
    )


def _plan_nodes(
    spec: PipelineCreateSchema,
    blocks: dict[str, AnyBlock | None],
    configs: dict[str, dict[str, JsonValue]],
    wiring: Wiring,
) -> Iterator[PlanNode]:
    retries = {node.id: node.retries for node in spec.nodes}
    for node_id in topological_order(wiring.children):
        inputs = wiring.inputs[node_id]
        yield PlanNode(
            id=node_id,
            block=cast("AnyBlock", blocks[node_id]),
            config=configs[node_id],
            retries=retries[node_id],
            inputs=inputs,
            parents=tuple(sorted({ref.node for refs in inputs.values() for ref in refs})),
            children=tuple(sorted(wiring.children[node_id])),
        )


def _config(
    spec: PipelineCreateSchema, node: NodeSchema, block: AnyBlock
) -> tuple[dict[str, JsonValue], list[Problem]]:
    """The node's whole configuration, and what is wrong with it."""
    try:
        settings = block.config_model.model_validate(node.config)
    except ValidationError as error:
        issues = explain(error, block.config_model, node.config)
    else:
        return settings.model_dump(mode="json"), []
    problems: list[Problem] = []
    for issue in issues:
        hint = issue.hint
        if issue.code == "unknown_key" and block.input(str(issue.path[0])) is not None:
            hint = "That is an input port: an edge feeds it, not the configuration."
        code = {"unknown_key": "unknown_config_key", "missing_key": "missing_config"}.get(
            issue.code, "bad_config"
        )
        sentence = f"block {block.ref!r}: {issue.sentence(noun='config key')}"
        problems.append(_problem(spec, code, sentence, hint, node=node.id))
    return {}, problems


def _name_problems(spec: PipelineCreateSchema) -> Iterator[Problem]:
    if not _NAME.fullmatch(spec.name):
        yield _problem(spec, "bad_name", *_why_bad(spec.name, "pipeline name"))
    elif spec.name in RESERVED_NAMES:
        message = f"the name {spec.name!r} is the platform's own."
        yield _problem(spec, "reserved_name", message, "Give the pipeline another name.")
    if not spec.nodes:
        yield _problem(spec, "no_nodes", "it has no nodes.", "Add at least one.")
    for node_id, count in Counter(node.id for node in spec.nodes).items():
        if not _NAME.fullmatch(node_id):
            yield _problem(spec, "bad_name", *_why_bad(node_id, "node id"), node=node_id)
        if count > 1:
            message = f"{count} nodes have the id {node_id!r}."
            yield _problem(spec, "duplicate_node", message, "Give each its own.", node=node_id)


def _renamed(spec: PipelineCreateSchema) -> PipelineCreateSchema:
    """The pipeline with edges that call a node by what a bad id of it should have been.

    The id is then the one mistake, and its edges are not told again.
    """
    ids = {node.id for node in spec.nodes}
    better = {_better(node_id): node_id for node_id in ids if not _NAME.fullmatch(node_id)}
    renames = {name: node_id for name, node_id in better.items() if name not in ids}
    if not renames:
        return spec

    def rename(end: str) -> str:
        node, dot, port = end.rpartition(".")
        return f"{renames.get(node, node)}{dot}{port}"

    edges = [
        edge.model_copy(update={"source": rename(edge.source), "target": rename(edge.target)})
        for edge in spec.edges
    ]
    return spec.model_copy(update={"edges": tuple(edges)})


def _better(name: str) -> str:
    """A name that is allowed and looks like this one; empty when nothing is left of it."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").lstrip("0123456789_")[:63]


def _why_bad(name: str, noun: str) -> tuple[str, str]:
    message = (
        f"the {noun} {name!r} is not allowed: it has to start with a lower-case letter and go on "
        "with lower-case letters, digits and '_', 63 characters at most."
    )
    better = _better(name)
    hint = f"Write {better!r}, for example." if better else "Give it another name."
    return message, hint


def _schedule_problems(spec: PipelineCreateSchema) -> Iterator[Problem]:
    if spec.schedule is None:
        return
    reason = _why_bad_cron(spec.schedule)
    if reason is not None:
        message = f"the schedule's cron expression {spec.schedule.cron!r} {reason}."
        hint = "Five fields: minute, hour, day of month, month, day of week; '0 6 * * 1-5' is 6:00 on working days."
        yield _problem(spec, "bad_cron", message, hint)
    zones = available_timezones()
    if spec.schedule.timezone not in zones:
        meant = closest(spec.schedule.timezone, zones)
        message = f"the schedule's time zone {spec.schedule.timezone!r} is not known."
        hint = f"Did you mean {meant!r}?" if meant else "Write it as 'Europe/Berlin' or 'UTC'."
        yield _problem(spec, "bad_timezone", message, hint)


def _why_bad_cron(schedule: ScheduleSchema) -> str | None:
    fields = len(schedule.cron.split())
    if fields != 5 and not schedule.cron.startswith("@"):
        return f"has {fields} field{'' if fields == 1 else 's'} instead of five"
    try:
        expanded, *_ = croniter.expand(schedule.cron)
    except (CroniterError, ValueError) as error:
        return f"cannot be read: {str(error).rstrip('.')}"
    if len(expanded) != 5:
        return "is finer than a minute"
    days, months = expanded[2], expanded[3]
    # The one impossible date that Dagster refuses as well.
    if months == [2] and days in ([30], [31]):
        return "names a day that February never has"
    return None


def _tag_problems(spec: PipelineCreateSchema) -> Iterator[Problem]:
    for key, value in spec.tags.items():
        if key.startswith(_PLATFORM_TAGS):
            prefix = key.partition("/")[0]
            message = f"the tag {key!r} begins with {prefix + '/'!r}, which is the platform's own."
            yield _problem(spec, "bad_tag", message, "Give it another name.")
        elif not _TAG_KEY.fullmatch(key) or not _TAG_VALUE.fullmatch(value):
            what = f"the tag {key!r}" if not _TAG_KEY.fullmatch(key) else f"the tag {key!r}'s value"
            message = f"{what} is not allowed."
            hint = "Use letters, digits, '_', '-' and '.', 63 at most; a key may have a prefix before a '/'."
            yield _problem(spec, "bad_tag", message, hint)


def _problem(
    spec: PipelineCreateSchema,
    code: str,
    message: str,
    hint: str | None,
    *,
    node: str | None = None,
) -> Problem:
    return Problem(code=code, message=message, pipeline=spec.name, node=node, hint=hint or None)

"""A compiled pipeline as one Dagster assets definition: one asset a node, one process a run."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import dagster as dg
from dagster._core.definitions.utils import is_valid_owner

from constellation_dagster.blocks.urls import Places, within
from constellation_dagster.components.environments import Environments
from constellation_dagster.components.lending import resource_for
from constellation_dagster.components.lineage import (
    model_deps,
    model_keys,
    registering,
    registers_tag,
)
from constellation_dagster.components.metadata import output_metadata
from constellation_dagster.components.node_log import node_log
from constellation_dagster.components.run_reporter import RunReporter, RunStart
from constellation_dagster.components.runner import (
    Loader,
    NodeEvent,
    NodeFailed,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    run_plan,
)
from constellation_dagster.domain.checks import check_value
from constellation_dagster.domain.plan import OutputRef, Plan, PlanNode
from constellation_dagster.domain.ports import Port
from constellation_dagster.resources.artifacts import PortIOManager
from constellation_dagster.resources.pipeline_rows import PipelineVersion
from constellation_dagster.resources.run_rows import RunCancelled
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.settings import get_settings

PIPELINE_TAG = "constellation/pipeline"
RUN_TAG = "constellation/run"
# Dagster refuses some plain words as names of outputs, such as `config`.
_OUTPUT_PREFIX = "node__"


@dataclass(frozen=True)
class Origin:
    """Where a plan comes from.

    Attributes:
        owner: The person whose rights its blocks have; None for a YAML file that names nobody.
        row: The published version that it was compiled from; None for a YAML file.
    """

    owner: UUID | None = None
    row: PipelineVersion | None = None


def fused_assets(plan: Plan, origin: Origin) -> dg.AssetsDefinition:
    """Makes the assets definition of a plan.

    Values stay in memory between the nodes of a run; each is stored too, so that a run of some
    nodes finds what the others left. A failed node withholds its descendants only.
    """
    pipeline = plan.pipeline.name
    keys = {node.id: dg.AssetKey([pipeline, node.id]) for node in plan.nodes}
    blocks = {node.id: dg.AssetKey(["blocks", node.block.name]) for node in plan.nodes}
    makers = registering(plan)

    @dg.multi_asset(
        name=f"pipeline__{pipeline}",
        group_name=pipeline,
        outs={
            _output(node.id): _asset_out(plan, node, origin, registers_tag(node, makers))
            for node in plan.nodes
        },
        deps=[*sorted(set(blocks.values())), *model_deps(plan)],
        internal_asset_deps={
            _output(node.id): {
                blocks[node.id],
                *model_keys(node),
                *(keys[parent] for parent in node.parents),
            }
            for node in plan.nodes
        },
        check_specs=[
            dg.AssetCheckSpec(
                _check_name(port),
                asset=keys[node.id],
                description=f"Output {port.name!r} is a {port.type_name} that can be used.",
            )
            for node in plan.nodes
            for port in node.block.outputs
        ],
        can_subset=True,
        required_resource_keys={"io_manager", "supabase"},
        op_tags={PIPELINE_TAG: pipeline},
    )
    def run(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield from _run(context, plan, origin, keys)

    return run


def _run(
    context: dg.AssetExecutionContext,
    plan: Plan,
    origin: Origin,
    keys: Mapping[str, dg.AssetKey],
) -> Iterator[Any]:
    pipeline = plan.pipeline.name
    selected = {node for node, key in keys.items() if key in context.selected_asset_keys}
    store = context.resources.io_manager
    assert isinstance(store, PortIOManager)
    reporter = _reporter(context, origin, [node.id for node in plan.nodes if node.id in selected])

    def load(ref: OutputRef) -> Any:
        port_type = next(
            port.type for port in plan.node(ref.node).block.outputs if port.name == ref.port
        )
        return store.store.read(pipeline, ref.node, ref.port, port_type)

    def lend(node: PlanNode) -> Mapping[str, Any]:
        return {
            name: resource_for(name, pipeline, node.id, origin.owner)
            for name in node.block.resources
        }

    # A person may execute checks alone, on what is stored.
    for node in plan.nodes:
        if node.id not in selected:
            yield from _checks(context, pipeline, node, load)

    environments = Environments(context, confined=origin.row is not None)
    lost: list[NodeFailed | NodeSkipped] = []
    with _places(origin), node_log(context.log, run_id=context.run.run_id, pipeline=pipeline):
        for event in run_plan(plan, selected, load, lend, environments.call):
            _log(context, pipeline, event)
            if isinstance(event, NodeSucceeded):
                yield from _results(context, pipeline, event)
            elif not isinstance(event, NodeStarted):
                lost.append(event)
            # After the results: a node has succeeded when they are stored.
            if reporter:
                reporter.node(event)
    if lost:
        failures = [event for event in lost if isinstance(event, NodeFailed)]
        error = _summary(pipeline, lost, len(selected))
        if reporter:
            reporter.failed(error, failures)
        raise dg.Failure(error, allow_retries=False)


def _log(context: dg.AssetExecutionContext, pipeline: str, event: NodeEvent) -> None:
    place = f"pipeline {pipeline!r}, node {event.node.id!r}"
    if isinstance(event, NodeStarted):
        context.log.debug(f"{place}: {event.node.block.ref} starts.")
    elif isinstance(event, NodeFailed):
        trace = f"\n\n{event.traceback}" if event.traceback else ""
        context.log.error(f"{place}: {event.message}{trace}")
    elif isinstance(event, NodeSkipped):
        context.log.warning(f"{place}: not run, since node {event.because!r} failed.")


def _results(
    context: dg.AssetExecutionContext, pipeline: str, event: NodeSucceeded
) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
    node = event.node
    metadata = output_metadata(node.block.outputs, event.values)
    metadata["seconds"] = dg.MetadataValue.float(round(event.seconds, 4))
    yield dg.Output(event.values, output_name=_output(node.id), metadata=metadata)
    yield from _checks(context, pipeline, node, lambda output: event.values[output.port])


def _checks(
    context: dg.AssetExecutionContext, pipeline: str, node: PlanNode, load: Loader
) -> Iterator[dg.AssetCheckResult]:
    key = dg.AssetKey([pipeline, node.id])
    for port in node.block.outputs:
        name = _check_name(port)
        if dg.AssetCheckKey(key, name) not in context.selected_asset_check_keys:
            continue
        outcome = check_value(port, load(OutputRef(node.id, port.name)))
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=name,
            passed=outcome.passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=outcome.description,
            metadata=dict(outcome.values),
        )


def _asset_out(plan: Plan, node: PlanNode, origin: Origin, tags: Mapping[str, str]) -> dg.AssetOut:
    block = node.block
    metadata: dict[str, Any] = {
        "constellation/ports": {port.name: port.type.value for port in block.outputs},
        "constellation/block": block.ref,
        "constellation/config": dict(node.config),
    }
    if origin.row is not None:
        metadata["constellation/version"] = origin.row.version
    return dg.AssetOut(
        key=dg.AssetKey([plan.pipeline.name, node.id]),
        is_required=False,
        io_manager_key="io_manager",
        description=f"Block `{block.ref}`\n\n{block.doc}",
        metadata=metadata,
        code_version=block.code_version,
        owners=_owners(origin),
        tags={PIPELINE_TAG: plan.pipeline.name, **tags},
        kinds={block.kind, *(port.type.value.lower() for port in block.outputs[:2])},
    )


def _places(origin: Origin) -> AbstractContextManager[None]:
    """A reviewed YAML file may reach what the process may, a person's pipeline may not."""
    return within(Places(get_settings().file_roots)) if origin.row else nullcontext()


def _owners(origin: Origin) -> list[str] | None:
    email = origin.row.owner_email if origin.row else None
    # Dagster refuses the whole location for an owner that it takes for no address.
    return [email] if email and is_valid_owner(email) else None


def _reporter(
    context: dg.AssetExecutionContext, origin: Origin, nodes: list[str]
) -> RunReporter | None:
    """Begins the run's row; None for a YAML file's pipeline, for checks alone, without Supabase."""
    supabase = context.resources.supabase
    assert isinstance(supabase, SupabaseResource)
    if origin.row is None or not nodes or not supabase.configured:
        return None
    start = RunStart(
        pipeline_id=origin.row.pipeline_id,
        owner=origin.row.owner,
        version=origin.row.version,
        dagster_run_id=context.run.run_id,
        requested=context.run.tags.get(RUN_TAG),
        nodes=nodes,
    )
    reporter = RunReporter(supabase.runs, start, context.log.warning)
    try:
        reporter.started()
    except RunCancelled as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    return reporter


def _summary(pipeline: str, lost: list[NodeFailed | NodeSkipped], total: int) -> str:
    failures = [event for event in lost if isinstance(event, NodeFailed)]
    skipped = [repr(event.node.id) for event in lost if isinstance(event, NodeSkipped)]
    lines = [f"pipeline {pipeline!r}: {len(failures)} of {total} nodes failed."]
    lines += [f"node {failure.node.id!r}: {failure.message}" for failure in failures]
    if skipped:
        lines.append(f"Not run: {', '.join(skipped)}.")
    return "\n".join(lines)


def _output(node: str) -> str:
    return f"{_OUTPUT_PREFIX}{node}"


def _check_name(port: Port) -> str:
    return f"{port.name}_is_usable"

"""`deployments`: living endpoints, a partition each; its ops are the phases of a change.

Each op looks anew at what is wanted and what there is and does what is due up to its phase, so
that each can be repeated, and a run that was killed is simply run again.
"""

from collections.abc import Callable
from typing import Any

import dagster as dg
import httpx

from constellation_dagster.assets.latency_chart import latency_chart, quantile
from constellation_dagster.assets.probing import front_door, latencies, read_example
from constellation_dagster.domain.changes import Phase
from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.packages import PackageError
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.runtimes.installation import open_reconciler
from constellation_dagster.runtimes.reconciler import Outcome
from constellation_dagster.settings import get_settings

GROUP = "models"
DEPLOYMENTS = dg.DynamicPartitionsDefinition(name="deployments")
DEPLOYMENTS_KEY = dg.AssetKey("deployments")

_AFTER = {"after": dg.In(dg.Nothing)}


def _advance(context: dg.OpExecutionContext, supabase: SupabaseResource, until: Phase) -> Outcome:
    """Does what is due up to a phase.

    Raises:
        dg.Failure: It cannot be done; the message is the whole story.
    """
    if not supabase.configured:
        raise dg.Failure("No Supabase: run `constellation up` or set SUPABASE_URL.")
    log: Callable[[str], object] = context.log.info
    reconciler = open_reconciler(get_settings(), supabase.deployments, log)
    try:
        return reconciler.reconcile(context.partition_key, until)
    except ConstellationError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


@dg.op(
    description="Looks at what is wanted and what there is; takes what is dead out of the route.",
    ins={"packages": dg.In(dg.Nothing), "images": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
)
def observe_deployment(context: dg.OpExecutionContext, supabase: SupabaseResource) -> None:
    """The first phase; for docker it makes the image, where there is none."""
    outcome = _advance(context, supabase, Phase.PROTECT)
    pools = ", ".join(
        f"{pool.replicas} of {revision.package} ({pool.name}, {pool.runtime})"
        for pool, revision in outcome.aim.revisions.items()
    )
    there = ", ".join(f"{p.id} is {p.state}" for p in outcome.observed.replicas)
    context.log.info(f"Wanted: {pools or 'nothing'}. There is: {there or 'nothing'}.")


@dg.op(
    description="Starts what is missing and waits until it can answer.",
    ins=_AFTER,
    out=dg.Out(dg.Nothing),
)
def start_replicas(context: dg.OpExecutionContext, supabase: SupabaseResource) -> None:
    """Requests go where they went before."""
    _advance(context, supabase, Phase.START)


@dg.op(description="Sends requests to the new replicas.", ins=_AFTER, out=dg.Out(dg.Nothing))
def shift_traffic(context: dg.OpExecutionContext, supabase: SupabaseResource) -> None:
    """All of the new ones are ready by now, or the old ones stay."""
    _advance(context, supabase, Phase.SHIFT)


@dg.op(
    description="Lets the old replicas finish what they have accepted, and removes them.",
    ins=_AFTER,
    out=dg.Out(dg.Nothing),
)
def remove_replicas(context: dg.OpExecutionContext, supabase: SupabaseResource) -> None:
    """No request goes to them any more."""
    _advance(context, supabase, Phase.REMOVE)


@dg.op(
    description="Makes sure that all is as wanted, and says so in the row.",
    ins=_AFTER,
    out=dg.Out(dg.Nothing),
)
def report_deployment(context: dg.OpExecutionContext, supabase: SupabaseResource) -> None:
    """Fails when what the row wants has failed, though the previous revision may go on."""
    outcome = _advance(context, supabase, Phase.REMOVE)
    name = context.partition_key
    if outcome.row is None:
        context.log.info(f"{name}: nothing is left of it.")
        context.add_output_metadata({"status": "deleted"})
        return
    if outcome.aim.fallback:
        error = (outcome.row.error or {}).get("message", "no reason given")
        proven = outcome.aim.proven
        goes_on = f"{proven.package} goes on answering" if proven else "Nothing answers"
        raise dg.Failure(
            f"Generation {outcome.row.generation} of deployment {name!r} has failed. {goes_on}. "
            f"{error}",
            allow_retries=False,
        )
    context.add_output_metadata(_metadata(context, outcome))


@dg.graph_asset(
    name="deployments",
    group_name=GROUP,
    partitions_def=DEPLOYMENTS,
    ins={
        # Which package a deployment is of is in its row, and may change with each generation.
        name: dg.AssetIn(
            key=name, partition_mapping=dg.AllPartitionMapping(), dagster_type=dg.Nothing
        )
        for name in ("model_packages", "model_images")
    },
    kinds={"endpoint"},
    description="A model that answers requests: replicas, and the route that leads to them.",
)
def deployments(model_packages: Any, model_images: Any) -> Any:
    """The phases of a change, in their order."""
    observed = observe_deployment(packages=model_packages, images=model_images)
    return report_deployment(remove_replicas(shift_traffic(start_replicas(observed))))


def _metadata(context: dg.OpExecutionContext, outcome: Outcome) -> dict[str, Any]:
    row, champion = outcome.row, outcome.aim.champion
    assert row is not None
    told: dict[str, Any] = {"status": row.status.value, "generation": row.generation}
    if row.url:
        told["url"] = dg.MetadataValue.url(row.url)
    if row.note:
        told["note"] = row.note
    if champion is None:
        return told
    told |= {
        "package": champion.package,
        "digest": champion.digest,
        "runtime": champion.runtime,
        "replicas": sum(pool.replicas for pool in outcome.aim.desired.pools),
        "traffic": dg.MetadataValue.md(_traffic(outcome)),
    }
    if champion.image:
        told["image"] = champion.image
    try:
        settings = get_settings()
        with front_door(settings, row.name) as client:
            taken = latencies(client, row.name, read_example(settings, champion.digest))
    except (httpx.HTTPError, PackageError) as error:
        # It runs; whether it answers is for the checks to say.
        context.log.warning(f"{row.name}: its latency was not measured: {error}")
        return told
    return told | {
        "p50_ms": round(quantile(taken, 0.5), 3),
        "p99_ms": round(quantile(taken, 0.99), 3),
        "latency": latency_chart(taken, row.latency_budget_ms),
    }


def _traffic(outcome: Outcome) -> str:
    rows = [
        f"| {pool.name} | {revision.package} | {pool.replicas} | {pool.weight} % |"
        for pool, revision in outcome.aim.revisions.items()
    ]
    return "\n".join(["| pool | package | replicas | requests |", "|---|---|---|---|", *rows])

"""Checks of deployments: whether they answer, rightly and in time, and what becomes of a canary."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import httpx

from constellation_dagster.assets.deployments import DEPLOYMENTS, DEPLOYMENTS_KEY
from constellation_dagster.assets.latency_chart import latency_chart, quantile
from constellation_dagster.assets.probing import (
    agreement,
    front_door,
    infer_path,
    latencies,
    read_example,
    wrong_with_answer,
)
from constellation_dagster.domain.canary import Agreement, Finding, Verdict, judge
from constellation_dagster.domain.deployments import DeploymentStatusSchema
from constellation_dagster.domain.packages import PackageError
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.runtimes.installation import open_runtimes
from constellation_dagster.runtimes.observing import present_replicas
from constellation_dagster.runtimes.reports import pools_of
from constellation_dagster.runtimes.trial import Trial, look_at_trial
from constellation_dagster.settings import get_settings

# A preview in the version of Dagster that is pinned, where it works.
warnings.filterwarnings("ignore", message="Specifying a partitions_def on an AssetCheckSpec")


def _row(
    context: dg.AssetCheckExecutionContext, supabase: SupabaseResource
) -> tuple[DeploymentStatusSchema | None, str]:
    """The row when there is something to check, and why there is not."""
    if not supabase.configured:
        raise dg.Failure("No Supabase: run `constellation up` or set SUPABASE_URL.")
    row = supabase.deployments.by_name(context.partition_key)
    if row is None:
        return None, "There is no such deployment any more."
    if not pools_of(row):
        return None, f"It is {row.status}: nothing runs."
    return row, ""


def _nothing(why: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, description=why)


@dg.asset_check(
    asset=DEPLOYMENTS_KEY,
    partitions_def=DEPLOYMENTS,
    description="All replicas are ready, and the endpoint says so to a client.",
)
def endpoint_is_healthy(
    context: dg.AssetCheckExecutionContext, supabase: SupabaseResource
) -> dg.AssetCheckResult:
    """Asks the replicas, and the front door."""
    row, why = _row(context, supabase)
    if row is None:
        return _nothing(why)
    settings = get_settings()
    wanted = sum(pool.replicas for pool in pools_of(row))
    ready = [p for p in present_replicas(open_runtimes(settings), row.name) if p.state == "ready"]
    try:
        with front_door(settings, row.name) as client:
            answer = client.get("/v2/health/ready")
        said = f"{answer.status_code}"
    except httpx.HTTPError as error:
        said = f"{type(error).__name__}: {error}"
    return dg.AssetCheckResult(
        passed=len(ready) >= wanted and said == "200",
        description=f"{len(ready)} of {wanted} replicas are ready; the endpoint says {said}.",
        metadata={"ready": len(ready), "wanted": wanted, "url": row.url or ""},
    )


@dg.asset_check(
    asset=DEPLOYMENTS_KEY,
    partitions_def=DEPLOYMENTS,
    description="The endpoint answers the example of its package as the model did when packaged.",
)
def answers_its_example(
    context: dg.AssetCheckExecutionContext, supabase: SupabaseResource
) -> dg.AssetCheckResult:
    """Sends the example through the front door."""
    row, why = _row(context, supabase)
    if row is None:
        return _nothing(why)
    settings = get_settings()
    try:
        example = read_example(settings, row.observed["digest"])
        with front_door(settings, row.name) as client:
            answer = client.post(infer_path(row.name), json=dict(example.request))
        # A canary may answer in the champion's place, and differently.
        told = wrong_with_answer(answer, example) if row.canary is None or answer.is_error else ""
    except (PackageError, httpx.HTTPError) as error:
        return dg.AssetCheckResult(passed=False, description=f"{type(error).__name__}: {error}")
    return dg.AssetCheckResult(
        passed=not told,
        description=told or "It answers as it did when it was packaged.",
        metadata={"status": answer.status_code, "answer": answer.text[:2000]},
    )


@dg.asset_check(
    asset=DEPLOYMENTS_KEY,
    partitions_def=DEPLOYMENTS,
    description="99 of 100 requests take no longer than the deployment's latency budget.",
)
def within_latency_budget(
    context: dg.AssetCheckExecutionContext, supabase: SupabaseResource
) -> dg.AssetCheckResult:
    """Measures through the front door, one request after the other."""
    row, why = _row(context, supabase)
    if row is None:
        return _nothing(why)
    settings = get_settings()
    try:
        with front_door(settings, row.name) as client:
            example = read_example(settings, row.observed["digest"])
            taken = latencies(client, row.name, example)
    except (PackageError, httpx.HTTPError) as error:
        return dg.AssetCheckResult(passed=False, description=f"{type(error).__name__}: {error}")
    budget, p99 = row.latency_budget_ms, quantile(taken, 0.99)
    if budget is None:
        told = f"p99 is {p99:.1f} ms; the deployment has no budget."
    else:
        told = f"p99 is {p99:.1f} ms, the budget {budget:g} ms."
    return dg.AssetCheckResult(
        passed=budget is None or p99 <= budget,
        description=told,
        metadata={
            "p50_ms": round(quantile(taken, 0.5), 3),
            "p99_ms": round(p99, 3),
            "latency": latency_chart(taken, budget),
        },
    )


_CANARY_CHECKS = {
    "canary_errors": "The canary fails no more often than the champion.",
    "canary_latency": "The canary is about as quick as the champion, or keeps to the budget.",
    "canary_agreement": "The canary answers a sample much as the champion does.",
}


@dg.multi_asset_check(
    name="canary",
    specs=[
        dg.AssetCheckSpec(
            name, asset=DEPLOYMENTS_KEY, partitions_def=DEPLOYMENTS, description=description
        )
        for name, description in _CANARY_CHECKS.items()
    ],
)
def canary_checks(
    context: dg.AssetCheckExecutionContext, supabase: SupabaseResource
) -> Iterator[dg.AssetCheckResult]:
    """Together they decide what becomes of the canary: it is promoted, rolled back, or watched."""
    row, why = _row(context, supabase)
    trial = None
    if row is not None:
        runtimes = open_runtimes(get_settings())
        trial = look_at_trial(row, present_replicas(runtimes, row.name))
        why = "There is no canary."
    if row is None or trial is None:
        for name in _CANARY_CHECKS:
            yield _result(name, Finding(True, why), {})
        return
    verdict = judge(
        trial.traffic["champion"],
        trial.traffic["canary"],
        _agreement(row, trial),
        seconds=trial.seconds,
        budget_ms=row.latency_budget_ms,
    )
    canary = row.observed["canary"]["package"]
    told = {"canary": canary, "decision": verdict.decision, "seconds": round(trial.seconds, 1)}
    yield _result("canary_errors", verdict.errors, told)
    yield _result("canary_latency", verdict.latency, told)
    yield _result("canary_agreement", verdict.agreement, told)
    context.log.info(_carry_out(supabase, row, canary, verdict))


def _agreement(row: DeploymentStatusSchema, trial: Trial) -> Agreement:
    champion, canary = trial.addresses["champion"], trial.addresses["canary"]
    if not champion:
        return Agreement()
    if not canary:
        return Agreement(refusal="none of its replicas is ready")
    example = read_example(get_settings(), row.observed["digest"])
    return agreement(row.name, champion[0], canary[0], example)


def _carry_out(
    supabase: SupabaseResource, row: DeploymentStatusSchema, canary: str, verdict: Verdict
) -> str:
    """Writes what was decided, unless something else is wanted by now; returns what was done."""
    if verdict.decision == "wait":
        return f"{row.name}: the canary {canary} is watched on. {verdict.reason}"
    if verdict.decision == "promote":
        note = f"The canary {canary} was promoted: {verdict.reason}."
        done = supabase.deployments.promote_canary(row.id, note, row.generation)
    else:
        note = f"The canary {canary} was rolled back: {verdict.reason}."
        done = supabase.deployments.end_canary(row.id, note, row.generation)
    return f"{row.name}: {note if done else 'something else is wanted by now'}"


def _result(name: str, finding: Finding, told: Mapping[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=DEPLOYMENTS_KEY,
        check_name=name,
        # What is not known yet is no failure.
        passed=finding.passed is not False,
        description=finding.reason,
        metadata={**told, **finding.figures},
    )


deployment_checks = [
    endpoint_is_healthy,
    answers_its_example,
    within_latency_budget,
    canary_checks,
]

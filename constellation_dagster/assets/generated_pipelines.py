"""`generated_pipelines`: what the agent has proposed, a partition for each draft.

The job `agent_turn` materializes a partition; the row of the draft is what counts.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import dagster as dg

from constellation_dagster.domain.conversations import DraftProposal, DraftRow
from constellation_dagster.domain.draft_text import draft_yaml
from constellation_dagster.domain.markdown import markdown_table, plain_words
from constellation_dagster.domain.samples import SampleOutput, SampleResult
from constellation_dagster.resources.draft_rows import DraftRows
from constellation_dagster.resources.rest import SupabaseError
from constellation_dagster.resources.supabase import SupabaseResource, service_client

# A preview in the version of Dagster that is pinned, where it works.
warnings.filterwarnings("ignore", message="Specifying a partitions_def on an AssetCheckSpec")

GENERATED = dg.DynamicPartitionsDefinition(name="generated_pipelines")
GENERATED_KEY = dg.AssetKey("generated_pipelines")

Draft = DraftProposal | DraftRow
Wrong = Callable[[Draft], Sequence[str] | None]


def _problems(draft: Draft) -> Sequence[str]:
    return [str(problem) for problem in draft.problems]


def _questions(draft: Draft) -> Sequence[str]:
    return [question.text for question in draft.questions]


def _sample(draft: Draft) -> Sequence[str] | None:
    if draft.sample is None:
        return None
    sample = SampleResult.model_validate(draft.sample)
    said = [str(problem) for problem in sample.problems]
    return [] if sample.ok else said or ["The run on a sample failed."]


# What is wrong, by check; None where it was not tried.
_CHECKS: Mapping[str, tuple[str, Wrong]] = {
    "compiles": ("The compiler accepts it.", _problems),
    "config_complete": ("Nothing is left for the person to say.", _questions),
    "sample_run": ("It runs on the first rows of its data.", _sample),
}

generated_pipelines = dg.AssetSpec(
    key=GENERATED_KEY,
    group_name="agent",
    description="Pipelines that the agent has proposed, a partition for each draft. They run "
    "nowhere until a person approves them.",
    partitions_def=GENERATED,
    kinds={"agent"},
)


def draft_events(
    draft: UUID, proposal: DraftProposal
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """A partition as it is now, and what was checked of it."""
    yield dg.AssetMaterialization(
        asset_key=GENERATED_KEY, partition=str(draft), metadata=_metadata(proposal)
    )
    for name, (_, find) in _CHECKS.items():
        wrong = find(proposal)
        if wrong is not None:
            yield dg.AssetCheckEvaluation(
                asset_key=GENERATED_KEY,
                check_name=name,
                passed=not wrong,
                metadata={"open": dg.MetadataValue.md(_listed(wrong))},
                partition=str(draft),
            )


def _check(name: str, description: str, find: Wrong) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=GENERATED_KEY, name=name, partitions_def=GENERATED, description=description
    )
    def check(
        context: dg.AssetCheckExecutionContext, supabase: SupabaseResource
    ) -> dg.AssetCheckResult:
        if not supabase.configured:
            raise dg.Failure("No Supabase: run `constellation up` or set SUPABASE_URL.")
        try:
            wrong = find(DraftRows(service_client()).get(UUID(context.partition_key)))
        except SupabaseError:
            return dg.AssetCheckResult(passed=True, description="There is no such draft any more.")
        if wrong is None:
            why = "It was not tried."
            return dg.AssetCheckResult(
                passed=False, severity=dg.AssetCheckSeverity.WARN, description=why
            )
        return dg.AssetCheckResult(
            passed=not wrong, metadata={"open": dg.MetadataValue.md(_listed(wrong))}
        )

    return check


generated_pipeline_checks = [_check(name, *check) for name, check in _CHECKS.items()]


def _metadata(proposal: DraftProposal) -> Mapping[str, Any]:
    made = proposal.provenance
    metadata: dict[str, Any] = {
        "request": made.request,
        "explanation": dg.MetadataValue.md(proposal.explanation),
        "questions": dg.MetadataValue.md(_listed(_questions(proposal))),
        "pipeline": dg.MetadataValue.md(_fenced("yaml", draft_yaml(proposal.spec))),
        "diagram": dg.MetadataValue.md(_fenced("mermaid", proposal.diagram)),
        "planner": made.planner,
        "model": made.model or "none",
        "prompt version": made.prompt_version or "none",
        "tokens in": made.tokens_in,
        "tokens out": made.tokens_out,
        "rounds": made.rounds,
    }
    if made.cost is not None:
        metadata["cost"] = made.cost
    if proposal.sample is not None:
        text = _sample_text(SampleResult.model_validate(proposal.sample))
        metadata["sample"] = dg.MetadataValue.md(text)
    return metadata


def _sample_text(sample: SampleResult) -> str:
    """What the outputs look like, what went wrong, and what was not run."""
    parts = [_output_text(name, output) for name, output in sample.outputs.items()]
    if sample.problems:
        parts.append(f"Problems:\n{_listed([plain_words(str(p)) for p in sample.problems])}")
    if sample.skipped:
        said = [f"`{node.node}`: {plain_words(node.why)}" for node in sample.skipped]
        parts.append(f"Not run:\n{_listed(said)}")
    return "\n\n".join(parts)


def _output_text(name: str, output: SampleOutput) -> str:
    title = f"`{name}`: {plain_words(output.summary)}"
    if not output.columns:
        return title
    names = [f"{column.name} ({column.type})" for column in output.columns]
    return f"{title}\n\n{markdown_table(names, output.head)}"


def _fenced(language: str, text: str) -> str:
    # What people wrote may hold a fence; a longer one holds that.
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _listed(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts) or "nothing"

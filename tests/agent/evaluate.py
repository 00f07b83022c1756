"""How often a planner is right about the cases: `python -m tests.agent.evaluate`.

The frozen third is counted, never shown: what is wrong with it must not guide the planner.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from constellation_dagster.agent.embedded.planner import EmbeddedPlanner
from constellation_dagster.agent.planners import choose_planner
from constellation_dagster.agent.planning import Planner
from constellation_dagster.agent.turns import Answer, check_and_repair, plan
from constellation_dagster.domain.conversations import Provenance
from constellation_dagster.domain.registry import load_registry
from tests.agent.cases import Case, context_of, load_cases
from tests.agent.judge import Judgement, Outcome, judge

COLUMNS = (
    "cases",
    "right",
    "type-correct",
    "asked rightly",
    "refused rightly",
    "held back rightly",
    "rounds",
    "seconds",
    "tokens",
)


@dataclass(frozen=True)
class Result:
    """What came of a case."""

    case: Case
    outcome: Outcome
    judgement: Judgement
    seconds: float

    @property
    def tokens(self) -> int:
        """Tokens that the planner used."""
        made = self.outcome.provenance
        return made.tokens_in + made.tokens_out


def evaluate(cases: Iterable[Case], planner: Planner) -> Iterator[Result]:
    """Plan each case and judge what comes of it.

    Args:
        cases: The requests.
        planner: Who plans.
    """
    registry = load_registry()
    for case in cases:
        context = context_of(case)
        begun = time.perf_counter()
        proposal = plan(context, planner)
        if proposal.action == "answer":
            # What it says comes from rows, which no case has; that it answers is what counts.
            made = proposal.provenance or Provenance(planner="unknown")
            outcome: Outcome = Answer(action="answer", text=proposal.text, provenance=made)
        else:
            outcome = check_and_repair(context, proposal, planner, registry)
        yield Result(case, outcome, judge(case, outcome), time.perf_counter() - begun)


def row(results: Sequence[Result]) -> tuple[str, ...]:
    """The figures of some results, as `COLUMNS` names them."""
    if not results:
        return ("0", *("-" for _ in COLUMNS[1:]))
    asks = [r for r in results if r.case.wanted == "ask"]
    refuses = [r for r in results if r.case.wanted == "refuse"]
    return (
        str(len(results)),
        _share(r.judgement.right for r in results),
        _share(r.judgement.type_correct for r in results),
        _share(r.judgement.right for r in asks),
        _share(r.judgement.right for r in refuses),
        _share(r.judgement.held_back for r in (*asks, *refuses)),
        f"{statistics.mean(r.outcome.provenance.rounds for r in results):.1f}",
        f"{statistics.median(r.seconds for r in results):.3f}",
        f"{statistics.mean(r.tokens for r in results):.0f}",
    )


def table(results: Sequence[Result], *, frozen: bool) -> str:
    """The figures as Markdown, the frozen third apart.

    Args:
        results: All results.
        frozen: Whether the frozen third was evaluated.
    """
    parts = [("open", [r for r in results if not r.case.frozen])]
    if frozen:
        parts.append(("frozen", [r for r in results if r.case.frozen]))
    lines = [["", *COLUMNS], ["---", *("---:" for _ in COLUMNS)]]
    lines += [[name, *row(some)] for name, some in parts]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def by_field(results: Sequence[Result]) -> str:
    """How many are right in each field, of the open two thirds."""
    seen = [r for r in results if not r.case.frozen]
    fields = dict.fromkeys(r.case.field for r in seen)
    return "\n".join(
        f"{field:12} {_share(r.judgement.right for r in seen if r.case.field == field)}"
        for field in fields
    )


def failures(results: Sequence[Result]) -> str:
    """What is wrong with the open two thirds."""
    return "\n".join(
        f"{r.case.id}: {r.case.request}\n    {r.judgement.why}"
        for r in results
        if not r.case.frozen and not r.judgement.right
    )


def _share(truths: Iterable[bool]) -> str:
    values = list(truths)
    return (
        f"{100 * sum(values) / len(values):.0f} % ({sum(values)}/{len(values)})" if values else "-"
    )


def _planned_by(results: Sequence[Result]) -> str:
    """The planners that made the proposals, with the model if there is one."""
    made = (result.outcome.provenance for result in results)
    return ", ".join(sorted({f"{p.planner} ({p.model})" if p.model else p.planner for p in made}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.agent.evaluate", description=__doc__)
    parser.add_argument("--dev", action="store_true", help="the open two thirds only")
    parser.add_argument("--failures", action="store_true", help="what is wrong with the open ones")
    parser.add_argument(
        "--model",
        action="store_true",
        help="the language model of OPENAI_BASE_URL and OPENAI_MODEL, not the embedded planner",
    )
    options = parser.parse_args(arguments)
    registry = load_registry()
    planner: Planner = EmbeddedPlanner(registry)
    if options.model:
        planner = choose_planner(registry)
        if isinstance(planner, EmbeddedPlanner):
            print("There is no language model: set OPENAI_BASE_URL and OPENAI_MODEL.")
            return 1
    cases = [case for case in load_cases() if not (options.dev and case.frozen)]
    results = list(evaluate(cases, planner))
    print(f"Planned by {_planned_by(results)}.\n")
    print(table(results, frozen=not options.dev))
    broken = sum(not result.judgement.type_correct for result in results)
    print(f"\nDrafts that do not compile: {broken or 'never'}.")
    print(f"\nRight in each field, without the frozen ones:\n{by_field(results)}")
    if options.failures:
        print(f"\nNot right:\n{failures(results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

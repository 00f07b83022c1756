"""The embedded planner and the written requests."""

import pytest

from constellation_dagster.agent.embedded.planner import EmbeddedPlanner
from constellation_dagster.domain.completeness import judge as whole
from constellation_dagster.domain.conversations import DraftProposal
from constellation_dagster.domain.registry import load_registry
from tests.agent.cases import facts, load_cases
from tests.agent.evaluate import Result, evaluate, failures, main, table

RIGHT_AT_LEAST = 0.6
"""Of the open two thirds; what they reach is in docs/agent.md."""


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return list(evaluate(load_cases(), EmbeddedPlanner(load_registry())))


def test_the_cases_are_what_they_should_be() -> None:
    cases = load_cases()
    assert len(cases) >= 66
    assert len({case.id for case in cases}) == len(cases)
    assert all(bool(case.accept) == (case.wanted == "draft") for case in cases)
    registry = load_registry()
    for case in cases:
        for accepted in case.accept:
            for name in (*accepted.blocks, *accepted.may):
                assert registry.find(name) is not None, (case.id, name)
            for key in (*accepted.config, *accepted.open):
                block, _, setting = key.partition(".")
                assert setting in registry.get(block).config_model.model_fields, (case.id, key)


def test_the_pipelines_of_the_person_are_whole() -> None:
    for pipeline in facts().pipelines:
        verdict = whole(pipeline.spec, load_registry())
        assert not verdict.problems
        assert not verdict.questions


def test_every_draft_compiles_or_says_what_is_open(results: list[Result]) -> None:
    # Without a word on which ones fail: frozen ones are among them.
    registry = load_registry()
    silent = 0
    for result in results:
        if isinstance(result.outcome, DraftProposal):
            verdict = whole(result.outcome.spec, registry)
            is_open = bool(verdict.questions or verdict.problems)
            silent += is_open and result.outcome.ready
    assert silent == 0


def test_enough_are_right(results: list[Result]) -> None:
    seen = [result for result in results if not result.case.frozen]
    right = sum(result.judgement.right for result in seen)
    assert right >= RIGHT_AT_LEAST * len(seen), failures(results)


def test_frozen_ones_are_counted_and_never_shown(results: list[Result]) -> None:
    frozen = [result for result in results if result.case.frozen]
    assert f"| frozen | {len(frozen)} |" in table(results, frozen=True)
    assert "frozen" not in table(results, frozen=False)
    shown = failures(results)
    assert not any(f"{result.case.id}: " in shown for result in frozen)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dev", "--failures"]) == 0
    printed = capsys.readouterr().out
    assert "| open |" in printed
    assert "| frozen |" not in printed

"""Reading pipelines from data, and their digest."""

from typing import Any

import pytest

from constellation_dagster.domain.errors import BlockFailed, PipelineInvalid, Problem
from constellation_dagster.domain.schemas import parse_pipeline, pipeline_digest

GOOD: dict[str, Any] = {
    "name": "p",
    "nodes": [{"id": "load", "block": "read_csv", "config": {"url": "a"}}],
}


def told(data: object) -> list[str]:
    with pytest.raises(PipelineInvalid) as caught:
        parse_pipeline(data)
    return [f"[{problem.code}] {problem}" for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        (None, ["[bad_value] it must be a mapping of keys to values, not null."]),
        ([], ["[bad_value] it must be a mapping of keys to values, not an empty list."]),
        (
            {},
            ["[missing_key] key 'name' is missing.", "[missing_key] key 'nodes' is missing."],
        ),
        (
            {**GOOD, "schedul": {}},
            [
                (
                    "[unknown_key] pipeline 'p': there is no key 'schedul'. Did you mean 'schedule'? "
                    "The keys are 'name', 'description', 'nodes', 'edges', 'schedule' and 'tags'."
                )
            ],
        ),
        (
            {"name": "p", "nods": []},
            [
                (
                    "[unknown_key] pipeline 'p': there is no key 'nods', and 'nodes' is missing. "
                    "Did you mean 'nodes'? "
                    "The keys are 'name', 'description', 'nodes', 'edges', 'schedule' and 'tags'."
                )
            ],
        ),
        (
            {**GOOD, "nodes": [{"id": "load", "blok": "read_csv", "retries": 11}]},
            [
                (
                    "[unknown_key] pipeline 'p', node 'load': there is no key 'blok', and 'block' is "
                    "missing. Did you mean 'block'? The keys are 'id', 'block', 'config' and 'retries'."
                ),
                "[bad_value] pipeline 'p', node 'load': key 'retries' must be at most 10, not 11.",
            ],
        ),
        (
            {**GOOD, "nodes": [{"id": 1, "block": "b"}, "load"]},
            [
                "[bad_value] pipeline 'p': key 'nodes[0].id' must be text, not 1.",
                (
                    "[bad_value] pipeline 'p': key 'nodes[1]' must be a mapping of keys to values, "
                    "not 'load'."
                ),
            ],
        ),
        (
            {**GOOD, "edges": [{"source": "a.b", "traget": "c.d"}]},
            [
                (
                    "[unknown_key] pipeline 'p': there is no key 'traget' in edges[0], and 'target' is "
                    "missing. Did you mean 'target'? The keys are 'source' and 'target'."
                )
            ],
        ),
        (
            {**GOOD, "schedule": {"crn": "@daily"}, "tags": {"a": 1}},
            [
                (
                    "[unknown_key] pipeline 'p': there is no key 'crn' in schedule, and 'cron' is "
                    "missing. Did you mean 'cron'? The keys are 'cron' and 'timezone'."
                ),
                "[bad_value] pipeline 'p': key 'tags.a' must be text, not 1.",
            ],
        ),
        (
            {**GOOD, "nodes": [{"id": "a", "block": "b", "config": {"x": [float("nan")]}}]},
            ["[bad_value] pipeline 'p', node 'a': key 'config' must hold finite numbers only."],
        ),
        (
            {**GOOD, "nodes": [{"id": "a", "block": "b", "config": {"x": {"y": [object]}}}]},
            [
                (
                    "[bad_value] pipeline 'p', node 'a': key 'config.x.y[0]' must be a JSON value, "
                    "not <class 'object'>."
                )
            ],
        ),
        (
            {**GOOD, "nodes": [{"id": "a", "block": "b", "config": {"x": "\0"}}]},
            ["[bad_value] pipeline 'p', node 'a': key 'config' must not hold a NUL character."],
        ),
        (
            {**GOOD, "description": "a\0"},
            ["[bad_value] pipeline 'p': key 'description' must not hold a NUL character."],
        ),
    ],
)
def test_shape_errors_are_told_in_plain_words(data: object, messages: list[str]) -> None:
    assert told(data) == messages


def test_deep_data_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(40):
        deep = [deep]
    node = {"id": "a", "block": "b", "config": {"x": deep}}
    assert "must not be nested deeper than 32 levels" in told({**GOOD, "nodes": [node]})[0]


def _digest(**changes: Any) -> str:
    return pipeline_digest(parse_pipeline({**GOOD, **changes}))


def test_the_digest_is_of_what_a_pipeline_says() -> None:
    same = _digest()
    assert same.startswith("sha256:")
    assert len(same) == 71
    assert same == _digest(description="", edges=[], tags={}, schedule=None)
    for config in ({"url": "b"}, {"url": 1}, {"url": True}, {"url": None}, {}):
        assert same != _digest(nodes=[{"id": "load", "block": "read_csv", "config": config}])
    for change in ({"name": "q"}, {"description": "x"}, {"tags": {"a": "b"}}):
        assert same != _digest(**change)


def test_numbers_that_are_equal_digest_alike_however_a_database_writes_them() -> None:
    def of(value: object) -> str:
        return _digest(nodes=[{"id": "a", "block": "b", "config": {"x": value}}])

    assert of(1) == of(1.0)
    assert of(1e22) == of(10**22)
    assert of(0) == of(-0.0)
    assert len({of(1), of(True), of("1"), of([1]), of(1.5)}) == 5


def test_the_place_of_a_problem_is_in_its_text() -> None:
    problem = Problem(code="x", message="wrong.", pipeline="p", node="n", port="t", hint="Mend it.")
    assert str(problem) == "pipeline 'p', node 'n', port 't': wrong. Mend it."
    assert str(Problem(code="x", message="wrong.")) == "wrong."


def test_errors_survive_another_process() -> None:
    import pickle

    failed = pickle.loads(pickle.dumps(BlockFailed("wrong.", "Mend it.")))
    assert str(failed) == "wrong. Mend it."
    assert str(failed.problem(node="n")) == "node 'n': wrong. Mend it."
    invalid = pickle.loads(pickle.dumps(PipelineInvalid([Problem(code="x", message="wrong.")])))
    assert [problem.code for problem in invalid.problems] == ["x"]

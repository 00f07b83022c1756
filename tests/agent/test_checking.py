"""A pipeline compared with what there is."""

from typing import Any

import pytest

from constellation_dagster.agent.checking import Checked, check
from constellation_dagster.domain.assembly import assemble
from constellation_dagster.domain.conversations import Question
from constellation_dagster.domain.facts import (
    ColumnFact,
    Facts,
    FileFact,
    PipelineFact,
    TableFact,
)
from constellation_dagster.domain.proposals import Step
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.settings import get_settings

PRICES = (ColumnFact(name="price", type="number"), ColumnFact(name="city"))
FACTS = Facts(
    files=(
        FileFact(path="houses.csv", kind="table", columns=PRICES),
        FileFact(path="data/wine.csv", kind="table", columns=PRICES, note="separator ';'"),
        FileFact(path="town.png", kind="image"),
    ),
    tables=(TableFact(name="orders", columns=PRICES),),
    deployments=("prices",),
    packages=("iris",),
)
PATHS = tuple(file.path for file in FACTS.files)


def checked(*steps: tuple[str, dict[str, Any]], asked: tuple[Question, ...] = ()) -> Checked:
    registry = load_registry()
    made = assemble("p", [Step(block=block, config=config) for block, config in steps], registry)
    return check(made.spec, registry, FACTS, (*asked, *made.questions))


READ = ("read_csv", {"url": "houses.csv"})


def codes(found: Checked) -> list[str]:
    return [problem.code for problem in found.all_problems]


def test_a_whole_pipeline_has_nothing_wrong_or_open() -> None:
    found = checked(
        READ,
        ("filter_rows", {"where": "price > 3 and city != 'Rome'"}),
        ("rename_columns", {"names": {"city": "town"}}),
        ("derive_column", {"name": "double", "expression": "price * 2"}),
        ("aggregate", {"by": ["town"], "aggregates": {"mean": "mean(double)", "n": "count()"}}),
        ("sort_rows", {"by": ["mean"]}),
        ("write_csv", {"url": "out.csv"}),
    )
    assert (found.all_problems, found.questions) == ((), ())


@pytest.mark.parametrize(
    ("step", "code", "option"),
    [
        (("read_csv", {"url": "house.csv"}), "unknown_file", "houses.csv"),
        (("read_table", {"name": "order"}), "unknown_table", "orders"),
        (("infer", {"deployment": "price"}), "unknown_deployment", "prices"),
        (("ephemeral_infer", {"package": "irs@1"}), "unknown_package", "iris"),
        (("sort_rows", {"by": ["pric"]}), "unknown_column", "price"),
        (("filter_rows", {"where": "len(pric) > 3"}), "unknown_column", "price"),
        (("derive_column", {"name": "x", "expression": "pric + 1"}), "unknown_column", "price"),
        (("aggregate", {"aggregates": {"m": "mean(pric)"}}), "unknown_column", "price"),
    ],
)
def test_a_name_of_nothing_is_told_and_asked_about(
    step: tuple[str, dict[str, Any]], code: str, option: str
) -> None:
    found = checked(step) if step[0].startswith("read") else checked(READ, step)
    assert codes(found) == [code]
    (mismatch,) = found.mismatches
    assert repr(option) in (mismatch.problem.hint or "")
    assert mismatch.question.options[0] == option


def test_columns_are_those_that_a_step_gets() -> None:
    renamed = ("rename_columns", {"names": {"city": "town"}})
    assert codes(checked(READ, renamed, ("sort_rows", {"by": ["city"]}))) == ["unknown_column"]
    assert codes(checked(READ, renamed, ("sort_rows", {"by": ["town"]}))) == []
    joined = ("join_tables", {"keys": ["city"]})
    last = ("sort_rows", {"by": ["price_right"]})
    assert codes(checked(READ, ("read_table", {"name": "orders"}), joined, last)) == []


@pytest.mark.parametrize(
    "steps",
    [
        [("sql", {"query": "select 1 as one from t"})],
        [("pivot", {"index": ["city"], "columns": "city", "values": "price"})],
    ],
)
def test_columns_that_are_not_known_are_not_judged(steps: list[tuple[str, dict[str, Any]]]) -> None:
    assert codes(checked(READ, *steps, ("sort_rows", {"by": ["anything"]}))) == []


def test_a_file_read_in_another_way_than_it_was_looked_at_is_not_judged() -> None:
    last = ("sort_rows", {"by": ["anything"]})
    assert codes(checked(("read_csv", {"url": "data/wine.csv"}), last)) == []
    config = {"url": "data/wine.csv", "separator": ";"}
    assert codes(checked(("read_csv", config), last)) == ["unknown_column"]


def test_places_that_cannot_be_looked_at_are_left_to_the_run() -> None:
    inside = str(get_settings().file_roots[0] / "deep" / "a.csv")
    for url in ("https://example.org/a.csv", "s3://bucket/a.csv", inside):
        assert codes(checked(("read_csv", {"url": url}))) == []


@pytest.mark.parametrize(
    ("block", "url", "message"),
    [
        ("read_csv", "/etc/passwd", "lies outside the folders"),
        ("read_csv", "file:///etc/passwd", "lies outside the folders"),
        ("write_csv", "../out.csv", "lies outside the folders"),
        ("read_csv", "a\0.csv", "cannot be used"),
        ("read_csv", "sftp://example.org/a.csv", "may not be used here"),
        ("read_csv", "s3://127.0.0.1:9000/a.csv", "names no bucket"),
        ("fetch_json", "http://169.254.169.254/latest", "no address of the public internet"),
        ("read_csv", "http://[fe80/a.csv", "cannot be used"),
        ("write_csv", "https://example.org/a.csv", "can only be read"),
    ],
)
def test_places_that_the_run_would_refuse(block: str, url: str, message: str) -> None:
    step = (block, {"url": url})
    found = checked(READ, step) if block.startswith("write") else checked(step)
    (mismatch,) = found.mismatches
    problem = mismatch.problem
    assert (problem.code, problem.node) == ("refused_place", block)
    assert message in problem.message
    assert message in mismatch.question.text
    assert mismatch.question.options == (() if block.startswith("write") else PATHS)


@pytest.mark.parametrize(
    ("said", "fine"),
    [
        ("Put it into S3://Mine/out.csv", True),
        ("Put it somewhere", False),
        ("s3://mine/other.csv", False),
    ],
)
def test_an_address_is_used_if_the_person_named_it(said: str, fine: bool) -> None:
    registry = load_registry()
    steps = [Step(block="read_csv", config={"url": "houses.csv"})]
    steps.append(Step(block="write_csv", config={"url": "s3://mine/out.csv"}))
    spec = assemble("p", steps, registry).spec
    found = check(spec, registry, FACTS, said=said)
    assert codes(found) == ([] if fine else ["refused_place"])
    used = PipelineFact(name="p", id="1", spec=spec, status="published")
    facts = FACTS.model_copy(update={"pipelines": (used,)})
    assert codes(check(spec, registry, facts, said=said)) == []


def test_a_file_that_the_pipeline_writes_is_there() -> None:
    found = checked(READ, ("write_csv", {"url": "new.csv"}), ("read_csv", {"url": "./new.csv"}))
    assert codes(found) == []


def test_what_is_missing_is_asked_once_with_what_there_is() -> None:
    asked = Question(node="sort_rows", key="by", text="By what?")
    found = checked(READ, ("sort_rows", {}), asked=(asked, asked))
    assert found.problems == ()
    assert found.questions == (asked.model_copy(update={"options": ("price", "city")}),)


def test_an_asked_name_is_not_asked_about_twice() -> None:
    asked = Question(node="sort_rows", key="by", text="By what?")
    assert checked(READ, ("sort_rows", {"by": ["pric"]}), asked=(asked,)).mismatches == ()


def test_columns_of_sample_data_are_known() -> None:
    load = ("sample_data", {"name": "penguins"})
    assert codes(checked(load, ("sort_rows", {"by": ["body_mass_g"]}))) == []
    assert codes(checked(load, ("sort_rows", {"by": ["body_mass"]}))) == ["unknown_column"]

"""A language model's steps, held to what was said and what there is."""

from typing import Any
from uuid import uuid4

import pytest

from constellation_dagster.agent.context import Context
from constellation_dagster.agent.settling import settle
from constellation_dagster.domain.conversations import ChatMessage, Thread
from constellation_dagster.domain.facts import ColumnFact, Facts, FileFact, TableFact
from constellation_dagster.domain.proposals import Proposal, ProposedSchedule, Step
from constellation_dagster.domain.registry import load_registry

REGISTRY = load_registry()


def columns(*names: str) -> tuple[ColumnFact, ...]:
    return tuple(ColumnFact(name=name, type="number") for name in names)


CITY = ColumnFact(name="city", type="text", samples=("graz", "bonn"))
FACTS = Facts(
    files=(
        FileFact(path="houses.csv", kind="table", columns=(CITY, *columns("price", "area"))),
        FileFact(path="data/city_rents.parquet", kind="table", columns=(CITY, *columns("rent"))),
        FileFact(path="photo.png", kind="image"),
    ),
    tables=(
        TableFact(name="invoices", columns=columns("invoice_no", "total")),
        TableFact(name="salaries", columns=columns("pay")),
    ),
    deployments=("churn_model", "price_model"),
    packages=("flower_model",),
)


def settled(
    request: str,
    *steps: tuple[str, dict[str, Any]],
    cron: str | None = None,
    read: str | None = None,
) -> Proposal:
    thread = Thread(
        message_id=uuid4(),
        conversation_id=uuid4(),
        owner=uuid4(),
        messages=(ChatMessage(role="user", content=request),),
    )
    answer = Proposal(
        action="build",
        steps=tuple(Step(block=block, config=config) for block, config in steps),
        schedule=ProposedSchedule(cron=cron) if cron else None,
    )
    guess = Proposal(action="ask", schedule=ProposedSchedule(cron=read) if read else None)
    return settle(Context(thread=thread, facts=FACTS), answer, REGISTRY, guess)


def config(request: str, block: str, given: dict[str, Any], source: str = "") -> dict[str, Any]:
    """What becomes of one step's configuration, after a source or by itself."""
    first = [("read_csv", {"url": source})] if source else []
    return settled(request, *first, (block, given)).steps[-1].config


@pytest.mark.parametrize(
    ("request_", "block", "given", "kept"),
    [
        ("sort the houses", "read_csv", {"url": "houses.csv"}, {"url": "houses.csv"}),
        ("sort the hauses", "read_csv", {"url": "Houses.csv"}, {"url": "houses.csv"}),
        ("plot rents by city", "read_csv", {"url": "city_rents.parquet"},
         {"url": "data/city_rents.parquet"}),
        ("sort the data", "read_csv", {"url": "houses.csv"}, {}),
        ("read turnover.csv", "read_csv", {"url": "turnover.csv"}, {"url": "turnover.csv"}),
        ("read the turnover", "read_csv", {"url": "turnover.csv"}, {}),
        ("get https://a.org/x", "fetch_json", {"url": "https://a.org/x"},
         {"url": "https://a.org/x"}),
        ("get https://a.org/x", "fetch_json", {"url": "https://b.org/x"},
         {"url": "https://a.org/x"}),
        ("get the levels", "fetch_json", {"url": "https://b.org/x"}, {}),
        ("copy the invoices", "read_table", {"name": "invoices"}, {"name": "invoices"}),
        ("copy the table", "read_table", {"name": "salaries"}, {}),
        ("read the table stock", "read_table", {"name": "stock"}, {"name": "stock"}),
        ("ask the churn model", "infer", {"deployment": "churn_model"},
         {"deployment": "churn_model"}),
        ("ask the model", "infer", {"deployment": "churn_model"}, {}),
        ("save it as out.csv", "write_csv", {"url": "out.csv"}, {"url": "out.csv"}),
        ("save it as out", "write_csv", {"url": "out.csv"}, {"url": "out.csv"}),
        ("convert houses.csv to parquet", "write_parquet", {"url": "houses.parquet"}, {}),
        ("save it", "write_csv", {"url": "result.csv"}, {}),
        ("train on price", "train_regressor", {"target": "price"}, {"target": "price"}),
        ("train a model", "train_regressor", {"target": "price"}, {}),
        ("train a model", "sample_data", {"name": "iris"}, {}),
        ("use the iris data", "sample_data", {"name": "iris"}, {"name": "iris"}),
        ("sort houses.csv", "read_csv", {}, {"url": "houses.csv"}),
        ("sort houses.csv", "read_csv", {"url": "hs.csv"}, {"url": "houses.csv"}),
        ("sort houses.csv into out.csv", "write_csv", {}, {"url": "out.csv"}),
        ("sort houses.csv", "write_csv", {"url": "houses_sorted.csv"}, {}),
        ("update the table invoices", "upsert_table", {"name": "invoices", "keys": ["id"]},
         {"name": "invoices"}),
    ],
)  # fmt: skip
def test_what_the_person_did_not_say_is_left_open(
    request_: str, block: str, given: dict[str, Any], kept: dict[str, Any]
) -> None:
    assert config(request_, block, given) == kept


def test_the_block_for_the_file_is_taken() -> None:
    made = settled(
        "plot the rents and write rents.json",
        ("read_csv", {"url": "city_rents.parquet"}),
        ("write_csv", {"url": "rents.json"}),
    )
    assert [step.block for step in made.steps] == ["read_parquet", "write_json"]


@pytest.mark.parametrize(
    ("block", "given", "kept"),
    [
        ("sort_rows", {"by": ["Price"]}, {"by": ["price"]}),
        ("sort_rows", {"by": "prise"}, {"by": ["price"]}),
        ("sort_rows", {"by": ["worth"]}, {"by": ["worth"]}),
        ("filter_rows", {"where": "Price > 5 AND city = 'Graz'"},
         {"where": "price > 5 and city == 'graz'"}),
        ("filter_rows", {"where": "city IS NOT NULL && area <> 3"},
         {"where": "city is not None  and  area != 3"}),
        ("filter_rows", {"where": "contains(lower(city), 'a = b')"},
         {"where": "contains(lower(city), 'a = b')"}),
        ("derive_column", {"name": "each", "expression": "PRICE / Area"},
         {"name": "each", "expression": "price / area"}),
        ("aggregate", {"by": ["City"], "aggregates": {"n": "count(*)", "m": "AVG(Price)"}},
         {"by": ["city"], "aggregates": {"n": "count()", "m": "mean(price)"}}),
        ("aggregate", {"aggregates": {"price": "average"}},
         {"aggregates": {"price": "mean(price)"}}),
        ("rename_columns", {"names": {"Area": "size"}}, {"names": {"area": "size"}}),
        ("drop_missing", {"columns": []}, {}),
    ],
)  # fmt: skip
def test_columns_and_conditions_are_those_of_the_data(
    block: str, given: dict[str, Any], kept: dict[str, Any]
) -> None:
    assert config("do it with houses.csv", block, given, "houses.csv") == kept


def test_a_column_is_followed_through_a_step_that_renames_it() -> None:
    made = settled(
        "mean price per city of the houses as a bar chart",
        ("read_csv", {"url": "houses.csv"}),
        ("aggregate", {"by": ["city"], "aggregates": {"price_mean": "mean(price)"}}),
        ("chart", {"kind": "bar", "x": "city", "y": "price"}),
    )
    assert made.steps[-1].config["y"] == "price_mean"


def test_joining_by_the_only_shared_column_is_no_guess() -> None:
    sources = (
        ("read_csv", {"url": "houses.csv"}),
        ("read_parquet", {"url": "data/city_rents.parquet"}),
    )
    request = "join houses.csv and data/city_rents.parquet"
    made = settled(request, *sources, ("join_tables", {"keys": ["city"]}))
    assert made.steps[-1].config == {"keys": ["city"]}
    made = settled(request, *sources, ("join_tables", {"keys": ["area"]}))
    assert made.steps[-1].config == {}


def test_rows_are_held_out_to_judge_a_model() -> None:
    made = settled(
        "train a regressor for price on the houses and evaluate it",
        ("train_regressor", {"target": "price"}),
        ("read_csv", {"url": "houses.csv"}),
        ("evaluate_model", {}),
    )
    names = [step.block for step in made.steps]
    assert names == ["read_csv", "split_rows", "train_regressor", "evaluate_model"]


@pytest.mark.parametrize(
    ("request_", "cron", "read", "kept"),
    [
        ("sort the houses", "0 6 * * *", None, None),
        ("sort the houses every day", "0 7 * * *", None, "0 7 * * *"),
        ("sort the houses every day", "at seven", "0 6 * * *", "0 6 * * *"),
        ("sort the houses every day", None, "0 6 * * *", "0 6 * * *"),
        ("sortiere die houses täglich um 7 Uhr", "0 7 * * *", None, "0 7 * * *"),
    ],
)
def test_a_schedule_is_only_for_who_asks_for_one(
    request_: str, cron: str | None, read: str | None, kept: str | None
) -> None:
    made = settled(request_, ("read_csv", {"url": "houses.csv"}), cron=cron, read=read)
    assert (made.schedule.cron if made.schedule else None) == kept

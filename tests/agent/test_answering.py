"""Answers about what there is, from a real database with each person's own rights."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from constellation_dagster.agent.answering import answer
from constellation_dagster.agent.context import Context
from constellation_dagster.agent.failures import errors_of
from constellation_dagster.domain.conversations import ChatMessage, Thread
from constellation_dagster.domain.facts import ColumnFact, Facts, FileFact, PipelineFact, TableFact
from constellation_dagster.resources.person_sql import as_person
from tests.database.rows import approve, publish, request_run
from tests.roles import as_user, create_user

SPEC = {
    "name": "scoring",
    "nodes": [
        {"id": "load", "block": "read_csv", "config": {"url": "sales.csv"}},
        {"id": "ask", "block": "infer", "config": {"deployment": "churn_model"}},
    ],
    "edges": [{"source": "load.table", "target": "ask.table"}],
}
COLUMNS = (
    ColumnFact(name="customer"),
    ColumnFact(name="units", type="number"),
    ColumnFact(name="total", type="number"),
    ColumnFact(name="day", type="date"),
)
FAILURE = {"message": "1 node failed.", "nodes": {"load": "There is no file 'sales.csv'."}}


class Asker:
    """A person with a published pipeline, who asks."""

    def __init__(
        self, database_url: str, connection: psycopg.Connection, name: str = "scoring"
    ) -> None:
        self.database_url, self.connection = database_url, connection
        self.id = create_user(connection)
        with as_user(connection, self.id):
            row = connection.execute(
                "select save_pipeline(%s)", (Jsonb(SPEC | {"name": name}),)
            ).fetchone()
        assert row is not None
        self.pipeline: UUID = row[0]
        publish(connection, self.pipeline, approve(connection, self.id, self.pipeline))
        self.facts = Facts(
            files=(FileFact(path="photo.png", kind="image", note="96 x 64, 3 bands"),),
            tables=(TableFact(name="invoices", columns=COLUMNS),),
            deployments=("churn_model",),
            pipelines=(
                PipelineFact(name="scoring", id=str(self.pipeline), spec=SPEC, status="published"),
            ),
        )

    def fail(self) -> UUID:
        """A run of the pipeline that fails."""
        run = request_run(self.connection, self.id, self.pipeline)
        for status in ("starting", "running", "failed"):
            self.connection.execute(
                "update runs set status = %s, error = %s where id = %s",
                (status, Jsonb(FAILURE) if status == "failed" else None, run),
            )
        return run

    def ask(
        self, question: str, facts: Facts | None = None, candidates: tuple[str, ...] = ()
    ) -> str:
        thread = Thread(
            message_id=uuid4(),
            conversation_id=uuid4(),
            owner=self.id,
            messages=(ChatMessage(role="user", content=question),),
        )
        with as_person(self.database_url, self.id) as person:
            context = Context(thread=thread, facts=facts or self.facts, candidates=candidates)
            return answer(context, person)


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def asker(database_url: str, connection: psycopg.Connection) -> Asker:
    return Asker(database_url, connection)


def test_why_a_run_failed(asker: Asker) -> None:
    assert "No run of yours has failed." in asker.ask("why did my last run fail?")
    run = asker.fail()
    for question in (
        "Why did my last run fail?",
        "why did it fail?",
        "what went wrong with scoring",
    ):
        text = asker.ask(question)
        assert str(run) in text
        assert str(asker.pipeline) in text
        assert text.count("There is no file 'sales.csv'.") == 1
        assert "Node `load`: There is no file 'sales.csv'." in text
    later = request_run(asker.connection, asker.id, asker.pipeline)
    assert f"a later one, {later}: requested" in asker.ask("why did my last run fail?")


def test_a_run_whose_error_tells_of_its_nodes() -> None:
    error = {
        "message": "1 of 2 nodes failed.\nnode 'load': no file.",
        "nodes": {"load": "no file."},
    }
    assert list(errors_of(error, {})) == ["1 of 2 nodes failed.\nnode 'load': no file."]


def test_a_pipeline_called_like_a_failure_is_explained(asker: Asker) -> None:
    facts = asker.facts.model_copy(
        update={
            "pipelines": (asker.facts.pipelines[0].model_copy(update={"name": "broken_sales"}),)
        }
    )
    assert "1. **load**" in asker.ask("explain broken_sales", facts)


def test_how_the_last_run_went(asker: Asker) -> None:
    assert asker.ask("When was my last run?") == "There is no run yet."
    run = asker.fail()
    assert f"{run} of the pipeline `scoring`" in asker.ask("When was my last run?")


def test_who_uses_a_deployment(asker: Asker) -> None:
    for question in (
        "Which of my pipelines use the deployment churn_model?",
        "which pipelines depend on deployment churn_modl",
    ):
        assert f"the pipeline `scoring` (pipeline {asker.pipeline})" in asker.ask(question)
    text = asker.ask("which pipelines use deployment weather?")
    assert text == "You have no deployment `weather`. There are: churn_model."
    assert asker.ask("who uses the block pivot?") == "Nothing of yours uses the block `pivot`."


def test_what_a_pipeline_does(asker: Asker) -> None:
    text = asker.ask("Explain the pipeline scoring")
    assert f"(pipeline {asker.pipeline}, published)" in text
    assert "1. **load**" in text
    assert "2. **ask**" in text


def test_what_can_be_done_with_data(asker: Asker) -> None:
    text = asker.ask("what can I do with the table invoices?")
    assert "`total` (number)" in text
    assert "line chart of `total` over `day`" in text
    assert "96 x 64, 3 bands" in asker.ask("What can I do with photo.png?")
    assert "no table `weather`" in asker.ask("What can I do with the table weather?")


def test_what_can_be_done_with_this_table(asker: Asker) -> None:
    # There is one table only, so it is that one.
    assert "`invoices` has 4 columns" in asker.ask("What can I do with this table?")


def test_what_there_is(asker: Asker) -> None:
    assert str(asker.pipeline) in asker.ask("Which pipelines do I have?")
    assert "You have no packages." in asker.ask("list my packages")
    assert "`aggregate`" in asker.ask("what blocks are there?")
    assert "`where` (needed)" in asker.ask("what does the block filter_rows do?")
    assert "I can answer" in asker.ask("what is the meaning of life?")


def test_which_blocks_are_for_something(asker: Asker) -> None:
    found = ("resize_image", "tile_image")
    text = asker.ask("which blocks are there for images?", candidates=found)
    assert "`resize_image`: " in text
    assert "`aggregate`" not in text
    assert "`aggregate`" in asker.ask("which blocks are there?", candidates=found)


def test_a_file_called_like_a_pipeline_is_the_file(asker: Asker) -> None:
    columns = (ColumnFact(name="units", type="number"),)
    facts = asker.facts.model_copy(
        update={"files": (FileFact(path="scoring.csv", kind="table", columns=columns),)}
    )
    assert "The file `scoring.csv`" in asker.ask("what can I do with scoring.csv?", facts)
    assert "The pipeline `scoring`" in asker.ask("what does scoring do?", facts)


def test_a_deployment_that_only_its_name_is_known_of(asker: Asker) -> None:
    text = asker.ask("what is churn_model?")
    assert "The deployment `churn_model` is used by" in text


def test_another_person_is_told_nothing(
    asker: Asker, database_url: str, connection: psycopg.Connection
) -> None:
    run = asker.fail()
    stranger = Asker(database_url, connection, "other")
    for question in (
        "why did my last run fail?",
        "which pipelines use the deployment churn_model?",
        "when was the last run?",
        "why did scoring fail?",
    ):
        # Even with another's pipeline among the facts, rows keep to who asks.
        text = stranger.ask(question, asker.facts)
        assert str(run) not in text
        assert f"pipeline {asker.pipeline}" not in text

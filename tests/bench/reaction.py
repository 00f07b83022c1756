"""How long a committed row waits: for its run's first node, or for its pipeline's publication.

A real embedded stack in a home of its own; rows come one by one, at random moments. The peer is
`stock_location` under a `dagster-daemon` with Dagster's defaults (queued coordinator, a sensor
each 30 s, a process a step) on the same Postgres server and the same table, in the same minutes.
"""

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import dagster as dg
import psutil
import psycopg
import yaml

from constellation_dagster.jobs.publishing import publish_pipelines
from constellation_dagster.settings import PROJECT_ROOT
from tests.bench.report import middle_and_worst, print_table
from tests.bench.stock_location import PIPELINE_VARIABLE
from tests.end_to_end.person import Nodes, Person, new_name, wait_for
from tests.stack_fixture import RunningStack, end_all

OUR_ROWS = 12
STOCK_ROWS = 4
PUBLICATIONS = 6
STOCK_DATABASE = "stock"
LONGEST_PAUSE = 15.0

NODES: Nodes = {
    "load": ("sample_data", {"name": "penguins"}),
    "adult": ("filter_rows", {"where": "body_mass_g > 3000"}),
    "pick": ("select_columns", {"columns": ["species", "bill_length_mm"]}),
}
EDGES = ("load.table > adult.table", "adult.table > pick.table")

# What happens between the row and the first node, as Dagster's event log tells it.
STEPS = ("PIPELINE_STARTING", "PIPELINE_START", "STEP_START")
RUN_PARTS = ("run created", "STARTING", "RUN_START", "STEP_START", "first node", "row to node")
PUBLISH_PARTS = ("run created", "STARTING", "RUN_START", "STEP_START", "published", "row to end")

_DAEMON = Path(sys.executable).with_name("dagster-daemon")


def instance_on(folder: Path, postgres_url: str) -> dg.DagsterInstance:
    """Dagster's instance on a database."""
    folder.mkdir()
    content = {
        "storage": {"postgres": {"postgres_url": postgres_url}},
        "telemetry": {"enabled": False},
    }
    (folder / "dagster.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return dg.DagsterInstance.from_config(str(folder))


def _moments(instance: dg.DagsterInstance, run_id: str) -> list[float]:
    """When a run was created, and when each of STEPS first was."""
    record = instance.get_run_record_by_id(run_id)
    assert record is not None
    seen: dict[str, float] = {}
    for entry in instance.all_logs(run_id):
        if entry.dagster_event is not None:
            seen.setdefault(entry.dagster_event.event_type_value, entry.timestamp)
    return [record.create_timestamp.timestamp(), *(seen[step] for step in STEPS)]


def finished_run(instance: dg.DagsterInstance, wanted: dg.RunsFilter) -> str:
    """The run that is wanted, once it is over."""

    def ask() -> str | None:
        runs = instance.get_runs(wanted, limit=1)
        return runs[0].run_id if runs and runs[0].is_finished else None

    return wait_for(ask, "finished run")


def _run_of(row: str) -> dg.RunsFilter:
    """The run that was made for a row."""
    return dg.RunsFilter(tags={"dagster/run_key": row})


def _between(moments: Sequence[float]) -> list[float]:
    """Each part, and the whole."""
    parts = [after - before for before, after in pairwise(moments)]
    return [*parts, moments[-1] - moments[0]]


def one_row(connection: psycopg.Connection, query: str, *values: Any) -> tuple[Any, ...]:
    """The first row that a query gives."""
    row = connection.execute(query.encode(), values).fetchone()
    assert row is not None
    return row


class _Bench:
    """One stack, its person, and both instances."""

    def __init__(self, stack: RunningStack, folder: Path, database: psycopg.Connection) -> None:
        self.person = Person(stack.person(), stack)
        self.service = stack.service()
        self.database = database
        self.random = random.Random(7)
        dagster_url = stack.variables["CONSTELLATION_DAGSTER_POSTGRES_URL"]
        self.ours = instance_on(folder / "ours", dagster_url)
        database.execute(f"create database {STOCK_DATABASE}".encode())
        stock_url = urlsplit(dagster_url)._replace(path=f"/{STOCK_DATABASE}")
        self.stock = instance_on(folder / "stock", urlunsplit(stock_url))

    def pause(self) -> None:
        time.sleep(self.random.uniform(0, LONGEST_PAUSE))

    def publication(self) -> list[float]:
        """Approves a new pipeline; how long until it is published, by parts."""
        pipeline = self.person.draw(new_name("bench"), NODES, EDGES)
        self.pause()
        row = self.person.approve(pipeline)
        assert row["status"] == "published", row["problems"]
        query = "select created_at, published_at from pipeline_versions where pipeline_id = %s"
        approved, published = (at.timestamp() for at in one_row(self.database, query, pipeline))
        runs = self.ours.get_run_records(dg.RunsFilter(job_name=publish_pipelines.name), limit=5)
        run = next(run for run in runs if run.create_timestamp.timestamp() < published)
        return _between([approved, *_moments(self.ours, run.dagster_run.run_id), published])

    def our_run(self, pipeline: str) -> list[float]:
        """Asks for a run of a published pipeline; how long until its first node, by parts."""
        self.pause()
        row = self.person.ask_for_run(pipeline)
        moments = _moments(self.ours, finished_run(self.ours, _run_of(row)))
        query = "select requested_at, (progress #>> '{load,started_at}')::timestamptz from runs where id = %s"
        requested, started = (at.timestamp() for at in one_row(self.database, query, row))
        return _between([requested, *moments, started])

    def stock_run(self, pipeline: str) -> list[float]:
        """The same of the peer: the start of its first step is that of its node."""
        self.pause()
        # A row that says it runs already is none that our sensor takes.
        content = {"pipeline_id": pipeline, "dagster_run_id": f"stock-{uuid4()}"}
        row = self.person.rows(self.service.table("runs").insert(content))[0]["id"]
        moments = _moments(self.stock, finished_run(self.stock, _run_of(row)))
        [requested] = one_row(self.database, "select requested_at from runs where id = %s", row)
        return _between([requested.timestamp(), *moments, moments[-1]])


@contextmanager
def running_stack(home: Path) -> Generator[RunningStack]:
    """A stack until it is no longer needed."""
    stack = RunningStack(home)
    stack.up()
    try:
        yield stack
    finally:
        stack.down()
        end_all(stack.processes())


@contextmanager
def _stock_daemon(stack: RunningStack, folder: Path, pipeline: str) -> Generator[None]:
    """Dagster's daemon, which serves the stock location too."""
    log = (folder / "daemon.log").open("w")
    daemon = subprocess.Popen(
        [_DAEMON, "run", "-m", "tests.bench.stock_location", "-d", str(PROJECT_ROOT)],
        env=stack.environment(
            **{PIPELINE_VARIABLE: pipeline, "DAGSTER_HOME": str(folder / "stock")},
            SUPABASE_URL=stack.url,
            SUPABASE_SERVICE_ROLE_KEY=stack.variables["SUPABASE_SERVICE_ROLE_KEY"],
        ),
        cwd=PROJECT_ROOT,
        stdout=log,
        stderr=log,
    )
    try:
        yield
    finally:
        family = [*psutil.Process(daemon.pid).children(recursive=True), psutil.Process(daemon.pid)]
        end_all(family)
        daemon.wait()
        log.close()


def _rows(what: str, parts: Sequence[str], measured: Sequence[Sequence[float]]) -> list[list[str]]:
    columns = list(zip(*measured, strict=True))
    assert len(columns) == len(parts)
    return [[f"{what}, n = {len(measured)}", *(middle_and_worst(column) for column in columns)]]


def main() -> None:
    """Measures and prints."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        running_stack(Path(name) / "home") as stack,
        psycopg.connect(stack.variables["DATABASE_URL"], autocommit=True) as database,
    ):
        folder = Path(name)
        bench = _Bench(stack, folder, database)
        publications = [bench.publication() for _ in range(PUBLICATIONS)]
        print_table(
            "reaction, publishing: seconds from one moment to the next, p50 (worst)",
            ["approved →", *PUBLISH_PARTS],
            _rows("ours", PUBLISH_PARTS, publications),
        )
        pipeline = bench.person.publish(new_name("bench"), NODES, EDGES)
        stock_pipeline = bench.person.draw(new_name("stock"), NODES, EDGES)
        with _stock_daemon(stack, folder, stock_pipeline):
            bench.our_run(pipeline)  # the first of each does not count
            bench.stock_run(stock_pipeline)
            ours: list[list[float]] = []
            stock: list[list[float]] = []
            for _ in range(STOCK_ROWS):
                ours += [bench.our_run(pipeline) for _ in range(OUR_ROWS // STOCK_ROWS)]
                stock.append(bench.stock_run(stock_pipeline))
    ratio = median(run[-1] for run in stock) / median(run[-1] for run in ours)
    print_table(
        "reaction, runs: seconds from one moment to the next, p50 (worst); "
        f"stock / ours, whole, p50: {ratio:.1f}",
        ["row committed →", *RUN_PARTS],
        [*_rows("ours", RUN_PARTS, ours), *_rows("stock", RUN_PARTS, stock)],
    )

"""The peer of `reaction`: what one writes who reacts to the same rows with Dagster as it comes.

One asset a node, with the work of the platform's blocks; a sensor that polls the table.
"""

import importlib.metadata
import os
from typing import cast

import dagster as dg
import polars as pl

PIPELINE_VARIABLE = "BENCH_PIPELINE"


@dg.asset
def load() -> pl.DataFrame:
    """What `sample_data` does."""
    package = importlib.metadata.distribution("palmerpenguins")
    path = str(package.locate_file("palmerpenguins/data/penguins.csv"))
    return pl.read_csv(path, null_values=["NA"])


@dg.asset
def adult(load: pl.DataFrame) -> pl.DataFrame:
    """What `filter_rows` does."""
    return load.filter(pl.col("body_mass_g") > 3000)


@dg.asset
def pick(adult: pl.DataFrame) -> pl.DataFrame:
    """What `select_columns` does."""
    return adult.select("species", "bill_length_mm")


@dg.sensor(target=[load, adult, pick], default_status=dg.DefaultSensorStatus.RUNNING)
def requested_runs(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Polls each 30 s, Dagster's default."""
    from supabase import create_client

    client = create_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_SERVICE_ROLE_KEY"])
    query = client.table("runs").select("id,requested_at")
    query = query.eq("pipeline_id", os.environ[PIPELINE_VARIABLE])
    if context.cursor:
        query = query.gt("requested_at", context.cursor)
    rows = cast("list[dict[str, str]]", query.order("requested_at").execute().data)
    if not rows:
        return dg.SkipReason("No new rows.")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=row["id"]) for row in rows],
        cursor=rows[-1]["requested_at"],
    )


defs = dg.Definitions(assets=[load, adult, pick], sensors=[requested_runs])

"""SQL over inputs sees its inputs and nothing else."""

from pathlib import Path

import polars as pl
import pytest

from constellation_dagster.blocks import sql
from constellation_dagster.domain.errors import BlockFailed

SECRET = pl.DataFrame({"secret": [1]})


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_csv('{folder}/a.csv')",
        "select * from '{folder}/a.csv'",
        "select * from read_text('{folder}/*')",
        "select * from read_blob('/proc/self/environ')",
        "select * from glob('{folder}/*')",
        "select * from read_json('{folder}/a.csv')",
        "select * from parquet_scan('{folder}/a.csv')",
        "select * from sniff_csv('{folder}/a.csv')",
        "select * from read_csv('http://127.0.0.1:9/a.csv')",
        "select * from query('select * from read_csv(''{folder}/a.csv'')')",
        "select * from query_table(['{folder}/a.csv'])",
        "select (select content from read_text('{folder}/a.csv')) from t",
        "with x as (from '{folder}/a.csv') select * from x",
        "attach '{folder}/new.db' as other; select 1",
        "attach 'host=127.0.0.1' as pg (type postgres); select 1",
        "copy t to '{folder}/new.csv'",
        "copy (select * from t) to '{folder}/new.parquet' (format parquet)",
        "create table x as select 1; copy x from '{folder}/a.csv'; select * from x",
        "export database '{folder}/new'",
        "import database '{folder}'",
        "install httpfs; select 1",
        "load httpfs; select 1",
        "load '{folder}/evil.duckdb_extension'; select 1",
        "set enable_external_access = true; select * from '{folder}/a.csv'",
        "reset enable_external_access; select 1",
        "set lock_configuration = false; select 1",
        "pragma enable_external_access = true; select 1",
        "set allowed_paths = ['{folder}/a.csv']; select * from '{folder}/a.csv'",
        "set temp_directory = '{folder}'; select 1",
        "set python_enable_replacements = true; select * from SECRET",
        "create persistent secret s (type s3, key_id 'x', secret 'y'); select 1",
        "select getenv('PATH')",
        "select * from SECRET",
        "select * from pg_catalog.pg_stat_activity",
    ],
)
def test_nothing_else_is_seen(tmp_path: Path, query: str) -> None:
    (tmp_path / "a.csv").write_text("password\nhunter2\n")
    with pytest.raises(BlockFailed) as raised:
        sql([pl.DataFrame({"a": [1]})], query=query.format(folder=tmp_path))
    assert "hunter2" not in str(raised.value)
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]

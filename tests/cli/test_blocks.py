"""`constellation block`."""

import json

from typer.testing import CliRunner

from constellation_dagster.cli.blocks import app
from constellation_dagster.domain.errors import UnknownBlock

RUNNER = CliRunner(env={"COLUMNS": "160"})


def test_list() -> None:
    result = RUNNER.invoke(app, ["list"])
    assert result.exit_code == 0
    assert "split_rows@1" in result.stdout
    assert "train: Table, test: Table" in result.stdout


def test_list_for_programs() -> None:
    described = json.loads(RUNNER.invoke(app, ["list", "--json"]).stdout)
    assert [block["name"] for block in described] == sorted(block["name"] for block in described)
    chart = next(block for block in described if block["name"] == "chart")
    assert chart["inputs"][0]["type"] == "Table"
    assert chart["config_schema"]["required"] == ["kind", "x"]


def test_show() -> None:
    shown = RUNNER.invoke(app, ["show", "impute_missing@1"]).stdout
    assert "mean | median | most_frequent | constant" in shown
    assert "numbers_constant" in shown
    assert "Mistakes it tells" in shown
    assert json.loads(RUNNER.invoke(app, ["show", "chart", "--json"]).stdout)["version"] == 1


def test_show_what_is_not_there() -> None:
    result = RUNNER.invoke(app, ["show", "imput_missing"])
    assert isinstance(result.exception, UnknownBlock)
    assert "Did you mean 'impute_missing'?" in str(result.exception)

"""What docs/serving.md shows and says is so."""

import json
import re
import textwrap
from pathlib import Path

from constellation_dagster.serving.http_request import Limits
from constellation_dagster.serving.requirements import SERVING_REQUIREMENTS
from constellation_dagster.settings import PROJECT_ROOT
from tests.serving.packages import python_package, tensor
from tests.serving.running import INFER, Server, serving

PAGE = (PROJECT_ROOT / "docs" / "serving.md").read_text()
# Blocks that are indented: fences are run by tests/docs.
EXAMPLES = [
    textwrap.dedent(block).strip()
    for block in re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", PAGE, re.MULTILINE)
]


def test_the_request_and_its_answer(server: Server) -> None:
    request, answer = EXAMPLES[0].split("\n\n")
    said = server.ask(INFER, json.loads(request)).json()
    for output in said["outputs"]:
        output["data"] = [
            round(number, 2) if number > 0.01 else number for number in output["data"]
        ]
    shown = json.loads(answer)
    assert said["outputs"][1]["data"][2] < 1e-7
    shown["outputs"][1]["data"][2] = said["outputs"][1]["data"][2]
    assert said == shown


def test_the_model_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "factor.json").write_text("3")
    package = python_package(
        folder,
        EXAMPLES[1],
        response={"outputs": [tensor("x", "FP64", (1,), [3.0])]},
    )
    with serving(package, tmp_path) as server:
        reply = server.ask(INFER, {"inputs": [tensor("x", "FP64", (2,), [1.0, 2.0])]})
        assert reply.json()["outputs"][0]["data"] == [3.0, 6.0]


def test_limits_and_metrics_are_those_there_are(server: Server) -> None:
    limits = Limits()
    for told, value in (
        ("30 s", limits.receive_seconds),
        ("16 MiB", limits.body_bytes / 2**20),
        ("32 KiB", limits.head_bytes / 2**10),
        ("after a\nsecond", limits.drain_idle_seconds),
    ):
        assert told in PAGE
        assert float(re.sub(r"\D", "", told) or 1) == value
    names = re.findall(r"^\| `(\w+)", PAGE.partition("## Metrics")[2], re.MULTILINE)
    names += re.findall(r", `(\w+)`(?:, `\w+`)? \| ", PAGE.partition("## Metrics")[2])
    text = server.ask("/metrics").body.decode()
    found = set(re.findall(r"^# TYPE constellation_serving_(\w+)", text, re.MULTILINE))
    assert set(names) == found
    for name in SERVING_REQUIREMENTS:
        assert f"`{name}`" in PAGE

"""Calls one block inside of its own environment: `python -P node_child.py FOLDER`.

The folder has `task.json`, the inputs in the formats of their ports and the block's code; outputs
go there too. It is run as a file: the packages above this one are not there.
"""

import importlib
import json
import logging
import sys
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import dagster_pipes
from loguru import logger

from constellation_dagster.blocks.urls import within
from constellation_dagster.domain.block import AnyBlock, BlockDefinition
from constellation_dagster.domain.errors import BlockFailed, ConstellationError
from constellation_dagster.domain.places import Places
from constellation_dagster.resources.formats import FORMATS

if TYPE_CHECKING:
    from loguru import Message


def main(folder: Path) -> None:
    """Does the task and writes `result.json`: nothing on success, else what went wrong."""
    with dagster_pipes.open_dagster_pipes() as pipes:
        _forward(pipes.log)
        result: dict[str, Any] = {}
        try:
            _call(folder, json.loads((folder / "task.json").read_text(encoding="utf-8")))
        except BlockFailed as error:
            result = {"kind": "BlockFailed", "message": error.message, "hint": error.hint}
        except ConstellationError as error:
            result = {"kind": "ConstellationError", "message": str(error)}
        except Exception as error:  # noqa: BLE001 - a block may raise anything; it is reported
            trace = "".join(traceback.format_exception(error))
            result = {"kind": type(error).__name__, "message": str(error), "traceback": trace}
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _call(folder: Path, task: dict[str, Any]) -> None:
    block = _block(task["module"], task["block"])
    inputs: dict[str, Any] = {}
    for port in block.inputs:
        read: list[Any] = []
        for name in task["inputs"].get(port.name, []):
            with (folder / name).open("rb") as file:
                read.append(FORMATS[port.type].load(file))
        if read or (port.many and port.name in task["inputs"]):
            inputs[port.name] = read if port.many else read[0]
    places: list[str] | None = task["places"]
    with nullcontext() if places is None else within(Places(tuple(map(Path, places)))):
        outputs = block.call(inputs, task["config"], {})
    for port in block.outputs:
        form = FORMATS[port.type]
        with (folder / f"output-{port.name}{form.suffix}").open("wb") as file:
            form.dump(outputs[port.name], file)


def _block(module: str, ref: str) -> AnyBlock:
    for value in vars(importlib.import_module(module)).values():
        if isinstance(value, BlockDefinition) and (found := cast("AnyBlock", value)).ref == ref:
            return found
    raise LookupError(f"module {module!r} has no block {ref!r}")


def _forward(log: logging.Logger) -> None:
    """What the block logs goes to the run's log, as it does without an environment."""

    def forward(message: "Message") -> None:
        record = message.record
        log.log(record["level"].no, record["message"])

    logger.remove()
    logger.add(forward, level="INFO", format="{message}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

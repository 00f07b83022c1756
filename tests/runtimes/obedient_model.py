"""The code of a model that does as it is told: it answers, or shows one of the faults that models have.

It becomes `model.py` of a package, so it imports nothing of ours.
"""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np


class Model:
    """Each row of `command` is carried out; `answer` has what came of it."""

    def __init__(self) -> None:
        self._leaked: list[bytearray] = []

    def setup(self, folder: Path) -> None:
        print("the model is being loaded", flush=True)
        if os.environ.get("FAULT") == "never ready":
            print("waiting for a licence server that is not there", flush=True)
            time.sleep(3600)

    def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
        answers = [self._do(*_text(command).split(maxsplit=1)) for command in inputs["command"]]
        return {"answer": np.array(answers, dtype=object)}

    def _do(self, verb: str, argument: str = "") -> str:
        if verb == "say":
            return "something else" if os.environ.get("FAULT") == "wrong answers" else argument
        if verb == "sleep":
            time.sleep(float(argument))
            return f"slept {argument}"
        if verb == "variable":
            return os.environ.get(argument, "unset")
        if verb == "secret":
            return Path(os.environ["CONSTELLATION_SECRETS_DIR"], argument).read_text()
        if verb == "print":
            print(argument, flush=True)
        elif verb == "leak":
            # Written to, so that it is memory and not only addresses.
            self._leaked.append(bytearray(os.urandom(1024 * 1024)) * int(argument))
        elif verb == "exit":
            print("the model ends its process", flush=True)
            os._exit(int(argument))
        else:
            raise ValueError(f"no such command: {verb}")
        return "done"


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value

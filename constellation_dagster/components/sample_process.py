"""The process of a sample run: started without keys, listened to, and ended with all it began."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from loguru import logger

from constellation_dagster.components.sample_child import THREADS, SampleTask, memory_message
from constellation_dagster.domain.markdown import cut
from constellation_dagster.domain.samples import SampleOutput, SampleProblem

# Python starts and imports; on a busy machine that takes many times as long as else.
START_SECONDS = 60.0
_ENDING_SECONDS = 5.0
_SAID_CHARACTERS = 200

_CHILD = Path(__file__).with_name("sample_child.py")
# What the process needs to run at all, and to read what a real run reads.
_KEPT: Final = {
    *("PATH", "HOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"),
}
_KEPT_PREFIXES: Final = ("AWS_", "AZURE_STORAGE_")
# As many threads on every machine: each takes memory.
_THREADS: Final = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_OUT_OF_MEMORY = (
    *("memory allocation of", "bad_alloc", "memoryerror"),
    *("cannot allocate memory", "out of memory"),
)
_TOO_LONG = (
    "It was stopped after {task.seconds:g} seconds, all that a run on the first {task.rows} rows "
    "may take. Read a smaller file, or approve it as it is if a whole run may take longer."
)
_NOT_BEGUN = (
    f"The run on a sample did not begin within {START_SECONDS:g} seconds, as happens when this "
    "machine is busy. Ask again later."
)


@dataclass
class Attempt:
    """What came of running the nodes once."""

    rows: int
    outputs: dict[str, SampleOutput] = field(default_factory=dict[str, SampleOutput])
    problems: list[SampleProblem] = field(default_factory=list[SampleProblem])
    withheld: dict[str, str] = field(default_factory=dict[str, str])
    running: str | None = None

    def hear(self, line: Mapping[str, Any]) -> None:
        """Takes in a line of the child."""
        if "node" in line:
            self.running = line["node"]
        elif "output" in line:
            self.outputs[line["output"]] = SampleOutput.model_validate(line["value"])
        elif "failed" in line:
            self.problems.append(SampleProblem(node=line["failed"], message=line["message"]))
        elif "withheld" in line:
            self.withheld[line["withheld"]] = f"Node {line['because']!r} failed."

    def stopped(self, why: str, nodes: Sequence[str]) -> None:
        """Notes that the child ended too early."""
        self.problems.append(SampleProblem(node=self.running, message=why))
        told = {problem.node for problem in self.problems} | self.withheld.keys()
        told |= {name.partition(".")[0] for name in self.outputs}
        for node in nodes:
            if node not in told:
                self.withheld[node] = "The run was over before it."


def watch(task: SampleTask, *, database_url: str | None) -> Attempt:
    """Runs the child, and ends it when it takes too long.

    Args:
        task: What it is to run.
        database_url: Where the person's tables are, if they are needed.
    """
    with tempfile.TemporaryDirectory(prefix="constellation-sample-") as name:
        folder = Path(name)
        given, said = folder / "task.json", folder / "stderr"
        given.write_text(task.model_dump_json(), encoding="utf-8")
        with given.open("rb") as stdin, said.open("wb") as stderr:
            child = subprocess.Popen(
                [sys.executable, "-P", str(_CHILD)],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=folder,
                env=_environment(folder, task.roots, database_url),
                start_new_session=True,
            )
        assert child.stdout is not None  # a pipe was asked for
        try:
            attempts, done, late = _listen(child.stdout, task.seconds)
            if not done and not late:
                _let_end(child.pid)
        finally:
            # Before it is reaped: its number is not given to another process until then.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.stdout.close()
            child.wait()
        if done:
            return attempts[-1]
        if len(attempts) > 1:
            return attempts[-2]
        attempt = attempts[-1] if attempts else Attempt(task.rows)
        if late:
            why = _TOO_LONG.format(task=task) if attempts else _NOT_BEGUN
        else:
            text = said.read_text(encoding="utf-8", errors="replace").strip()
            why = _why_ended(task, child.returncode, text)
        attempt.stopped(why, task.nodes)
        return attempt


def _let_end(pid: int) -> None:
    """Gives a child that says no more the time to end, so that it can be said how."""
    deadline = time.monotonic() + _ENDING_SECONDS
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while os.waitid(os.P_PID, pid, how) is None and time.monotonic() < deadline:
        time.sleep(0.02)


@dataclass
class _Deadline:
    """When the child has to be done, by the monotonic clock."""

    at: float


def _listen(stdout: IO[bytes], seconds: float) -> tuple[list[Attempt], bool, bool]:
    """What the child says: its attempts, whether it came to its end, and whether it was late."""
    attempts: list[Attempt] = []
    deadline = _Deadline(time.monotonic() + START_SECONDS)
    for line in _lines(stdout, deadline):
        if line is None:
            return attempts, False, True
        if "ready" in line:
            deadline.at = time.monotonic() + seconds
        elif "rows" in line:
            attempts.append(Attempt(line["rows"]))
        elif "done" in line:
            return attempts, True, False
        else:
            attempts[-1].hear(line)
    return attempts, False, False


def _lines(stdout: IO[bytes], deadline: _Deadline) -> Iterator[Mapping[str, Any] | None]:
    """Each line of the child; None, and no more, when its time is over."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while (left := deadline.at - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            read = os.read(stdout.fileno(), 65536)
            if not read:
                return
            *whole, rest = (rest + read).split(b"\n")
            yield from map(json.loads, whole)
    yield None


def _why_ended(task: SampleTask, code: int, text: str) -> str:
    """Why there was no end: in words for the person, with details for the operator in the log."""
    if -code in (signal.SIGALRM, signal.SIGXCPU):
        return _TOO_LONG.format(task=task)
    logger.warning("a run on a sample ended with code {}: {}", code, text[-2000:])
    if any(sign in text.lower() for sign in _OUT_OF_MEMORY):
        return memory_message(task.memory_bytes)
    if code < 0:
        how = f"by the signal {signal.Signals(-code).name}"
        hint = " That happens when this machine is short of memory." if code == -9 else ""
    else:
        how = f"with exit code {code}"
        said = text.splitlines()[-1:]
        hint = f" It said: {cut(said[0], _SAID_CHARACTERS)}" if said else ""
    return f"The process that ran on a sample was ended {how}.{hint}"


def _environment(folder: Path, roots: Sequence[Path], database_url: str | None) -> dict[str, str]:
    """The child's variables: no keys but those that reading files takes, and tables if it does."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    threads = dict.fromkeys(_THREADS, str(THREADS))
    database = {"DATABASE_URL": database_url} if database_url else {}
    return {
        **kept,
        **threads,
        **database,
        # An empty home: there are no keys of a running stack in it.
        "CONSTELLATION_HOME": str(folder),
        "CONSTELLATION_FILE_ROOTS": os.pathsep.join(map(str, roots)),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TMPDIR": str(folder),
    }

"""Runs one program so that nothing of it outlives the supervisor, however either of them ends.

supervisord starts `python guard.py LAUNCH_FILE` in a process group of its own. The guard starts the program, passes
signals on, and when the program ends, or the supervisor has gone, ends whatever the program has started.
A `kill -9` of the guard itself takes the program along on Linux; the rest is found by the sweep at the next start.
"""

import ctypes
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import psutil

STACK_MARK = "CONSTELLATION_STACK"

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CLOCK_TOLERANCE = 2.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True)
class Launch:
    """How to run one program.

    Attributes:
        argv: The command.
        environment: Its variables, besides those inherited.
        inherit_environment: Whether the supervisor's variables go before them.
        directory: Where it runs.
        stop_signal: Name of the signal that asks it to end.
        grace_seconds: How long it may take to end; looked up when it is asked to, so it may change.
        record: File for the process's `Record`.
        history: File that is told of each start and end (`read_history`), if any.
        memory_mb: It is killed when it, and what it has started, hold more memory (MiB); None for no limit.
    """

    argv: list[str]
    environment: dict[str, str]
    inherit_environment: bool
    directory: str
    stop_signal: str
    grace_seconds: float
    record: str
    history: str | None = None
    memory_mb: int | None = None

    @classmethod
    def load(cls, path: Path) -> "Launch":
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def as_json(self) -> str:
        """For the launch file."""
        return json.dumps(asdict(self), indent=1)


@dataclass(frozen=True)
class Record:
    """A process, told apart from a later one of the same number by its start time."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "Record":
        """The process that has this number now."""
        return cls(pid, psutil.Process(pid).create_time())

    @classmethod
    def load(cls, path: Path) -> "Record | None":
        """The recorded process, or None when there is no usable record."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def save(self, path: Path) -> None:
        """Write it down in one step."""
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(self)), encoding="utf-8")
        draft.replace(path)

    def process(self) -> psutil.Process | None:
        """The process while it lives."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.started) < _CLOCK_TOLERANCE
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


@dataclass(frozen=True)
class History:
    """What a guard has written down of its program.

    Attributes:
        starts: How often it was started.
        exit_code: How it last ended (128 + n by signal n), or None when it has not.
        why: Why the guard has ended it, if it has.
    """

    starts: int = 0
    exit_code: int | None = None
    why: str = ""


def read_history(path: Path) -> History:
    """What is written there; nothing yet is fine."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return History()
    ends = [line.split(" ", 2) for line in lines if line.startswith("ended ")]
    if not ends:
        return History(len(lines))
    _, code, why = ends[-1]
    return History(len(lines) - len(ends), int(code), why)


def end_processes(processes: list[psutil.Process], patience: float) -> None:
    """Ask processes to end, then make them."""
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            try:
                send(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        _, processes = psutil.wait_procs(processes, timeout=patience)
        if not processes:
            return


class Guard:
    """One program and everything it starts."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._launch = launch = Launch.load(file)
        self._record = Path(launch.record)
        self._parent = os.getppid()
        self._stop_requested = False
        self._child = 0
        self._status: int | None = None
        self._why = ""

    def run(self) -> int:
        """Run the program to its end; returns its exit status."""
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in _STOP_SIGNALS:
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # Orphans of the program come to the guard, not to init, so that it can still find them.
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._end_predecessor()
        self._start()
        deadline: float | None = None
        while True:
            self._reap()
            if self._status is not None:
                break
            if deadline is None and (self._stop_requested or os.getppid() != self._parent):
                os.kill(self._child, signal.Signals[self._launch.stop_signal])
                deadline = time.monotonic() + self._grace_seconds()
            if deadline is not None and time.monotonic() > deadline:
                break
            self._watch_memory()
            select.select([wake], [], [], 0.5)
            _drain(wake)
        self._end_rest()
        self._record.unlink(missing_ok=True)
        status = self._status if self._status is not None else 128 + signal.SIGKILL
        self._note(f"ended {status} {self._why}")
        return status

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_requested = True

    def _grace_seconds(self) -> float:
        try:
            return Launch.load(self._file).grace_seconds
        except (OSError, ValueError, TypeError):
            return self._launch.grace_seconds

    def _watch_memory(self) -> None:
        limit = self._launch.memory_mb
        if limit is None:
            return
        used = 0.0
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                used += process.memory_info().rss / 2**20
        if used > limit:
            _say(
                f"It held {used:.0f} MiB of memory, more than its limit of {limit} MiB, and was killed."
            )
            os.kill(self._child, signal.SIGKILL)

    def _end_predecessor(self) -> None:
        """The program of a guard that was killed, where the system did not end it."""
        recorded = Record.load(self._record)
        process = recorded.process() if recorded else None
        if process is not None:
            process.send_signal(signal.Signals[self._launch.stop_signal])
            end_processes([*process.children(recursive=True), process], patience=2.0)

    def _start(self) -> None:
        launch = self._launch
        environment = dict(os.environ) if launch.inherit_environment else {}
        environment |= launch.environment | {STACK_MARK: os.environ.get(STACK_MARK, "")}
        guard = os.getpid()
        self._child = os.fork()
        if self._child == 0:
            try:
                _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != guard:
                    os._exit(127)
                signal.set_wakeup_fd(-1)
                # SIGPIPE too: Python ignores it, and a program would inherit that.
                for number in (*_STOP_SIGNALS, signal.SIGCHLD, signal.SIGPIPE):
                    signal.signal(number, signal.SIG_DFL)
                os.chdir(launch.directory)
                os.execvpe(launch.argv[0], launch.argv, environment)  # noqa: S606
            except OSError as error:
                _say(f"{launch.argv[0]}: {error.strerror}")
            finally:
                os._exit(127)
        Record.of(self._child).save(self._record)
        self._note("started")

    def _note(self, line: str) -> None:
        if self._launch.history is not None:
            # Its folder may be gone already, with all that was known of it.
            with suppress(FileNotFoundError), Path(self._launch.history).open("a") as file:
                file.write(f"{line}\n")

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._child:
                code = os.waitstatus_to_exitcode(status)
                self._status = code if code >= 0 else 128 - code  # as shells say it of a signal

    def _end_rest(self) -> None:
        me = psutil.Process()
        for patience in (1.0, 0.5):
            rest = me.children(recursive=True)
            if not rest:
                return
            end_processes(rest, patience)
            self._reap()


def _say(line: str) -> None:
    """Into the program's log."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _drain(descriptor: int) -> None:
    while select.select([descriptor], [], [], 0)[0]:
        os.read(descriptor, 512)


if __name__ == "__main__":
    sys.exit(Guard(Path(sys.argv[1])).run())

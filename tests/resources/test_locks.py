"""Locks in a real Valkey: one holder at a time, and what a late one does is found out."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from redis import Redis

from constellation_dagster.local.home import Home
from constellation_dagster.local.programs import valkey
from constellation_dagster.resources.locks import FencedLock, LockHeld, LockLost, LockUnavailable

# Says its token, then at each line of input whether it thinks that it has the lock.
HOLD = """
import sys
from constellation_dagster.resources.locks import FencedLock, LockLost
with FencedLock(sys.argv[1], "iris", expiry=float(sys.argv[2])) as lock:
    print(lock.token, flush=True)
    for _ in sys.stdin:
        try:
            lock.check()
        except LockLost:
            print("lost", flush=True)
        else:
            print("held", flush=True)
"""


class Server:
    """A Valkey of a home of its own."""

    def __init__(self, home: Home) -> None:
        home.prepare()
        self.url = f"unix://{quote(str(home.valkey_socket))}"
        self._home = home

    def start(self) -> None:
        program = valkey(self._home)
        self._process = subprocess.Popen(
            program.argv, env=program.environment, cwd=program.directory, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        with Redis.from_url(self.url) as client:
            while not self._home.valkey_socket.exists() or not client.ping():
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._home.valkey_socket.unlink(missing_ok=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(Home(tmp_path / "100% # ? 'of' it"))
    running.start()
    yield running
    running.kill()


class Holder:
    """Another process that has the lock."""

    def __init__(self, url: str, expiry: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, url, str(expiry)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.token = int(self.line())

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def thinks(self) -> str:
        """Whether it has the lock, as far as it knows."""
        assert self.process.stdin is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return self.line().strip()


@pytest.fixture
def holders() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def hold(server: Server, holders: ExitStack, expiry: float) -> Holder:
    holder = Holder(server.url, expiry)
    holders.enter_context(holder.process)
    holders.callback(holder.process.kill)
    return holder


def test_one_at_a_time_and_tokens_grow(server: Server) -> None:
    inside, tokens = 0, list[int]()

    def work() -> None:
        nonlocal inside
        with FencedLock(server.url, "iris") as lock:
            inside += 1
            assert inside == 1
            tokens.append(lock.token)
            time.sleep(0.01)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 8
    assert tokens == sorted(set(tokens))


def test_locks_of_other_names_are_other_locks(server: Server) -> None:
    with FencedLock(server.url, "iris"), FencedLock(server.url, "wine", timeout=0):
        pass


def test_who_has_it_is_said(server: Server) -> None:
    with (
        FencedLock(server.url, "iris"),
        pytest.raises(
            LockHeld, match=rf"'iris' is held by process {os.getpid()} on .*; waited 0\.2 s"
        ),
    ):
        FencedLock(server.url, "iris", timeout=0.2).__enter__()
    FencedLock(server.url, "iris", timeout=0).__enter__().__exit__(None, None, None)


def test_it_is_renewed_while_it_is_held(server: Server) -> None:
    with FencedLock(server.url, "iris", expiry=0.3) as lock:
        token = lock.token
        with pytest.raises(LockHeld):
            FencedLock(server.url, "iris", timeout=1.0).__enter__()
        assert lock.token == token


def test_a_killed_holder_is_followed(server: Server, holders: ExitStack) -> None:
    holder = hold(server, holders, expiry=1.0)
    holder.process.kill()
    with FencedLock(server.url, "iris", timeout=10) as lock:
        assert lock.token > holder.token


def test_a_late_write_of_a_paused_holder_is_refused(
    server: Server, holders: ExitStack, database_url: str
) -> None:
    holder = hold(server, holders, expiry=0.5)
    assert holder.thinks() == "held"
    os.kill(holder.process.pid, signal.SIGSTOP)
    write = "update state set value = %s, fence = %s where fence <= %s"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create temporary table state as select 0 as value, 0::bigint as fence")
        with FencedLock(server.url, "iris", timeout=10) as lock:
            token = lock.token
            assert connection.execute(write, (2, token, token)).rowcount == 1
            os.kill(holder.process.pid, signal.SIGCONT)
            # Where it writes without having looked, its token tells.
            late = connection.execute(write, (1, holder.token, holder.token))
            assert late.rowcount == 0
            assert holder.thinks() == "lost"
        found = connection.execute("select value, fence from state").fetchone()
    assert found == (2, token)


def test_its_end_leaves_the_next_holder_alone(server: Server, holders: ExitStack) -> None:
    holder = hold(server, holders, expiry=0.5)
    os.kill(holder.process.pid, signal.SIGSTOP)
    with FencedLock(server.url, "iris", timeout=10):
        os.kill(holder.process.pid, signal.SIGCONT)
        holder.process.communicate(timeout=20)
        assert holder.process.returncode == 0
        with pytest.raises(LockHeld):
            FencedLock(server.url, "iris", timeout=0).__enter__()


def check_for(seconds: float, lock: FencedLock) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        lock.check()
        time.sleep(0.05)


def test_tokens_grow_though_the_server_forgets_everything(server: Server) -> None:
    with FencedLock(server.url, "iris") as lock:
        before = lock.token
        server.kill()
        server.start()
        with pytest.raises(LockLost):
            check_for(20, lock)
    with FencedLock(server.url, "iris") as lock:
        assert lock.token > before


def test_no_server(tmp_path: Path) -> None:
    for url in (f"unix://{tmp_path}/none.sock", "redis://127.0.0.1:9/0", "nonsense"):
        with pytest.raises(LockUnavailable, match="REDIS_URL"):
            FencedLock(url, "iris").__enter__()


def test_the_token_is_for_those_who_hold_it(server: Server) -> None:
    lock = FencedLock(server.url, "iris")
    with lock:
        assert lock.token
    with pytest.raises(LockLost):
        print(lock.token)

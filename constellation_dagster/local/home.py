"""Where the embedded stack keeps things."""

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from constellation_dagster.local.errors import StackError
from constellation_dagster.settings import STACK_ENV_FILE

# sockaddr_un holds 108 bytes on Linux and 104 on macOS, with the name of the longest socket in it.
_LONGEST_SOCKET_FOLDER = 70

# Names of what belongs to replicas, which come and go while the stack runs, begin with this.
REPLICA_PREFIX = "replica-"


@dataclass(frozen=True)
class Home:
    """The folder of one embedded stack and the names of what is in it."""

    root: Path

    @property
    def secrets(self) -> Path:
        """Passwords and keys, made once."""
        return self.root / "secrets.json"

    @property
    def ports(self) -> Path:
        """The ports this home was given, so that its addresses stay the same."""
        return self.root / "ports.json"

    @property
    def stack_env(self) -> Path:
        """The variables of the running stack, for `settings`."""
        return self.root / STACK_ENV_FILE

    @property
    def postgres(self) -> Path:
        """Data of Postgres."""
        return self.root / "postgres"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME."""
        return self.root / "dagster"

    @property
    def caddy(self) -> Path:
        """What Caddy writes down for itself."""
        return self.root / "caddy"

    @property
    def cache(self) -> Path:
        """Downloads, where the user has no cache folder."""
        return self.root / "cache"

    @property
    def logs(self) -> Path:
        """One rotated log per program."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What is only true while the stack runs."""
        return self.root / "run"

    @property
    def launches(self) -> Path:
        """How each program is started, for the guard."""
        return self.run / "launches"

    @property
    def records(self) -> Path:
        """Which process each program is, for the sweep."""
        return self.run / "records"

    @property
    def replicas(self) -> Path:
        """One folder per replica of a deployed model: what it is, its secrets; gone with the stack."""
        return self.run / "replicas"

    @property
    def router(self) -> Path:
        """What the router writes down for itself: its routes, for after a crash of its own."""
        return self.run / "router"

    @property
    def storage_ready(self) -> Path:
        """Exists once Dagster's database does; its programs wait for it after importing."""
        return self.run / "storage-ready"

    @property
    def sockets(self) -> Path:
        """Folder of the unix sockets, elsewhere when this home lies too deep for their addresses."""
        if len(os.fsencode(self.run)) <= _LONGEST_SOCKET_FOLDER:
            return self.run
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return self.shared / digest

    @property
    def shared(self) -> Path:
        """What all homes of one user have in common; its path is short wherever they lie."""
        return Path("/tmp") / f"constellation-{os.getuid()}"  # noqa: S108  (its owner is checked)

    @property
    def supervisor_socket(self) -> Path:
        """Where supervisord listens."""
        return self.sockets / "supervisor.sock"

    @property
    def postgrest_socket(self) -> Path:
        """Where PostgREST listens, behind the front door."""
        return self.sockets / "postgrest.sock"

    @property
    def auth_socket(self) -> Path:
        """Where the auth service listens, behind the front door."""
        return self.sockets / "auth.sock"

    @property
    def valkey_socket(self) -> Path:
        """Where Valkey listens."""
        return self.sockets / "valkey.sock"

    @property
    def router_socket(self) -> Path:
        """Where the router listens, behind the front door."""
        return self.sockets / "router.sock"

    @property
    def router_admin_socket(self) -> Path:
        """Where the router's routes are changed."""
        return self.sockets / "router-admin.sock"

    def prepare(self) -> None:
        """Make the folders; those with anything private are for their owner only."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for folder in (self.dagster, self.caddy):
                folder.mkdir(exist_ok=True)
            private = (self.logs, self.run, self.launches, self.records, self.replicas, self.router)
            for folder in private:
                folder.mkdir(mode=0o700, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise StackError(
                f"The home {str(self.root)!r} cannot be written: {error.strerror}. "
                "Set CONSTELLATION_HOME to a folder of yours."
            ) from error
        _private_folder(self.shared)
        if self.sockets != self.run:
            _private_folder(self.sockets)

    def forget_run(self) -> None:
        """Take away what was true of a stack that has ended: routes, and replicas with their secrets."""
        for folder in (self.replicas, self.router):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
        for folder in (self.launches, self.sockets):
            for file in folder.glob(f"{REPLICA_PREFIX}*"):
                file.unlink(missing_ok=True)
        self.stack_env.unlink(missing_ok=True)
        self.storage_ready.unlink(missing_ok=True)

    def forget_replica_logs(self) -> None:
        """Take away what replicas of an earlier stack said."""
        for log in self.logs.glob(f"{REPLICA_PREFIX}*"):
            log.unlink(missing_ok=True)

    def remove_sockets(self) -> None:
        """Take away what lies outside of the home."""
        if self.sockets != self.run:
            shutil.rmtree(self.sockets, ignore_errors=True)

    @contextmanager
    def lock(self) -> Generator[None]:
        """One `up` or `down` at a time."""
        with (self.run / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; only its owner may read it, from its first byte on."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _private_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    # /tmp is everyone's: somebody else may have made a folder of this name first.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StackError(
            f"{str(folder)!r} belongs to somebody else. Remove it, or set CONSTELLATION_HOME to a "
            "shorter path so that it is not needed."
        )
    folder.chmod(0o700)

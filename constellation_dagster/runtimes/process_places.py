"""Where the things of a replica are that is a process of the stack."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from constellation_dagster.domain.replicas import ReplicaSpec
from constellation_dagster.local.guard import Launch
from constellation_dagster.local.home import REPLICA_PREFIX, Home, write_private


@dataclass(frozen=True)
class Identity:
    """What the supervisor does not know about a replica."""

    deployment: str
    spec_hash: str


class ReplicaPlace:
    """Paths of one replica, and what is written there."""

    def __init__(self, home: Home, replica: str) -> None:
        self._home = home
        self.replica = replica
        self.program = f"{REPLICA_PREFIX}{replica}"

    @classmethod
    def all_of(cls, home: Home) -> "list[ReplicaPlace]":
        """Those that there are in a home, by name."""
        return [cls(home, folder.name) for folder in sorted(home.replicas.glob("*"))]

    @property
    def folder(self) -> Path:
        """Its HOME."""
        return self._home.replicas / self.replica

    @property
    def launch(self) -> Path:
        """How its guard starts it."""
        return self._home.launches / f"{self.program}.json"

    @property
    def log(self) -> Path:
        """What it says."""
        return self._home.logs / f"{self.program}.log"

    @property
    def history(self) -> Path:
        """What its guard has written down."""
        return self.folder / "history"

    @property
    def socket(self) -> Path:
        """Where it listens; a digest, since the address of a socket must be short."""
        digest = hashlib.sha256(self.replica.encode()).hexdigest()[:16]
        return self._home.sockets / f"{REPLICA_PREFIX}{digest}.sock"

    @property
    def secrets(self) -> Path:
        """Its CONSTELLATION_SECRETS_DIR."""
        return self.folder / "secrets"

    def identity(self) -> Identity | None:
        """What it was made as, or None when there is no such replica."""
        try:
            return Identity(**json.loads(self._identity_file.read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def was_ready(self, since: int) -> bool:
        """Whether the process that was started then has been seen ready."""
        try:
            return self._was_ready.read_text(encoding="utf-8") == str(since)
        except FileNotFoundError:
            return False

    def remember_ready(self, since: int) -> None:
        """The process that was started then has been seen ready."""
        if not self.was_ready(since) and self.folder.is_dir():
            write_private(self._was_ready, str(since))

    def furnish(self, spec: ReplicaSpec, secrets: Mapping[str, str]) -> None:
        """Make its folder anew."""
        self.clear()
        self.folder.mkdir(mode=0o700)
        # First, so that what is left of a maker that is killed here is found and removed.
        identity = Identity(spec.deployment, spec.spec_hash)
        write_private(self._identity_file, json.dumps(asdict(identity)))
        self.secrets.mkdir(mode=0o700)
        for name, value in secrets.items():
            write_private(self.secrets / name, value)

    def allow(self, grace_seconds: float) -> None:
        """Say how long it may take to end."""
        try:
            launch = Launch.load(self.launch)
        except FileNotFoundError:  # its maker was killed half-way
            return
        write_private(self.launch, replace(launch, grace_seconds=grace_seconds).as_json())

    def clear(self) -> None:
        """Leave nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for file in (self.launch, self.socket, *self.log.parent.glob(f"{self.log.name}*")):
            file.unlink(missing_ok=True)

    @property
    def _was_ready(self) -> Path:
        return self.folder / "was-ready"

    @property
    def _identity_file(self) -> Path:
        return self.folder / "replica.json"

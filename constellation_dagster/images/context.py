"""All that a model's image is built of, as one folder or one stream."""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import constellation_dagster
from constellation_dagster.images.finish import EPOCH
from constellation_dagster.images.wheels import LOCK, Wheelhouse

# What of ours runs inside of an image.
_SERVER_PARTS = ("__init__.py", "domain", "serving")


@dataclass(frozen=True)
class ContextFile:
    """One file.

    Attributes:
        path: Where it lies in the context.
        source: Where it is on this machine, or what is in it.
    """

    path: PurePosixPath
    source: Path | bytes

    @property
    def content(self) -> bytes:
        """What is in it."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


class BuildContext:
    """The files of a build, each with the same owner, mode and time wherever they are written."""

    def __init__(
        self, dockerfile: str, wheelhouse: Wheelhouse, files: Iterable[ContextFile] = ()
    ) -> None:
        """Gathers the files.

        Args:
            dockerfile: Text of the Dockerfile.
            wheelhouse: The wheels that are installed.
            files: What it copies besides.
        """
        self._wheels = wheelhouse.wheels
        texts = {
            "Dockerfile": dockerfile,
            LOCK: wheelhouse.lock,
            "finish.py": Path(__file__).with_name("finish.py").read_text(encoding="utf-8"),
        }
        own = [ContextFile(PurePosixPath(name), text.encode()) for name, text in texts.items()]
        self._files = sorted([*own, *files], key=lambda file: file.path)

    @property
    def digest(self) -> str:
        """Hash of everything in it."""
        sha256 = hashlib.sha256()
        # The lock is one of the files, and stands for the wheels.
        for file in self._files:
            content = file.content
            sha256.update(f"{file.path}\0{len(content)}\0".encode())
            sha256.update(content)
        return sha256.hexdigest()

    def write_folder(self, folder: Path) -> None:
        """Writes it for `docker build FOLDER`."""
        for file in self._all():
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
            path.chmod(0o644)
            os.utime(path, (EPOCH, EPOCH))
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
                os.utime(path, (EPOCH, EPOCH))

    def write_tar(self, stream: BinaryIO) -> None:
        """Writes it as the engine takes it."""
        with tarfile.open(fileobj=stream, mode="w") as tar:
            folders: set[PurePosixPath] = set()
            for file in self._all():
                for parent in reversed(file.path.parents):
                    if parent.name and parent not in folders:
                        folders.add(parent)
                        tar.addfile(_entry(parent, tarfile.DIRTYPE, 0o755))
                content = file.content
                entry = _entry(file.path, tarfile.REGTYPE, 0o644)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))

    def _all(self) -> Iterator[ContextFile]:
        yield from self._files
        for wheel in self._wheels:
            yield ContextFile(PurePosixPath("wheels", wheel.name), wheel)


def model_files(package: Path) -> Iterator[ContextFile]:
    """What a model's image holds besides its dependencies: the server and the package.

    Args:
        package: Folder of the package, verified.
    """
    yield from _server()
    yield from _below(package, PurePosixPath("package", "model"))


def _server() -> Iterator[ContextFile]:
    root = Path(constellation_dagster.__file__).parent
    target = PurePosixPath("server", root.name)
    for part in _SERVER_PARTS:
        if (root / part).is_dir():
            yield from _below(root / part, target / part, ".py")
        else:
            yield ContextFile(target / part, root / part)


def _below(folder: Path, target: PurePosixPath, suffix: str = "") -> Iterator[ContextFile]:
    for path in sorted(folder.rglob(f"*{suffix}")):
        if path.is_file():
            yield ContextFile(target / path.relative_to(folder), path)


def _entry(path: PurePosixPath, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(str(path))
    entry.type, entry.mode, entry.mtime = kind, mode, EPOCH
    return entry

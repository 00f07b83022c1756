"""Where packages are kept: each under its digest, whole or not at all."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from upath import UPath

from constellation_dagster.domain.packages import MANIFEST, PackageError, PackageManifest
from constellation_dagster.packaging.intake import is_safe_path
from constellation_dagster.serving.integrity import read_manifest, verify_package
from constellation_dagster.settings import Settings

_LOCAL = ("", "file", "local")


class PackageMissing(PackageError):
    """The package store has no package of this digest."""


class PackageStore:
    """Packages below one fsspec URL, at `<base>/sha256/<hex>/`.

    A package appears at once: in a folder of this machine by a rename, elsewhere with its
    manifest, which is written last.
    """

    def __init__(self, base: UPath, cache: Path) -> None:
        """Opens a store; nothing is looked at yet.

        Args:
            base: Where packages are.
            cache: Folder for local copies of packages that are elsewhere.
        """
        self._base = base
        self._cache = cache
        self._local = Path(base.path) if base.protocol in _LOCAL else None

    @classmethod
    def of(cls, settings: Settings) -> "PackageStore":
        """The store of this installation."""
        cache = settings.constellation_home / "cache" / "packages"
        return cls(UPath(settings.packages_url), cache)

    def url(self, digest: str) -> str:
        """Where a package of this digest is, or would be."""
        return str(self._at(digest))

    def exists(self, digest: str) -> bool:
        """Whether there is a whole package of this digest.

        Raises:
            OSError: The store cannot be asked.
        """
        try:
            (self._at(digest) / MANIFEST).stat()
        except FileNotFoundError:
            return False
        return True

    def put(self, folder: Path) -> str:
        """Stores a package; one that is there already stays, unless it is damaged.

        Returns:
            Its digest.

        Raises:
            PackageError: The folder is not what its manifest says.
        """
        manifest = verify_package(folder)
        digest = manifest.digest
        if self._is_intact(digest):
            return digest
        if self._local is not None:
            self._put_locally(folder, Path(self._at(digest).path))
            return digest
        target = self._at(digest)
        target.mkdir(parents=True, exist_ok=True)
        for path in (*(file.path for file in manifest.files), MANIFEST):
            copy = target.joinpath(*path.split("/"))
            copy.parent.mkdir(parents=True, exist_ok=True)
            with (folder / path).open("rb") as source, copy.open("wb") as destination:
                shutil.copyfileobj(source, destination)
        return digest

    def fetch(self, digest: str, into: Path | None = None) -> Path:
        """A verified package as a folder of this machine.

        Args:
            digest: The package.
            into: A folder to copy it to, which is made. By default it is the store's own folder
                where that is on this machine, else a cached copy: read only, please.

        Raises:
            PackageMissing: There is none.
            PackageError: It is not what it was; the message names each file.
        """
        if into is not None:
            self._copy_to(digest, into)
            return into
        if self._local is not None:
            if not self.exists(digest):
                raise self._missing(digest)
            folder = Path(self._at(digest).path)
            verify_package(folder, digest)
            return folder
        cached = self._cache / _hex(digest)
        if cached.is_dir():
            try:
                verify_package(cached, digest)
            except PackageError:
                # Only a copy: what is stored may still be whole.
                shutil.rmtree(cached)
            else:
                return cached
        with _draft(cached) as draft:
            self._copy_to(digest, draft)
        return cached

    def verify(self, digest: str) -> PackageManifest:
        """Reads every byte of what is stored, never a cached copy.

        Raises:
            PackageMissing: There is no such package.
            PackageError: It is not what it was; the message names each file.
        """
        if self._local is not None:
            return verify_package(self.fetch(digest), digest)
        copy = self._cache / f".{uuid4().hex}"
        try:
            self._copy_to(digest, copy)
            return verify_package(copy, digest)
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def _is_intact(self, digest: str) -> bool:
        try:
            self.verify(digest)
        except PackageError:
            return False
        return True

    def _copy_to(self, digest: str, folder: Path) -> None:
        source = self._at(digest)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            (folder / MANIFEST).write_bytes((source / MANIFEST).read_bytes())
        except FileNotFoundError as error:
            raise self._missing(digest) from error
        manifest = PackageManifest.model_validate(read_manifest(folder, digest))
        for file in manifest.files:
            if not is_safe_path(file.path):
                raise PackageError(
                    f"The package at {source} is refused: {file.path!r} is outside of it."
                )
            copy = folder / file.path
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                with source.joinpath(*file.path.split("/")).open("rb") as content:
                    copy.write_bytes(content.read(file.size + 1))
            except FileNotFoundError:
                continue  # verify_package names it
        verify_package(folder, digest)

    def _put_locally(self, folder: Path, target: Path) -> None:
        with _draft(target) as draft:
            shutil.copytree(folder, draft, dirs_exist_ok=True)
            for path in draft.rglob("*"):
                if path.is_file():
                    _to_disk(path)
            if target.is_dir() and not self._is_intact(f"sha256:{target.name}"):
                shutil.rmtree(target)
        _to_disk(target.parent)

    def _at(self, digest: str) -> UPath:
        return self._base / "sha256" / _hex(digest)

    def _missing(self, digest: str) -> PackageMissing:
        return PackageMissing(
            f"There is no package {digest} at {self._base}. Register the model again, or see "
            "CONSTELLATION_PACKAGES_URL."
        )


@contextmanager
def _draft(target: Path) -> Generator[Path]:
    """A folder that takes the target's place when it is complete, unless another was quicker."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.parent / f".{target.name}.{uuid4().hex}"
    draft.mkdir()
    try:
        yield draft
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _to_disk(path: Path) -> None:
    """Has what was written survive a loss of power before the rename does."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hex(digest: str) -> str:
    kind, _, value = digest.partition(":")
    if kind != "sha256" or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise PackageError(f"{digest!r} is no digest of a package: sha256:… with 64 hex digits.")
    return value

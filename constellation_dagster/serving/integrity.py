"""Whether a package's folder is what its manifest says. Nothing in it is loaded."""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol, cast

from constellation_dagster.domain.digests import digest_of
from constellation_dagster.domain.plain_errors import PackageError
from constellation_dagster.serving.manifest import Manifest, parse_manifest

if TYPE_CHECKING:
    from constellation_dagster.domain.packages import PackageManifest

# As domain.packages has them; that needs pydantic, which a model's image has not.
MANIFEST = "manifest.json"
EXAMPLE = "example.json"

_MANIFEST_BYTES = 16 * 1024 * 1024
_CHUNK = 1024 * 1024


class ListedFile(Protocol):
    """A file as a manifest lists it."""

    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def sha256(self) -> str: ...  # noqa: D102


def verify_package(folder: Path, digest: str | None = None) -> "PackageManifest":
    """Checks every byte of a package.

    Args:
        folder: Where the package is.
        digest: What it should be, `sha256:…`; None to believe its own manifest.

    Raises:
        PackageError: Files are changed, missing, additional, no regular files, or outside of the
            folder; or the manifest is another one. The message names each.
    """
    from pydantic import ValidationError

    from constellation_dagster.domain.packages import PackageManifest

    data = read_manifest(folder, digest)
    try:
        manifest = PackageManifest.model_validate(data)
    except ValidationError as error:
        places = (
            f"{'.'.join(str(part) for part in problem['loc']) or 'manifest'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise _refusal(folder, [f"{MANIFEST}: {place}" for place in places]) from error
    problems: list[str] = []
    if manifest.digest != digest_of(data):
        problems.append(f"{MANIFEST} is not written in full, so that its digest is another")
    problems += _named_parts_missing(manifest.artifact, manifest.onnx, manifest.files)
    problems += file_problems(folder, manifest.files)
    if problems:
        raise _refusal(folder, problems)
    return manifest


def verify_for_serving(folder: Path, digest: str) -> Manifest:
    """The same as `verify_package`, without pydantic.

    The digest vouches for the manifest: it was checked when the package was made.

    Raises:
        PackageError: As `verify_package` does.
    """
    manifest = parse_manifest(read_manifest(folder, digest))
    problems = _named_parts_missing(manifest.artifact, manifest.onnx, manifest.files)
    problems += file_problems(folder, manifest.files)
    if problems:
        raise _refusal(folder, problems)
    return manifest


def read_manifest(folder: Path, digest: str | None = None) -> dict[str, Any]:
    """The JSON of a package's manifest.

    Raises:
        PackageError: There is none, or it has another digest.
    """
    path = folder / MANIFEST
    try:
        kind = path.lstat()
        if not stat.S_ISREG(kind.st_mode):
            raise _refusal(folder, [f"{MANIFEST} is no regular file"])
        if kind.st_size > _MANIFEST_BYTES:
            raise _refusal(folder, [f"{MANIFEST} has {kind.st_size} bytes, more than a manifest"])
        data: object = json.loads(path.read_bytes())
        found = digest_of(cast("dict[str, Any]", data)) if isinstance(data, dict) else None
    except FileNotFoundError as error:
        raise _refusal(folder, [f"{MANIFEST} is missing"]) from error
    except OSError as error:
        raise _refusal(folder, [f"{MANIFEST} cannot be read: {error.strerror}"]) from error
    except (ValueError, RecursionError) as error:
        raise _refusal(folder, [f"{MANIFEST} is not JSON: {error}"]) from error
    if not isinstance(data, dict):
        raise _refusal(folder, [f"{MANIFEST} is not a JSON object"])
    if digest not in (None, found):
        raise _refusal(folder, [f"{MANIFEST} is changed: its digest is {found}, not {digest}"])
    return cast("dict[str, Any]", data)


def file_problems(folder: Path, files: Iterable[ListedFile]) -> list[str]:
    """Each way in which the files of a folder are not those that are listed, as a phrase."""
    listed: dict[str, ListedFile] = {}
    problems: list[str] = []
    for file in files:
        if not _is_inside(file.path):
            problems.append(f"{file.path!r} is outside of the package")
        elif file.path == MANIFEST or file.path in listed:
            problems.append(f"{file.path} is listed twice")
        else:
            listed[file.path] = file
    present = dict(_walk(folder))
    for path, kind in sorted(present.items()):
        if stat.S_ISLNK(kind.st_mode):
            problems.append(f"{path} is a symbolic link")
        elif not stat.S_ISREG(kind.st_mode):
            problems.append(f"{path} is no regular file")
        elif path in listed:
            problems += _difference(folder / path, kind, listed[path])
        elif path != MANIFEST:
            problems.append(f"{path} is additional")
    missing = sorted(set(listed) - set(present))
    return problems + [f"{path} is missing" for path in missing]


def _is_inside(path: str) -> bool:
    """Whether it is a plain relative path, on every system."""
    parts = path.split("/")
    return not ({"", ".", ".."} & set(parts) or any(bad in path for bad in ("\\", ":", "\0")))


def _walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """All that is in a folder but its sub-folders themselves, without following links."""
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                path = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{path}/")
                else:
                    yield path, entry.stat(follow_symlinks=False)


def _difference(path: Path, kind: os.stat_result, file: ListedFile) -> list[str]:
    if kind.st_size != file.size:
        return [f"{file.path} is changed: it has {kind.st_size} bytes, not {file.size}"]
    sha256 = hashlib.sha256()
    try:
        with path.open("rb") as content:
            while chunk := content.read(_CHUNK):
                sha256.update(chunk)
    except OSError as error:
        return [f"{file.path} cannot be read: {error.strerror}"]
    return [] if sha256.hexdigest() == file.sha256 else [f"{file.path} is changed"]


def _named_parts_missing(artifact: str, onnx: str | None, files: Iterable[ListedFile]) -> list[str]:
    """What the manifest names as a model and does not list."""
    # A folder is listed as the files in it.
    listed = {
        str(part)
        for file in files
        for part in (PurePosixPath(file.path), *PurePosixPath(file.path).parents)
    } - {"."}
    named: Mapping[str, str | None] = {"artifact": artifact, "onnx": onnx, "example": EXAMPLE}
    return [
        f"{MANIFEST} lists no file of its {kind} {path!r}"
        for kind, path in named.items()
        if path is not None and path not in listed
    ]


def _refusal(folder: Path, problems: Iterable[str]) -> PackageError:
    return PackageError(
        f"The package in {folder} is refused: {'; '.join(problems)}. "
        "Fetch it from the package store again."
    )

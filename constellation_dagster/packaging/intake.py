"""What is let into a package: plain files of data, within limits. Nothing is loaded here."""

import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from constellation_dagster.domain.packages import PackageError

MOST_BYTES = 2 * 1024**3
MOST_FILES = 10_000
# Honest archives of weights pack to a half or a third; text may reach a tenth.
MOST_RATIO = 100
# Below this an archive can unpack to whatever ratio it likes.
_SMALL = 10 * 1024**2

# By their names, before a byte is read.
_PICKLE_SUFFIXES = (
    *(".pkl", ".pickle", ".p", ".joblib", ".sav", ".dill", ".cloudpickle"),
    *(".pt", ".pth", ".ckpt", ".mar"),
)
_LEFT_OUT = ("__pycache__", ".git", ".DS_Store")
_NOT_PICKLE = (
    "Save weights as ONNX, skops, safetensors or NPZ: a pickle can run any code when it is loaded."
)


def refusal(what: str, *problems: str) -> PackageError:
    """One error that lists all that is wrong with a source."""
    if len(problems) == 1:
        return PackageError(f"{what} is refused: {problems[0]}")
    return PackageError("\n- ".join([f"{what} is refused:", *problems]))


def take_file(source: Path, target: Path) -> None:
    """Copies one file into a package that is being made.

    Raises:
        PackageError: It is missing, no regular file, too large, or a pickle.
    """
    _copy(source, target, source.name)
    if problems := _content_problems(target, source.name):
        raise refusal(repr(str(source)), *problems)


def take_folder(source: Path, target: Path) -> None:
    """Copies a folder into a package that is being made; compiled Python stays behind.

    Raises:
        PackageError: It holds links, pickles, or more than a package may. All are named.
    """
    problems: list[str] = []
    found: list[tuple[str, int]] = []
    for path, kind in _walk(source):
        if stat.S_ISLNK(kind.st_mode):
            problems.append(f"{path} is a symbolic link. Put the file itself there.")
        elif not stat.S_ISREG(kind.st_mode):
            problems.append(f"{path} is no regular file.")
        else:
            found.append((path, kind.st_size))
    if len(found) > MOST_FILES:
        problems.append(f"it has {len(found)} files, and a package may have {MOST_FILES}.")
    if (total := sum(size for _, size in found)) > MOST_BYTES:
        problems.append(_too_large(total))
    if not problems:
        for path, _ in sorted(found):
            _copy(source / path, target / path, path)
            problems += _content_problems(target / path, path)
    if problems:
        raise refusal(repr(str(source)), *problems)


def check_archive(path: Path, what: str) -> None:
    """Looks through a ZIP file before anything reads it.

    Raises:
        PackageError: It is damaged, unpacks to too much, or has entries with bad names.
    """
    if problems := _archive_problems(path):
        raise refusal(what, *problems)


def copy_limited(source: IO[bytes], target: IO[bytes], what: str, *, already: int = 0) -> int:
    """Copies a stream of unknown length.

    Args:
        source: What to read.
        target: Where to write.
        what: What it is, for messages.
        already: Bytes that were copied before and count too.

    Returns:
        Bytes that were copied, with those before.

    Raises:
        PackageError: There is more than a package may hold.
    """
    copied = already
    while chunk := source.read(1024 * 1024):
        copied += len(chunk)
        if copied > MOST_BYTES:
            raise refusal(what, _too_large(copied))
        target.write(chunk)
    return copied


def is_safe_path(path: str) -> bool:
    """Whether it is a plain relative path with '/', on every system."""
    parts = PurePosixPath(path).parts
    return (
        bool(parts)
        and "/".join(parts) == path
        and ".." not in parts
        and not any(bad in path for bad in ("\\", ":", "\0"))
        and not path.startswith("/")
    )


def _copy(source: Path, target: Path, name: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Not through a link, not even one that was put there a moment ago.
        descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError as error:
        raise PackageError(f"There is no file {str(source)!r}.") from error
    except OSError as error:
        reason = "it is a symbolic link" if source.is_symlink() else error.strerror
        raise refusal(repr(str(source)), f"{name}: {reason}.") from error
    with os.fdopen(descriptor, "rb") as content:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise refusal(repr(str(source)), f"{name} is no regular file.")
        with target.open("wb") as copy:
            if os.fstat(descriptor).st_size > MOST_BYTES:
                raise refusal(repr(str(source)), _too_large(os.fstat(descriptor).st_size))
            shutil.copyfileobj(content, copy)


def _walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                path = f"{prefix}{entry.name}"
                if entry.name in _LEFT_OUT or entry.name.endswith(".pyc"):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{path}/")
                else:
                    yield path, entry.stat(follow_symlinks=False)


def _content_problems(path: Path, name: str) -> list[str]:
    """What is wrong with a file that is there as a copy."""
    if name.lower().endswith(_PICKLE_SUFFIXES):
        return [f"{name} is a pickle by its name. {_NOT_PICKLE}"]
    with path.open("rb") as file:
        begin = file.read(16)
        file.seek(max(path.stat().st_size - 1, 0))
        end = file.read(1)
    # From protocol 2 on a pickle begins with its number and ends with a full stop.
    if begin[:1] == b"\x80" and begin[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and end == b".":
        return [f"{name} is a pickle. {_NOT_PICKLE}"]
    if begin[:6] == b"\x93NUMPY":
        with path.open("rb") as file:
            return _array_problems(file, path.stat().st_size, name)
    if begin[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _archive_problems(path)
    return []


def _archive_problems(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            problems = list(_entry_problems(path, archive.infolist()))
            if problems:
                return problems
            broken = archive.testzip()
            if broken is not None:
                return [f"{broken} in it is damaged. Save the model again."]
            for entry in archive.infolist():
                if entry.filename.endswith(".npy"):
                    with archive.open(entry) as file:
                        problems += _array_problems(file, entry.file_size, entry.filename)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        return [f"it is a damaged archive ({error}). Save the model again."]
    return problems


def _entry_problems(path: Path, entries: list[zipfile.ZipInfo]) -> Iterator[str]:
    names = [entry.filename for entry in entries]
    for entry in entries:
        name = entry.filename
        if not is_safe_path(name.removesuffix("/")):
            yield f"the entry {name!r} in it leads outside."
        elif stat.S_ISLNK(entry.external_attr >> 16):
            yield f"the entry {name!r} in it is a symbolic link."
        elif entry.flag_bits & 0x1:
            yield f"the entry {name!r} in it is encrypted."
        elif name.lower().endswith(_PICKLE_SUFFIXES):
            yield f"the entry {name!r} in it is a pickle. {_NOT_PICKLE}"
    if len(set(names)) < len(names):
        yield "several entries in it have one name."
    if len(names) > MOST_FILES:
        yield f"it has {len(names)} entries, and {MOST_FILES} are the most."
    total = sum(entry.file_size for entry in entries)
    if total > MOST_BYTES:
        yield _too_large(total)
    elif total > max(_SMALL, MOST_RATIO * path.stat().st_size):
        yield f"it unpacks to {total} bytes from {path.stat().st_size}: more than an honest model."


def _array_problems(file: IO[bytes], size: int, name: str) -> list[str]:
    """What numpy's own header says, checked before anything is allocated for it."""
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
    except (ValueError, KeyError, EOFError) as error:
        return [f"{name} is a damaged array ({error})."]
    if dtype.hasobject:
        return [f"{name} is an array of pickled objects. {_NOT_PICKLE}"]
    count = 1
    for length in shape:
        count *= length
    if count * dtype.itemsize > size:
        return [f"{name} is a damaged array: it says that it has {count} numbers."]
    return []


def _too_large(size: int) -> str:
    return f"it has {size} bytes, and a package may have {MOST_BYTES}."

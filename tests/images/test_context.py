"""What an image is built of: the same bytes, wherever and whenever they are written."""

import io
import tarfile
from pathlib import Path

import pytest

from constellation_dagster.images.context import BuildContext, model_files
from constellation_dagster.images.dockerfile import ModelImage
from constellation_dagster.images.wheels import Wheelhouse
from tests.runtimes.packages import obedient_package

DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Wheelhouse:
    wheel = tmp_path / "some-1-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    return Wheelhouse((wheel,), "some==1 --hash=sha256:0\n", "pip-1-py3-none-any.whl")


def context(package: Path, wheelhouse: Wheelhouse, version: str = "1") -> BuildContext:
    image = ModelImage("obedient", version, DIGEST, "python:3.11-slim", wheelhouse.pip)
    return BuildContext(image.dockerfile(), wheelhouse, model_files(package))


def tar_of(built: BuildContext) -> bytes:
    stream = io.BytesIO()
    built.write_tar(stream)
    return stream.getvalue()


def test_copies_of_a_package_give_the_same_bytes(tmp_path: Path, wheelhouse: Wheelhouse) -> None:
    first = context(obedient_package(tmp_path / "a").folder, wheelhouse)
    second = context(obedient_package(tmp_path / "b").folder, wheelhouse)
    (tmp_path / "b" / "model.py").chmod(0o600)
    assert first.digest == second.digest
    assert tar_of(first) == tar_of(second)


def test_anything_else_gives_another_digest(tmp_path: Path, wheelhouse: Wheelhouse) -> None:
    package = obedient_package(tmp_path / "a").folder
    before = context(package, wheelhouse).digest
    other_lock = Wheelhouse(wheelhouse.wheels, "some==2 --hash=sha256:0\n", wheelhouse.pip)
    assert context(package, wheelhouse, version="2").digest != before
    assert context(package, other_lock).digest != before
    (package / "model.py").write_text("# another\n")
    assert context(package, wheelhouse).digest != before


def test_a_folder_holds_what_the_stream_holds(tmp_path: Path, wheelhouse: Wheelhouse) -> None:
    built = context(obedient_package(tmp_path / "package").folder, wheelhouse)
    folder = tmp_path / "folder"
    built.write_folder(folder)
    with tarfile.open(fileobj=io.BytesIO(tar_of(built))) as tar:
        for entry in tar:
            path = folder / entry.name
            assert (path.stat().st_mtime, path.stat().st_mode & 0o777) == (entry.mtime, entry.mode)
            if entry.isfile():
                file = tar.extractfile(entry)
                assert file is not None
                assert path.read_bytes() == file.read()
        names = {entry.name for entry in tar if entry.isfile()}
    assert names == {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_it_has_the_server_and_nothing_else_of_the_platform(
    tmp_path: Path, wheelhouse: Wheelhouse
) -> None:
    folder = tmp_path / "folder"
    context(obedient_package(tmp_path / "package").folder, wheelhouse).write_folder(folder)
    ours = folder / "server" / "constellation_dagster"
    assert {path.name for path in ours.iterdir()} == {"__init__.py", "domain", "serving"}
    assert (folder / "package" / "model" / "manifest.json").is_file()
    assert (folder / "wheels" / "some-1-py3-none-any.whl").is_file()

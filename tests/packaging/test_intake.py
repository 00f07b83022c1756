"""What is refused at the door, before anything of it is loaded."""

import io
import os
import pickle
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation_dagster.domain.packages import PackageError
from constellation_dagster.packaging import intake
from constellation_dagster.packaging.intake import (
    check_archive,
    copy_limited,
    is_safe_path,
    take_file,
    take_folder,
)


class Trap:
    """Says so when it is loaded."""

    loaded = False

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return spring, ()


def spring() -> None:
    Trap.loaded = True


@pytest.fixture(autouse=True)
def nothing_is_loaded() -> Iterator[None]:
    yield
    assert not Trap.loaded


def refused(take: Callable[[], object]) -> str:
    with pytest.raises(PackageError) as caught:
        take()
    return str(caught.value)


def archive(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries:
            file.writestr(name, content, zipfile.ZIP_DEFLATED)
    return path


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_by_its_content(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(pickle.dumps(Trap(), protocol))
    said = refused(lambda: take_file(path, tmp_path / "copy"))
    assert "model.bin is a pickle. Save weights as ONNX" in said


@pytest.mark.parametrize("name", ["m.pkl", "m.joblib", "m.PICKLE", "m.pt", "m.pth", "m.ckpt"])
def test_a_pickle_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"anything")
    assert "is a pickle by its name" in refused(lambda: take_file(tmp_path / name, tmp_path / "c"))


def test_pickles_within_archives(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.zip", ("archive/data.pkl", pickle.dumps(Trap())))
    assert "'archive/data.pkl' in it is a pickle" in refused(lambda: check_archive(path, "it"))


def test_arrays_of_pickled_objects(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([Trap()], dtype=object))
    said = refused(lambda: take_file(tmp_path / "a.npy", tmp_path / "copy"))
    assert "a.npy is an array of pickled objects" in said
    path = archive(tmp_path / "a.npz", ("a.npy", (tmp_path / "a.npy").read_bytes()))
    assert "a.npy is an array of pickled" in refused(lambda: check_archive(path, "it"))


def test_arrays_that_say_that_they_are_huge(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    )
    path = archive(tmp_path / "a.skops", ("a.npy", buffer.getvalue()))
    said = refused(lambda: check_archive(path, "it"))
    assert "it says that it has 1000000000000 numbers" in said


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/../../evil", "a\\..\\evil", "C:evil", "a//b", "./a"]
)
def test_entries_that_lead_outside(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.zip", (name, b"x"))
    assert "in it leads outside" in refused(lambda: check_archive(path, "it"))


def test_links_within_archives(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("schema.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = archive(tmp_path / "a.zip", (link, b"/etc/passwd"))
    assert "'schema.json' in it is a symbolic link" in refused(lambda: check_archive(path, "it"))


def test_archives_that_unpack_to_too_much(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", ("a", bytes(64 * 1024**2)))
    assert path.stat().st_size < 100_000
    assert "more than an honest model" in refused(lambda: check_archive(path, "it"))


def test_archives_larger_than_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MOST_BYTES", 1000)
    path = archive(tmp_path / "a.zip", ("a", os.urandom(600)), ("b", os.urandom(600)))
    assert "1200 bytes, and a package may have 1000" in refused(lambda: check_archive(path, "it"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries_of_one_name(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", ("a", b"1"), ("a", b"2"))
    assert "several entries in it have one name" in refused(lambda: check_archive(path, "it"))


@given(st.integers(min_value=1, max_value=300))
def test_truncated_archives(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = archive(
        tmp_path_factory.mktemp("cut") / "a.zip", ("schema.json", b"{}" * 50), ("b", b"x" * 99)
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: -min(cut, len(whole) - 5)])
    assert "damaged" in refused(lambda: check_archive(path, "it"))


def test_a_flipped_byte_in_an_archive(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", ("b", os.urandom(500)))
    whole = bytearray(path.read_bytes())
    whole[100] ^= 1
    path.write_bytes(whole)
    assert "damaged" in refused(lambda: check_archive(path, "it"))


def test_folders_tell_all_that_is_wrong(tmp_path: Path) -> None:
    source = tmp_path / "model"
    (source / "deep").mkdir(parents=True)
    (source / "good.txt").write_text("fine")
    (source / "link").symlink_to("/etc/passwd")
    (source / "deep" / "folder").symlink_to("/etc")
    os.mkfifo(source / "pipe")
    said = refused(lambda: take_folder(source, tmp_path / "copy"))
    assert "\n- link is a symbolic link" in said
    assert "\n- deep/folder is a symbolic link" in said
    assert "\n- pipe is no regular file" in said
    assert not (tmp_path / "copy").exists()


def test_folders_with_pickles(tmp_path: Path) -> None:
    source = tmp_path / "model"
    source.mkdir()
    (source / "a.pkl").write_bytes(pickle.dumps(Trap()))
    (source / "b.bin").write_bytes(pickle.dumps(Trap()))
    said = refused(lambda: take_folder(source, tmp_path / "copy"))
    assert "a.pkl is a pickle by its name" in said
    assert "b.bin is a pickle." in said


def test_folders_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MOST_BYTES", 100)
    monkeypatch.setattr(intake, "MOST_FILES", 2)
    source = tmp_path / "model"
    source.mkdir()
    for name in "abc":
        (source / name).write_bytes(bytes(50))
    said = refused(lambda: take_folder(source, tmp_path / "copy"))
    assert "it has 3 files, and a package may have 2" in said
    assert "it has 150 bytes, and a package may have 100" in said


def test_what_is_left_behind(tmp_path: Path) -> None:
    source = tmp_path / "model"
    (source / "__pycache__").mkdir(parents=True)
    (source / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"x")
    (source / "model.py").write_text("")
    (source / "sub").mkdir()
    (source / "sub" / "a.txt").write_text("a")
    take_folder(source, tmp_path / "copy")
    copied = {str(p.relative_to(tmp_path / "copy")) for p in (tmp_path / "copy").rglob("*")}
    assert copied == {"model.py", "sub", "sub/a.txt"}


def test_a_link_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert "symbolic link" in refused(lambda: take_file(tmp_path / "link", tmp_path / "copy"))
    assert "There is no file" in refused(lambda: take_file(tmp_path / "none", tmp_path / "copy"))


def test_streams_that_do_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MOST_BYTES", 1000)
    said = refused(lambda: copy_limited(io.BytesIO(bytes(2000)), io.BytesIO(), "it"))
    assert "it is refused: it has 2000 bytes" in said
    assert copy_limited(io.BytesIO(bytes(500)), io.BytesIO(), "it", already=400) == 900
    refused(lambda: copy_limited(io.BytesIO(bytes(500)), io.BytesIO(), "it", already=600))


@given(st.text(max_size=40))
def test_safe_paths_stay_within(path: str) -> None:
    if is_safe_path(path):
        joined = os.path.normpath(os.path.join("/package", path))  # noqa: PTH118
        assert joined == f"/package/{path}"

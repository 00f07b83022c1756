"""Packages in a store: whole or not at all, and never another one than the digest says."""

import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upath import UPath

from constellation_dagster.domain.packages import PackageError, PackageManifest
from constellation_dagster.packaging.registration import package_model
from constellation_dagster.packaging.store import PackageMissing, PackageStore
from tests.packaging.models import save_onnx

KINDS = ("file", "memory")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    package_model(save_onnx(tmp_path_factory.mktemp("model") / "scale.onnx"), folder)
    return folder


@pytest.fixture
def digest(package: Path) -> str:
    text = (package / "manifest.json").read_text()
    return PackageManifest.model_validate_json(text).digest


@pytest.fixture(params=KINDS)
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UPath]:
    if request.param == "file":
        yield UPath(tmp_path / "packages")
    else:
        memory = UPath(f"memory://packages-{uuid4().hex}")
        yield memory
        if memory.exists():
            memory.fs.rm(memory.path, recursive=True)


@pytest.fixture
def store(base: UPath, tmp_path: Path) -> PackageStore:
    return PackageStore(base, tmp_path / "cache")


def stored(base: UPath, digest: str, name: str = "") -> UPath:
    path = base / "sha256" / digest.removeprefix("sha256:")
    return path / name if name else path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_package_comes_back_as_it_was(
    store: PackageStore, package: Path, digest: str, tmp_path: Path
) -> None:
    base = tmp_path / "packages"
    base.mkdir()
    assert not store.exists(digest)
    assert store.put(package) == digest
    assert store.exists(digest)
    assert contents(store.fetch(digest)) == contents(package)
    assert contents(store.fetch(digest, tmp_path / "into")) == contents(package)
    assert store.verify(digest).digest == digest
    assert store.url(digest).endswith(digest.removeprefix("sha256:"))


def test_putting_it_again_changes_nothing(
    store: PackageStore, package: Path, digest: str, base: UPath
) -> None:
    store.put(package)
    # A local one is not even written again.
    before = stored(base, digest, "manifest.json").stat().st_mtime
    assert store.put(package) == digest
    assert stored(base, digest, "manifest.json").stat().st_mtime == before


def test_what_is_not_there(store: PackageStore, tmp_path: Path) -> None:
    digest = f"sha256:{'0' * 64}"
    for into in (None, tmp_path / "x"):
        with pytest.raises(PackageMissing, match="There is no package sha256:0000"):
            store.fetch(digest, into)
    with pytest.raises(PackageMissing):
        store.verify(digest)


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../etc", f"md5:{'0' * 64}"])
def test_what_is_no_digest(store: PackageStore, digest: str) -> None:
    with pytest.raises(PackageError, match="is no digest of a package"):
        store.exists(digest)


def test_a_folder_that_is_not_what_its_manifest_says(
    store: PackageStore, package: Path, digest: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package, copy)
    (copy / "README.md").write_text("better")
    with pytest.raises(PackageError, match=r"README\.md is changed"):
        store.put(copy)
    assert not store.exists(digest)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_found(
    store: PackageStore, package: Path, digest: str, base: UPath, data: st.DataObject
) -> None:
    store.put(package)
    files = sorted(contents(package))
    file = stored(base, digest, data.draw(st.sampled_from(files)))
    whole = file.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(bytes(changed))
    try:
        store.verify(digest)
        found = False
    except PackageError:
        found = True
    file.write_bytes(whole)
    # A space in the manifest's JSON is nothing that it says.
    assert found or json.loads(bytes(changed)) == json.loads(whole)
    assert store.verify(digest).digest == digest


def test_additional_and_missing_files(package: Path, digest: str, tmp_path: Path) -> None:
    base = UPath(tmp_path / "packages")
    store = PackageStore(base, tmp_path / "cache")
    store.put(package)
    folder = Path(stored(base, digest).path)
    (folder / "more.txt").write_text("x")
    (folder / "README.md").unlink()
    (folder / "example.json").unlink()
    (folder / "example.json").symlink_to("/etc/passwd")
    with pytest.raises(PackageError) as caught:
        store.verify(digest)
    for told in (
        "more.txt is additional",
        "README.md is missing",
        "example.json is a symbolic link",
    ):
        assert told in str(caught.value)


def test_a_damaged_package_is_mended_by_registering_again(
    store: PackageStore, package: Path, digest: str, base: UPath
) -> None:
    store.put(package)
    stored(base, digest, "model.onnx").write_bytes(b"damaged")
    with pytest.raises(PackageError, match=r"model\.onnx is changed"):
        store.verify(digest)
    store.put(package)
    assert store.verify(digest).digest == digest


def test_a_damaged_copy_in_the_cache_is_fetched_again(
    package: Path, digest: str, tmp_path: Path
) -> None:
    store = PackageStore(UPath(f"memory://packages-{uuid4().hex}"), tmp_path / "cache")
    store.put(package)
    copy = store.fetch(digest)
    assert copy.is_relative_to(tmp_path / "cache")
    (copy / "model.onnx").write_bytes(b"damaged")
    assert contents(store.fetch(digest)) == contents(package)


def test_a_package_that_was_half_written_elsewhere_is_not_there(
    package: Path, digest: str, tmp_path: Path
) -> None:
    base = UPath(f"memory://packages-{uuid4().hex}")
    store = PackageStore(base, tmp_path / "cache")
    store.put(package)
    # The manifest is written last, so this is what a crash leaves.
    stored(base, digest, "manifest.json").unlink()
    assert not store.exists(digest)
    with pytest.raises(PackageMissing):
        store.fetch(digest)
    store.put(package)
    assert store.verify(digest).digest == digest


def test_a_manifest_that_names_files_outside(package: Path, digest: str, tmp_path: Path) -> None:
    base = UPath(f"memory://packages-{uuid4().hex}")
    store = PackageStore(base, tmp_path / "cache")
    manifest = PackageManifest.model_validate_json((package / "manifest.json").read_text())
    outside = manifest.files[0].model_copy(update={"path": "../../outside"})
    forged = manifest.model_copy(update={"files": (outside, *manifest.files[1:])})
    place = stored(base, forged.digest)
    place.mkdir(parents=True)
    (place / "manifest.json").write_text(forged.model_dump_json())
    with pytest.raises(PackageError, match=r"'../../outside' is outside of it"):
        store.fetch(forged.digest)
    assert not list(tmp_path.rglob("outside"))


def _die_while_putting(base: str, package: str, event: str, path: str) -> None:
    """A process that ends at once when it is about to copy or rename something."""

    def die(told: str, arguments: tuple[object, ...]) -> None:
        if told == event and path in str(arguments[0]):
            os._exit(9)

    sys.addaudithook(die)
    PackageStore(UPath(base), Path(base) / "cache").put(Path(package))


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ("shutil.copyfile", "README.md"),
        ("shutil.copyfile", "manifest.json"),
        ("shutil.copyfile", "sbom.cdx.json"),
        ("os.rename", ""),
    ],
)
def test_a_process_that_is_killed_leaves_no_half_package(
    package: Path, digest: str, tmp_path: Path, event: str, path: str
) -> None:
    base = tmp_path / "packages"
    process = multiprocessing.get_context("spawn").Process(
        target=_die_while_putting, args=(str(base), str(package), event, path)
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    store = PackageStore(UPath(base), tmp_path / "cache")
    assert not store.exists(digest)
    store.put(package)
    assert store.verify(digest).digest == digest


def _put(base: str, package: str) -> None:
    PackageStore(UPath(base), Path(base) / "cache").put(Path(package))


def test_many_at_once(package: Path, digest: str, tmp_path: Path) -> None:
    base = tmp_path / "packages"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_put, args=(str(base), str(package))) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert PackageStore(UPath(base), tmp_path / "cache").verify(digest).digest == digest
    assert [path.name for path in (base / "sha256").iterdir()] == [digest.removeprefix("sha256:")]

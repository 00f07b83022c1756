"""A package is refused when one byte of it is not as its manifest says."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation_dagster.domain.packages import MANIFEST, PackageError
from constellation_dagster.serving.integrity import verify_for_serving, verify_package
from tests.serving.packages import Package


def refusal(package: Package) -> str:
    """What both ways of verifying say; they say the same."""
    told: list[str] = []
    for verify in (verify_package, verify_for_serving):
        with pytest.raises(PackageError) as caught:
            verify(package.folder, package.digest)
        told.append(str(caught.value))
    assert told[0] == told[1]
    return told[0]


def test_a_whole_package_is_verified(iris: Package) -> None:
    assert verify_package(iris.folder) == iris.manifest
    assert verify_package(iris.folder, iris.digest) == iris.manifest
    served = verify_for_serving(iris.folder, iris.digest)
    assert served.digest == iris.digest
    assert [file.path for file in served.files] == [file.path for file in iris.manifest.files]
    for name in ("inputs", "outputs"):
        ours, theirs = getattr(served.signature, name), getattr(iris.manifest.signature, name)
        assert [vars(spec) for spec in ours] == [spec.model_dump() for spec in theirs]


def test_all_that_is_wrong_is_named_at_once(copied: Package) -> None:
    folder = copied.folder
    model = bytearray((folder / "model.onnx").read_bytes())
    model[100] ^= 1
    (folder / "model.onnx").write_bytes(model)
    (folder / "example.json").unlink()
    (folder / "README.md").write_text("longer than it was, by some words")
    (folder / "sub").mkdir()
    (folder / "sub" / "more.txt").touch()
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "requirements.txt").unlink()
    os.mkfifo(folder / "requirements.txt")
    message = refusal(copied)
    for phrase in (
        "model.onnx is changed;",
        "example.json is missing",
        "README.md is changed: it has 33 bytes, not 23",
        "sub/more.txt is additional",
        "link is a symbolic link",
        "requirements.txt is no regular file",
    ):
        assert phrase in message
    assert "Fetch it" in message


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_changed_byte_is_found(iris: Package, data: st.DataObject) -> None:
    file = iris.folder / data.draw(st.sampled_from([f.path for f in iris.manifest.files if f.size]))
    content = file.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[place] ^= data.draw(st.integers(1, 255))
    try:
        file.write_bytes(changed)
        assert f"{file.name} is changed" in refusal(iris)
    finally:
        file.write_bytes(content)


def test_a_link_to_the_right_content_is_refused(copied: Package, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.onnx"
    (copied.folder / "model.onnx").rename(elsewhere)
    (copied.folder / "model.onnx").symlink_to(elsewhere)
    assert "model.onnx is a symbolic link" in refusal(copied)


def test_a_linked_folder_is_not_followed(copied: Package, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    (copied.folder / "sub").symlink_to(tmp_path / "outside")
    message = refusal(copied)
    assert "sub is a symbolic link" in message
    assert "file" not in message


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        (b"", "is not JSON"),
        (b"[1]", "is not a JSON object"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"a": "\\ud800"}', "is not JSON"),
        (b'{"format": 1}', "is changed: its digest is"),
    ],
)
def test_another_manifest_is_refused(copied: Package, content: bytes, phrase: str) -> None:
    (copied.folder / MANIFEST).write_bytes(content)
    assert f"{MANIFEST} {phrase}" in refusal(copied)


def test_no_package_at_all(tmp_path: Path, iris: Package) -> None:
    assert "manifest.json is missing" in refusal(Package(tmp_path, iris.manifest))
    (tmp_path / MANIFEST).symlink_to(iris.folder / MANIFEST)
    assert "manifest.json is no regular file" in refusal(Package(tmp_path, iris.manifest))


def changed(package: Package, **fields: Any) -> str:
    """What is said about a manifest that is believed, with some fields changed."""
    data = json.loads((package.folder / MANIFEST).read_text())
    (package.folder / MANIFEST).write_text(json.dumps(data | fields))
    with pytest.raises(PackageError) as caught:
        verify_package(package.folder)
    return str(caught.value)


@pytest.mark.parametrize(
    "path", ["../model.onnx", "/etc/passwd", "a/../../b", "a\\b", "C:x", "./x", "a//b", "a/"]
)
def test_a_path_outside_of_the_package_is_refused(copied: Package, path: str) -> None:
    files = [*copied.manifest.model_dump()["files"], {"path": path, "size": 0, "sha256": "0" * 64}]
    assert f"{path!r} is outside of the package" in changed(copied, files=files)


def test_what_the_manifest_names_has_to_be_listed(copied: Package) -> None:
    message = changed(copied, artifact="../model.onnx", onnx="twin.onnx")
    assert "lists no file of its artifact '../model.onnx'" in message
    assert "lists no file of its onnx 'twin.onnx'" in message


def test_fields_that_are_wrong_are_told(copied: Package) -> None:
    message = changed(copied, flavor="pickle", more=1)
    assert "flavor: Input should be" in message
    assert "more: Extra inputs are not permitted" in message


def test_a_manifest_with_fields_left_out_has_another_digest(copied: Package) -> None:
    data = json.loads((copied.folder / MANIFEST).read_text())
    del data["onnx"]
    (copied.folder / MANIFEST).write_text(json.dumps(data))
    with pytest.raises(PackageError, match="not written in full"):
        verify_package(copied.folder)

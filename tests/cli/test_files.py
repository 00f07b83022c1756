"""`constellation pipeline check`, and what needs no stack or misses one."""

import subprocess
from pathlib import Path

import pytest

from tests.cli.files import pipeline_file
from tests.stack_fixture import StackHome

SOMEBODY = {"CONSTELLATION_EMAIL": "a@example.org", "CONSTELLATION_PASSWORD": "x"}


@pytest.fixture
def idle(tmp_path: Path) -> StackHome:
    """A home in which nothing runs."""
    return StackHome(tmp_path / "home")


def refused(result: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """What a command said that refused."""
    said = result.stdout + result.stderr
    assert result.returncode == code, said
    assert "Traceback" not in said
    return said


def test_check_says_what_is_right(idle: StackHome, tmp_path: Path) -> None:
    files = [pipeline_file(tmp_path, name) for name in ("one", "two")]
    result = idle.run("pipeline", "check", *map(str, files))
    assert result.returncode == 0, result.stderr
    first, second = result.stdout.splitlines()
    assert first.startswith(f"{files[0]}: 'one' is right, 1 nodes, sha256:")
    assert "'two' is right" in second
    assert not idle.home.exists()


def test_check_tells_all_that_is_wrong_with_all_files(idle: StackHome, tmp_path: Path) -> None:
    files = {
        "binary.yaml": b"\x89PNG\r\n\x1a\n\xff\xfe",
        "open.yaml": b"name: [p\nnodes: 1",
        "empty.yaml": b"",
        "text.yaml": b"just words",
        "shape.yaml": b"name: p\nnode: []\nnodes: 3\n",
        "an [odd] name.yaml": b"- 1",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    broken = pipeline_file(
        tmp_path,
        "broken",
        nodes=[{"id": "load", "block": "sampel_data"}, {"id": "tidy", "block": "impute_missing"}],
    )
    right = pipeline_file(tmp_path, "right")
    paths = [tmp_path / name for name in files]
    asked = [*paths, tmp_path / "nowhere.yaml", tmp_path, broken, right]
    said = refused(idle.run("pipeline", "check", *map(str, asked)))
    for expected in (
        "binary.yaml:\n  It is not a UTF-8 text file.",
        "open.yaml:\n  it cannot be read as YAML: line 2, column 6",
        "empty.yaml:\n  it must be a mapping of keys to values, not null.",
        "text.yaml:\n  it must be a mapping",
        "Did you mean 'nodes'?",
        "an [odd] name.yaml:\n  it must be a mapping",
        "nowhere.yaml:\n  No such file or directory.",
        f"{tmp_path}:\n  Is a directory.",
        "there is no block 'sampel_data'. Did you mean 'sample_data'?",
        "node 'tidy', port 'table': this input takes a Table and has no edge.",
        "'right' is right",
    ):
        assert expected in said


def test_nothing_is_saved_while_a_file_is_wrong(idle: StackHome, tmp_path: Path) -> None:
    good = pipeline_file(tmp_path, "good")
    said = refused(idle.run("pipeline", "apply", str(good), "nowhere.yaml", "neither.yaml"))
    assert "nothing was saved" in said
    assert "nowhere.yaml:\n  No such file" in said
    assert "neither.yaml:\n  No such file" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("pipeline", "list"),
        ("pipeline", "run", "iris"),
        ("pipeline", "export", "iris"),
        ("run", "show", "00000000-0000-0000-0000-000000000000"),
        ("demo",),
        ("migrate",),
    ],
)
def test_without_a_stack_it_is_told_what_to_do(idle: StackHome, arguments: tuple[str, ...]) -> None:
    said = refused(idle.run(*arguments))
    assert f"no stack runs in {idle.home}" in said
    assert "Run `constellation up`, or set" in said
    assert not idle.home.exists()


def test_somebody_has_to_be_named(idle: StackHome) -> None:
    hosted = {"SUPABASE_URL": "http://127.0.0.1:9", "SUPABASE_KEY": "x"}
    said = refused(idle.run("pipeline", "list", **hosted))
    assert "CONSTELLATION_EMAIL and CONSTELLATION_PASSWORD" in said
    said = refused(idle.run("pipeline", "list", **hosted, **SOMEBODY))
    assert "Connection refused" in said


@pytest.mark.parametrize(
    "arguments", [("pipeline", "check"), ("run", "show"), ("pipeline", "aply")]
)
def test_a_wrong_call_is_told(idle: StackHome, arguments: tuple[str, ...]) -> None:
    refused(idle.run(*arguments), code=2)


@pytest.mark.parametrize("group", ["pipeline", "run", "block"])
def test_a_group_alone_shows_its_commands(idle: StackHome, group: str) -> None:
    assert "Commands" in refused(idle.run(group), code=2)


def test_secrets_are_new_each_time_and_fit_the_compose_file(idle: StackHome) -> None:
    first, second = (idle.run("secrets").stdout for _ in range(2))
    names = [line.partition("=")[0] for line in first.splitlines()]
    compose = (Path(__file__).parents[2] / "docker-compose.yml").read_text()
    assert names
    assert all(f"${{{name}" in compose for name in names)
    assert not set(first.splitlines()) & set(second.splitlines())


@pytest.mark.parametrize("name", ["nope", "impute_missing@7", "x[/y]", ""])
def test_an_unknown_block_is_told(idle: StackHome, name: str) -> None:
    assert "block" in refused(idle.run("block", "show", name))

"""Every command of the documentation is run as it stands there."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from constellation_dagster.settings import PROJECT_ROOT
from tests.docs.pages import PAGES, commands, fences, named
from tests.stack_fixture import RunningStack, StackHome

PROGRAMS = ("make", "dg", "dagster", "constellation")
DAGSTER_LINES = sorted({line for page in PAGES for line in commands(page, "dg", "dagster")})


def run(line: str, environment: Mapping[str, str]) -> None:
    """Runs a line from the root of the repository, where the documentation stands."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    result = subprocess.run(
        ["sh", "-c", line],
        cwd=PROJECT_ROOT,
        env={**environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert result.returncode == 0, f"{line}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}"


def test_there_are_only_commands_that_are_run_here() -> None:
    lines = [(fence.place, line) for fence in fences("console") for line in fence.text.splitlines()]
    assert [found for found in lines if found[1].split()[0] not in PROGRAMS] == []
    assert fences("sh") + fences("bash") + fences("shell") == []


def test_make_has_these_targets() -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    asked = {
        target for page in PAGES for line in commands(page, "make") for target in line[5:].split()
    }
    told = {
        target for page in PAGES for target in re.findall(r"`make ([a-z-]+)`", page.read_text())
    }
    assert asked | told <= targets
    assert {"demo", "test"} <= asked


@pytest.mark.parametrize("line", DAGSTER_LINES)
def test_dagsters_commands_need_no_stack(line: str, tmp_path: Path) -> None:
    run(line, StackHome(tmp_path / "home").environment())


@pytest.mark.xdist_group("stack")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_work_in_their_order(page: Path, stack: RunningStack) -> None:
    for line in commands(page, "constellation"):
        run(line, stack.environment())


def test_commands_within_sentences_exist() -> None:
    from tests.docs.command_names import command_names

    known = command_names()
    for page in PAGES:
        for text in re.findall(r"`(constellation [^`]+)`", page.read_text()):
            words = [word for word in shlex.split(text)[1:] if re.fullmatch("[a-z]+", word)]
            assert any(" ".join(words[:count]) in known for count in (1, 2)), f"{page}: {text}"

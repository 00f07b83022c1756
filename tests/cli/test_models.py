"""`constellation model` as a person uses it, on a running stack."""

import json
from pathlib import Path

import pytest

from tests.cli.test_pipelines import refused, told
from tests.end_to_end.person import new_name
from tests.packaging.models import (
    PYTHON_EXAMPLE,
    bird_model,
    save_onnx,
    save_python_class,
    save_skops,
)
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def name(stack: RunningStack, folder: Path) -> str:
    """A package with two versions, the second of which is champion."""
    name = new_name("scale")
    first = save_onnx(folder / "first.onnx", by=2)
    said = told(stack.run("model", "register", str(first), "--name", name, "--alias", "champion"))
    assert f"{name}@1 is registered: onnx, served as it is." in said
    assert f"{name}@champion points to version 1." in said
    second = save_onnx(folder / "second.onnx", by=3)
    (folder / "card.md").write_text("# Scales by three\n\nFor |tests| only.\n")
    card = str(folder / "card.md")
    told(stack.run("model", "register", str(second), "--name", name, "--card", card))
    said = told(stack.run("model", "alias", f"{name}@2", "champion"))
    assert f"{name}@champion points to version 2, before to 1." in said
    return name


def test_the_same_again(stack: RunningStack, folder: Path, name: str) -> None:
    source = str(folder / "first.onnx")
    said = told(stack.run("model", "register", source, "--name", name, "--version", "1"))
    assert f"{name}@1 is there already, with the same content." in said
    said = told(stack.run("model", "alias", f"{name}@2", "champion"))
    assert "points to version 2 already" in said


def test_other_content(stack: RunningStack, folder: Path, name: str) -> None:
    source = str(folder / "second.onnx")
    said = refused(stack.run("model", "register", source, "--name", name, "--version", "1"))
    assert f"Package '{name}@1' exists and is another one; a version never changes:" in said
    assert "- model.onnx differs" in said
    assert "Register it under another version." in said


def test_what_is_listed_and_shown(stack: RunningStack, name: str) -> None:
    listed = told(stack.run("model", "list", COLUMNS="200"))
    assert name in listed
    rows = [
        row for row in json.loads(told(stack.run("model", "list", "--json"))) if row["name"] == name
    ]
    assert [(row["version"], row["aliases"]) for row in rows] == [("1", []), ("2", ["champion"])]
    shown = told(stack.run("model", "show", f"{name}@champion"))
    assert f"package: {name}@2" in shown
    assert "aliases: champion" in shown
    assert "[-1, 3]" in shown
    assert "Scales by three" in shown
    assert "For |tests| only." in shown
    whole = json.loads(told(stack.run("model", "show", f"{name}@2", "--json")))
    assert whole["manifest"]["signature"]["inputs"][0]["name"] == "x"


def test_a_changed_byte_is_found(stack: RunningStack, name: str) -> None:
    said = told(stack.run("model", "verify", f"{name}@1"))
    assert f"{name}@1 is intact: 5 files" in said
    digest = said.rstrip().rpartition("sha256:")[2]
    model = stack.home / "packages" / "sha256" / digest / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1])
    said = refused(stack.run("model", "verify", f"{name}@1"))
    assert f"model.onnx is changed: it has {len(whole) - 1} bytes, not {len(whole)}" in said
    model.write_bytes(whole)


def test_a_python_class(stack: RunningStack, folder: Path) -> None:
    """The person of the stack's command line has its service key, and so is an operator."""
    name = new_name("scaled")
    source = str(save_python_class(folder / "scale"))
    said = refused(stack.run("model", "register", source, "--name", name))
    assert "Nothing says what the model takes: give an example" in said
    example = folder / "example.json"
    example.write_text(json.dumps(PYTHON_EXAMPLE))
    arguments = ("model", "register", source, "--name", name, "--example", str(example))
    assert f"{name}@1 is registered: python" in told(stack.run(*arguments))


def test_an_estimator_in_a_file(stack: RunningStack, folder: Path) -> None:
    source = save_skops(bird_model().estimator, folder / "birds.skops")
    name = new_name("birds")
    said = told(stack.run("model", "register", str(source), "--name", name))
    assert f"{name}@1 is registered: sklearn, served as ONNX." in said


@pytest.mark.parametrize(
    ("arguments", "told_of"),
    [
        (("register", "{folder}/nothing.onnx", "--name", "m"), "There is no "),
        (("register", "{folder}/first.onnx", "--name", "M"), "cannot be named 'M'"),
        (("register", "{folder}/first.onnx", "--name", "m", "--example", "{folder}/card.md"),
         "is not JSON"),
        (("register", "{folder}/first.onnx", "--name", "m", "--card", "{folder}/none.md"),
         "cannot be read: No such file"),
        (("show", "{name}"), "names no package: write NAME@VERSION"),
        (("show", "{name}@9"), "You have no package"),
        (("verify", "nothing@1"), "You have no package 'nothing@1'."),
        (("alias", "{name}@1", "Best"), "'Best' is no alias."),
        (("alias", "{name}@1", "2"), "'2' is no alias."),
    ],
)  # fmt: skip
def test_mistakes(
    stack: RunningStack, folder: Path, name: str, arguments: tuple[str, ...], told_of: str
) -> None:
    filled = [argument.format(folder=folder, name=name) for argument in arguments]
    assert told_of in refused(stack.run("model", *filled))

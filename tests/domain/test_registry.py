"""Finding blocks, also those of packages that are broken."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from constellation_dagster.domain import registry as registry_module
from constellation_dagster.domain.errors import BlockDeclarationError, UnknownBlock
from constellation_dagster.domain.ports import Table
from constellation_dagster.domain.registry import Registry, block, load_registry
from tests.domain.example_blocks import EXAMPLES


def _version(number: int) -> Any:
    def shift(table: Table) -> Table:
        """Shift rows."""
        return table

    return block(kind="transform", version=number)(shift)


ONE, TWO, TEN = _version(1), _version(2), _version(10)


def test_a_bare_name_finds_the_newest_version() -> None:
    registry = Registry.of([TEN, ONE, TWO])
    assert [item.ref for item in registry] == ["shift@1", "shift@2", "shift@10"]
    assert registry.find("shift") is registry.get("shift@10") is TEN
    assert registry.get("shift@2") is TWO
    assert registry.find("shift@3") is None
    assert registry.versions("shift") == (1, 2, 10)
    assert registry.names == ("shift",)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        (
            "shfit",
            "there is no block 'shfit'. Did you mean 'shift'? See `constellation block list`",
        ),
        ("zzz", "there is no block 'zzz'. See `constellation block list`"),
        (
            "shift@3",
            "block 'shift' has no version '3'. There is 'shift@1', 'shift@2' and 'shift@10'",
        ),
        ("shift@", "block 'shift' has no version ''"),
    ],
)
def test_what_is_not_there(ref: str, message: str) -> None:
    with pytest.raises(UnknownBlock) as caught:
        Registry.of([ONE, TWO, TEN]).get(ref)
    assert str(caught.value).startswith(message)


def test_suggestions() -> None:
    assert EXAMPLES.suggest("evalute") == "evaluate"
    assert EXAMPLES.suggest("LOAD") == "load"
    assert EXAMPLES.suggest("zzz") is None


def test_two_blocks_of_one_name_and_version() -> None:
    with pytest.raises(BlockDeclarationError, match="there are two blocks 'shift@1'"):
        Registry.of([ONE, _version(1)])


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """Modules that entry points name, beside the real standard library; `broken` has none."""
    modules: dict[str, ModuleType] = {}
    points = [
        EntryPoint(name, f"outside_{name}", registry_module.ENTRY_POINT_GROUP)
        for name in ("good", "thief", "exits", "broken")
    ]
    points.append(
        EntryPoint("zz", "constellation_dagster.blocks", registry_module.ENTRY_POINT_GROUP)
    )

    def found(group: str) -> EntryPoints:
        assert group == "constellation.blocks"
        return EntryPoints(points)

    def imported(name: str) -> ModuleType:
        if name == "outside_exits":
            raise SystemExit("no licence")
        return modules[name] if name in modules else __import__(name, fromlist=["x"])

    monkeypatch.setattr(registry_module, "entry_points", found)
    monkeypatch.setattr(registry_module.importlib, "import_module", imported)
    for name in ("good", "thief"):
        modules[f"outside_{name}"] = ModuleType(f"outside_{name}")
    load_registry.cache_clear()
    yield modules
    load_registry.cache_clear()


def test_a_broken_package_takes_nothing_else_down(packages: dict[str, ModuleType]) -> None:
    def read_csv_again(table: Table) -> Table:
        """Not the one of the standard library."""
        return pl.concat([table])

    read_csv_again.__name__ = "read_csv"
    vars(packages["outside_good"]).update(TEN=TEN, PRIVATE=ONE, number=5, __all__=["TEN", "number"])
    vars(packages["outside_thief"]).update(read_csv=block(kind="transform")(read_csv_again))
    registry = load_registry()
    assert registry.get("shift") is TEN
    assert registry.find("shift@1") is None
    assert registry.get("read_csv").kind == "source"
    messages = [str(problem) for problem in registry.failures]
    assert [message.partition("could")[0] for message in messages[:2]] == [
        "block module 'outside_broken' ",
        "block module 'outside_exits' ",
    ]
    assert "ModuleNotFoundError" in messages[0]
    assert "SystemExit: no licence" in messages[1]
    assert messages[2].startswith(
        "block 'read_csv@1' of block module 'outside_thief' is left out: "
        "constellation_dagster.blocks.sources.read_csv already has that name and version."
    )
    assert len(messages) == 3


def test_the_standard_library_comes_by_its_entry_point() -> None:
    load_registry.cache_clear()
    registry = load_registry()
    assert registry.failures == ()
    assert len(registry) >= 14
    assert load_registry() is registry
    assert "constellation_dagster.blocks" in sys.modules

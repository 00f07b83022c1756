"""The blocks that there are."""

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import cast

from constellation_dagster.domain.block import AnyBlock, BlockDefinition, BlockKind, block
from constellation_dagster.domain.errors import BlockDeclarationError, Problem, UnknownBlock
from constellation_dagster.domain.suggestions import closest, listing

ENTRY_POINT_GROUP = "constellation.blocks"


@dataclass(frozen=True, eq=False)
class Registry:
    """An unchanging set of blocks, by name and version."""

    blocks: tuple[AnyBlock, ...]
    """Sorted by name and version."""
    failures: tuple[Problem, ...]
    """Packages of blocks that could not be loaded; all others are there."""
    _by_ref: dict[str, AnyBlock]

    @classmethod
    def of(cls, blocks: Iterable[AnyBlock], failures: Iterable[Problem] = ()) -> "Registry":
        """The registry of these blocks.

        Raises:
            BlockDeclarationError: Two of them have the same name and version.
        """
        ordered = sorted(blocks, key=lambda item: (item.name, item.version))
        by_ref: dict[str, AnyBlock] = {}
        for item in ordered:
            if item.ref in by_ref:
                raise BlockDeclarationError(
                    f"there are two blocks {item.ref!r}: {_home(by_ref[item.ref])} and "
                    f"{_home(item)}. Give one another name or version."
                )
            by_ref[item.ref] = item
        # Sorted by version, so the newest is what stays under the bare name.
        by_ref |= {item.name: item for item in ordered}
        return cls(tuple(ordered), tuple(failures), by_ref)

    def __iter__(self) -> Iterator[AnyBlock]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all blocks, sorted."""
        return tuple(dict.fromkeys(item.name for item in self.blocks))

    def versions(self, name: str) -> tuple[int, ...]:
        """The versions of a block, oldest first; none when there is no such block."""
        return tuple(item.version for item in self.blocks if item.name == name)

    def find(self, ref: str) -> AnyBlock | None:
        """The block `name@version`, or the newest version of `name`, if there is one."""
        return self._by_ref.get(ref)

    def get(self, ref: str) -> AnyBlock:
        """The block `name@version`, or the newest version of `name`.

        Raises:
            UnknownBlock: There is none; the message says what there is.
        """
        found = self.find(ref)
        if found is None:
            message, hint = self.why_unknown(ref)
            raise UnknownBlock(f"{message} {hint}")
        return found

    def suggest(self, name: str) -> str | None:
        """The name of the block that was probably meant."""
        return closest(name, self.names)

    def why_unknown(self, ref: str) -> tuple[str, str]:
        """For a reference that finds nothing: what is wrong with it, and a hint."""
        name, _, version = ref.partition("@")
        versions = self.versions(name)
        if versions:
            known = listing(f"{name}@{known}" for known in versions)
            return f"block {name!r} has no version {version!r}.", f"There is {known}."
        meant = self.suggest(name)
        hint = f"Did you mean {meant!r}? " if meant is not None else ""
        return (
            f"there is no block {ref!r}.",
            f"{hint}See `constellation block list` for all blocks.",
        )


@lru_cache(maxsize=1)
def load_registry() -> Registry:
    """The blocks of all installed packages, read from their entry points once per process.

    A package names a module in the entry-point group `constellation.blocks`; what that module's
    `__all__` lists (or, without one, all that it holds) and is a block counts. A package that
    cannot be loaded is told in `failures` and takes nothing else down.
    """
    found: dict[str, AnyBlock] = {}
    failures: list[Problem] = []
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=_own_first):
        try:
            blocks = _blocks_of(importlib.import_module(point.value))
        # Whatever foreign code raises while it is imported, the other packages stay usable.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            reason = f"{type(error).__name__}: {error}".rstrip(".")
            failures.append(
                Problem(
                    code="block_package_broken",
                    message=f"{_package(point)} could not be loaded: {reason}.",
                    hint="Its blocks are missing until it is repaired or uninstalled.",
                )
            )
            continue
        for item in blocks:
            other = found.setdefault(item.ref, item)
            if other is not item:
                failures.append(
                    Problem(
                        code="block_twice",
                        message=f"block {item.ref!r} of {_package(point)} is left out: "
                        f"{_home(other)} already has that name and version.",
                        hint="Give it another name or version.",
                    )
                )
    return Registry.of(found.values(), failures)


def _own_first(point: EntryPoint) -> tuple[bool, str, str]:
    """Our own library first, so that no package can replace one of its blocks."""
    own = __name__.partition(".")[0]
    return point.module.partition(".")[0] != own, point.name, point.value


def _blocks_of(module: ModuleType) -> list[AnyBlock]:
    names = cast("Iterable[str]", getattr(module, "__all__", None) or sorted(vars(module)))
    members = (getattr(module, name) for name in names)
    return [member for member in members if isinstance(member, BlockDefinition)]


def _package(point: EntryPoint) -> str:
    package = f" of package {point.dist.name!r}" if point.dist is not None else ""
    return f"block module {point.value!r}{package}"


def _home(item: AnyBlock) -> str:
    return f"{item.function.__module__}.{item.function.__qualname__}"


__all__ = ["AnyBlock", "BlockDefinition", "BlockKind", "Registry", "block", "load_registry"]

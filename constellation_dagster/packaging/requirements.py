"""Exact versions of the packages that serving a model needs, as they are installed here."""

import importlib.metadata
from collections import deque
from collections.abc import Iterable

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from constellation_dagster.domain.packages import PackageError


def pinned(packages: Iterable[str], own: Iterable[str] = ()) -> tuple[str, ...]:
    """`name==version` of packages and of all that they need, sorted.

    Args:
        packages: Names of packages that are installed.
        own: Requirements that came with the model. A version that they pin is kept, even when
            another is installed.

    Raises:
        PackageError: One is not installed, has another version than is asked for, or is no
            requirement of a package by its version. All of these are named.
    """
    versions: dict[str, str] = {}
    problems: list[str] = []
    waiting: deque[Requirement] = deque()
    for line in own:
        _take(line, versions, waiting, problems)
    waiting.extend(Requirement(name) for name in packages)
    seen: set[tuple[str, str]] = set()
    # The model's own come first: what they ask for is held against what is installed.
    while waiting:
        requirement = waiting.popleft()
        name = canonicalize_name(requirement.name)
        extras = sorted(requirement.extras)
        if (name, ",".join(extras)) in seen:
            continue
        seen.add((name, ",".join(extras)))
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if name not in versions:
                problems.append(f"{name} is not installed here. Install it, or pin it with ==.")
            continue
        present = distribution.version
        if name not in versions:
            if not requirement.specifier.contains(present, prereleases=True):
                problems.append(f"{requirement} is asked for, and {present} is installed here.")
            versions[name] = present
        elif Version(versions[name]) != Version(present):
            continue  # what another version needs is not known here
        for inner in map(Requirement, distribution.requires or ()):
            contexts = [{"extra": extra} for extra in ("", *extras)]
            if inner.marker is None or any(map(inner.marker.evaluate, contexts)):
                waiting.append(inner)
    if problems:
        raise PackageError("\n- ".join(["The requirements are refused:", *sorted(set(problems))]))
    return tuple(f"{name}=={version}" for name, version in sorted(versions.items()))


def lines_of(text: str) -> tuple[str, ...]:
    """The requirements in a requirements.txt, without comments and continuation lines."""
    joined = text.replace("\\\n", " ")
    stripped = (line.partition(" #")[0].strip() for line in joined.splitlines())
    return tuple(line for line in stripped if line and not line.startswith("#"))


def _take(
    line: str, versions: dict[str, str], waiting: deque[Requirement], problems: list[str]
) -> None:
    # Hashes are of one platform's files; what is installed is resolved anew.
    line = line.partition(" --hash")[0].strip()
    if line.startswith("-"):
        problems.append(f"{line!r}: options are not taken. List the packages themselves.")
        return
    try:
        requirement = Requirement(line)
    except InvalidRequirement as error:
        problems.append(f"{line!r} is no requirement: {str(error).splitlines()[0]}.")
        return
    if requirement.url is not None:
        problems.append(f"{line!r}: addresses are not taken. Name a released version.")
        return
    if requirement.marker is not None and not requirement.marker.evaluate():
        return
    exact = [item.version for item in requirement.specifier if item.operator == "=="]
    if len(exact) == 1 and not exact[0].endswith(".*"):
        versions[canonicalize_name(requirement.name)] = str(Version(exact[0]))
    waiting.append(requirement)

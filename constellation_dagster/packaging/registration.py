"""Registering a model: the one way from a model to a version of a package."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from constellation_dagster.domain.packages import (
    NAME_PATTERN,
    VERSION_PATTERN,
    PackageError,
    PackageManifest,
    package_ref,
)
from constellation_dagster.domain.states import PackageStatus
from constellation_dagster.packaging.building import Built, build_package
from constellation_dagster.packaging.differences import differences
from constellation_dagster.packaging.examples import read_example
from constellation_dagster.packaging.sources import Source, take
from constellation_dagster.packaging.store import PackageStore


class KnownVersion(Protocol):
    """A version that a catalogue has."""

    @property
    def version(self) -> str:
        """Its version."""
        ...

    @property
    def status(self) -> str:
        """Where it stands."""
        ...

    @property
    def digest(self) -> str | None:
        """What it is; None until it is packaged."""
        ...


class Catalogue(Protocol):
    """Where names and versions of packages are kept, as one person sees it."""

    def versions(self, name: str) -> Sequence[KnownVersion]:
        """All versions of a package that this person has."""
        ...

    def manifest(self, name: str, version: str) -> PackageManifest | None:
        """What a version is; None when it is not packaged, or there is none."""
        ...

    def register(
        self,
        name: str,
        version: str,
        manifest: PackageManifest,
        *,
        card: str,
        measured: Mapping[str, Any],
    ) -> bool:
        """Gives a stored package a name and version; whether that is new.

        Raises:
            ConstellationError: The name is somebody else's, or the version another package.
        """
        ...


@dataclass(frozen=True)
class RegisteredPackage:
    """A version of a package.

    Attributes:
        name: Its name.
        version: Its version.
        digest: `sha256:…`, which says exactly what it is.
        manifest: What is in it.
        url: Where it is stored.
        new: Whether this version was not there before.
        measured: What was measured while it was made; no part of the digest.
    """

    name: str
    version: str
    digest: str
    manifest: PackageManifest
    url: str
    new: bool = True
    measured: Mapping[str, Any] = field(default_factory=dict[str, Any])


def register_model(
    source: Source,
    *,
    name: str,
    version: str | None = None,
    example: Mapping[str, Any] | None = None,
    card: str | None = None,
    requirements: Sequence[str] | None = None,
    store: PackageStore,
    catalogue: Catalogue | None = None,
) -> RegisteredPackage:
    """Packages a model, stores the package, and gives it a name and version.

    Args:
        source: An ONNX or skops file, a directory of MLflow, a folder with a Python class, an
            fsspec URL of one of these, a `models:/` or `runs:/` URI of MLflow, a fitted
            estimator, or what a train block has made. A Python class runs here.
        name: The package's name.
        version: Its version; the next whole number if None, or the newest version where that has
            the same content.
        example: A request that the model takes, as JSON of the Open Inference Protocol; or an
            object with `request`, and if wanted the `response` and the `signature`.
        card: The model card, as Markdown; made from what is known if None.
        requirements: More packages that serving it needs.
        store: Where packages are kept.
        catalogue: Where names are kept; without one, nobody is told of the package.

    Raises:
        PackageError: The model must not or cannot be packaged, or the version is another package.
    """
    require_names(name, version)
    with TemporaryDirectory(prefix="constellation-package-") as temporary:
        folder = Path(temporary)
        built = package_model(
            source, folder, example=example, card=card, requirements=requirements or ()
        )
        manifest, digest = built.manifest, built.manifest.digest
        known = {item.version: item for item in catalogue.versions(name)} if catalogue else {}
        version = version or _next_version(known.values(), digest)
        if catalogue is not None and version in known:
            _require_same(catalogue, name, known[version], manifest)
        store.put(folder)
        new = True
        if catalogue is not None:
            text = (folder / "README.md").read_text(encoding="utf-8")
            new = catalogue.register(name, version, manifest, card=text, measured=built.measured)
    return RegisteredPackage(
        name, version, digest, manifest, store.url(digest), new, built.measured
    )


def package_model(
    source: Source,
    folder: Path,
    *,
    example: Mapping[str, Any] | None = None,
    card: str | None = None,
    requirements: Sequence[str] = (),
    data_only: bool = False,
) -> Built:
    """Makes a package of a model in an empty folder; see `register_model`.

    Args:
        source: The model.
        folder: An empty folder.
        example: A request that it takes.
        card: The model card.
        requirements: More packages that serving it needs.
        data_only: Whether to refuse what runs code of whoever made it.

    Raises:
        PackageError: It must not or cannot be packaged; the message lists all reasons.
    """
    given = read_example(example) if example is not None else None
    columns = given.columns if given is not None else None
    artifact = take(source, folder, columns=columns, data_only=data_only)
    return build_package(
        artifact, folder, example=given, card=card, requirements=tuple(requirements)
    )


def require_names(name: str, version: str | None) -> None:
    """Checks the form of a package's name and version.

    Raises:
        PackageError: One of them cannot be.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise PackageError(
            f"A package cannot be named {name!r}: a name has lower-case letters, digits and '_', "
            "begins with a letter and has 63 characters at most."
        )
    if version is not None and not re.fullmatch(VERSION_PATTERN, version):
        raise PackageError(
            f"Package {name!r} cannot have a version {version!r}: a version has letters, digits, "
            "'.', '_' and '-', such as 1 or 2026-11-24."
        )


def _next_version(known: Iterable[KnownVersion], digest: str) -> str:
    numbered = {int(item.version): item for item in known if item.version.isdecimal()}
    if not numbered:
        return "1"
    newest = max(numbered)
    return str(newest if numbered[newest].digest == digest else newest + 1)


def _require_same(
    catalogue: Catalogue, name: str, known: KnownVersion, manifest: PackageManifest
) -> None:
    ref = package_ref(name, known.version)
    rejected = known.status == PackageStatus.REJECTED
    if known.digest == manifest.digest and not rejected:
        return
    present = catalogue.manifest(name, known.version)
    if present is None or rejected:
        raise PackageError(
            f"Package {ref!r} exists and is {known.status}. Delete its row, or register another "
            "version."
        )
    listed = "".join(f"\n- {difference}" for difference in differences(present, manifest))
    raise PackageError(
        f"Package {ref!r} exists and is another one; a version never changes:{listed}\n"
        "Register it under another version."
    )

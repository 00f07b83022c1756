"""`constellation model build` and `dockerfile`: from a package to an image."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from constellation_dagster.domain.errors import ConstellationError

if TYPE_CHECKING:
    from constellation_dagster.resources.package_rows import PackageRow

Ref = Annotated[
    str, typer.Argument(help="The package, as NAME@VERSION or NAME@ALIAS, such as penguins@1.")
]


class CannotBuild(ConstellationError):
    """There is no package to build an image of, or no place to put it."""


def build(ref: Ref) -> None:
    """Build a package's container image, as a run of asset model_images."""
    from constellation_dagster.resources.asset_runs import follow_run, launch_partition

    row = _packaged(ref)
    run = launch_partition("model_images", "model_packages", row.ref)
    for line in follow_run(run):
        typer.echo(line)


def dockerfile(
    ref: Ref,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="A new or empty folder, for `docker build`."),
    ] = None,
) -> None:
    """Write all that a package's image is built of into a folder, or print its Dockerfile."""
    import tempfile

    from constellation_dagster.images.build import write_context
    from constellation_dagster.packaging.store import PackageStore
    from constellation_dagster.settings import get_settings

    row = _packaged(ref)
    settings = get_settings()
    folder = PackageStore.of(settings).fetch(row.digest or "")
    if output is None:
        with tempfile.TemporaryDirectory() as draft:
            write_context(row.ref, folder, settings, Path(draft))
            typer.echo((Path(draft) / "Dockerfile").read_text(encoding="utf-8"), nl=False)
        return
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise CannotBuild(f"{str(output)!r} is no empty folder: name a new one.")
    output.mkdir(parents=True, exist_ok=True)
    target = write_context(row.ref, folder, settings, output)
    typer.echo(
        f"{output} has the Dockerfile and all that it needs, with wheels for {target}.\n"
        f"Build it: docker build --tag {row.name}:{row.version} {output}"
    )


def _packaged(ref: str) -> "PackageRow":
    from constellation_dagster.domain.packages import parse_package_ref
    from constellation_dagster.resources.package_rows import PackageRows
    from constellation_dagster.resources.person import person_client

    row = PackageRows(person_client()).resolve(*parse_package_ref(ref))
    if row is None:
        raise CannotBuild(f"You have no package {ref!r}. See `constellation model list`.")
    if row.digest is None:
        raise CannotBuild(
            f"{row.ref} is {row.status}: only what is packaged has an image. See "
            f"`constellation model show {row.ref}`."
        )
    return row

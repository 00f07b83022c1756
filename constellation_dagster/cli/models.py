"""`constellation model`: packages of models, from a file to a name that moves."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

if TYPE_CHECKING:
    from constellation_dagster.domain.packages import PackageManifest
    from constellation_dagster.packaging.registration import Catalogue
    from constellation_dagster.resources.package_rows import PackageRow, PackageRows

app = typer.Typer(no_args_is_help=True, help="Packages of models.")

Ref = Annotated[
    str, typer.Argument(help="The package, as NAME@VERSION or NAME@ALIAS, such as penguins@1.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command()
def register(
    source: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="An ONNX or skops file, a directory of MLflow, a folder with a Python class, a "
            "URL of one of these, or a models:/ URI of MLflow.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="The package's name.")],
    version: Annotated[
        str | None,
        typer.Option("--version", help="Its version; the next whole number if not given."),
    ] = None,
    example: Annotated[
        Path | None,
        typer.Option("--example", help="A request that the model takes, as JSON."),
    ] = None,
    card: Annotated[
        Path | None, typer.Option("--card", help="The model card, as Markdown.")
    ] = None,
    alias: Annotated[
        str | None, typer.Option("--alias", help="An alias that points to it from now on.")
    ] = None,
) -> None:
    """Make a package of a model, store it, and give it a name and version.

    It runs on this machine: a Python class, or a model that MLflow loads by code, runs here and
    takes the service key to be registered.
    """
    from constellation_dagster.packaging.registration import register_model
    from constellation_dagster.packaging.store import PackageStore
    from constellation_dagster.settings import get_settings

    settings = get_settings()
    rows, catalogue = _rows_and_catalogue()
    package = register_model(
        source,
        name=name,
        version=version,
        example=_example(example) if example is not None else None,
        card=_read(card) if card is not None else None,
        store=PackageStore.of(settings),
        catalogue=catalogue,
    )
    ref = f"{package.name}@{package.version}"
    served = "as ONNX" if package.manifest.serve == "onnx" else "as it is"
    if package.new:
        typer.echo(f"{ref} is registered: {package.manifest.flavor}, served {served}.")
    else:
        typer.echo(f"{ref} is there already, with the same content.")
    typer.echo(package.digest)
    if (told := package.measured.get("onnx")) not in (None, "agrees"):
        typer.echo(f"There is no ONNX form of it: {told}")
    if alias is not None:
        _moved(rows, package.name, alias, package.version)


@app.command("list")
def list_packages(as_json: AsJson = False) -> None:
    """List your packages, with their versions and aliases."""
    from rich.console import Console
    from rich.table import Column, Table

    from constellation_dagster.cli.tables import add_row

    rows = _rows()
    packages = sorted(rows.all(), key=lambda row: (row.name, row.created_at))
    aliases: dict[str, list[str]] = {}
    for alias in rows.aliases():
        aliases.setdefault(f"{alias.name}@{alias.version}", []).append(alias.alias)
    if as_json:
        listed = [
            row.model_dump(mode="json", exclude={"card"}) | {"aliases": aliases.get(row.ref, [])}
            for row in packages
        ]
        typer.echo(json.dumps(listed, indent=2))
        return
    if not packages:
        typer.echo("You have no packages yet: see `constellation model register --help`.")
        return
    table = Table(
        Column("package", no_wrap=True), "status", "flavor", "digest", "aliases", "problem"
    )
    for row in packages:
        problem = str(row.problems[0].get("message", "")) if row.problems else ""
        add_row(
            table,
            row.ref,
            row.status,
            row.flavor or "",
            (row.digest or "")[:19],
            ", ".join(aliases.get(row.ref, [])),
            problem.splitlines()[0] if problem else "",
        )
    Console().print(table)


@app.command()
def show(ref: Ref, as_json: AsJson = False) -> None:
    """Show a package: its card, signature, files and aliases."""
    rows = _rows()
    row = _resolved(rows, ref)
    manifest = rows.manifest(row.name, row.version)
    aliases = [item.alias for item in rows.aliases(row.name) if item.version == row.version]
    if as_json:
        whole = row.model_dump(mode="json") | {
            "aliases": aliases,
            "manifest": manifest.model_dump(mode="json") if manifest is not None else None,
        }
        typer.echo(json.dumps(whole, indent=2))
        return
    _print(row, manifest, aliases)


@app.command()
def verify(ref: Ref) -> None:
    """Read every byte of a package and say whether it is what it was."""
    from constellation_dagster.packaging.store import PackageStore
    from constellation_dagster.settings import get_settings

    row = _resolved(_rows(), ref)
    if row.digest is None:
        raise _not_packaged(row)
    manifest = PackageStore.of(get_settings()).verify(row.digest)
    size = sum(file.size for file in manifest.files)
    typer.echo(f"{row.ref} is intact: {len(manifest.files)} files, {size} bytes, {row.digest}")


@app.command()
def alias(
    ref: Annotated[str, typer.Argument(help="The package, as NAME@VERSION.")],
    alias: Annotated[str, typer.Argument(help="The alias, such as champion.")],
) -> None:
    """Let an alias point to a version; it moves at once for everybody who uses it."""
    rows = _rows()
    row = _resolved(rows, ref)
    _moved(rows, row.name, alias, row.version)


def _rows() -> "PackageRows":
    from constellation_dagster.resources.package_rows import PackageRows
    from constellation_dagster.resources.person import person_client

    return PackageRows(person_client())


def _rows_and_catalogue() -> "tuple[PackageRows, Catalogue]":
    """The person's rows, and how packages are registered for them: code by the platform."""
    from uuid import UUID

    from constellation_dagster.resources.operator_packages import OperatorPackages
    from constellation_dagster.resources.package_rows import PackageRows
    from constellation_dagster.resources.person import person_client
    from constellation_dagster.resources.supabase import service_client
    from constellation_dagster.settings import get_settings

    client = person_client()
    rows = PackageRows(client)
    if get_settings().supabase_service_role_key is None:
        return rows, rows
    answer = client.auth.get_user()
    assert answer is not None  # just signed in
    return rows, OperatorPackages(rows, PackageRows(service_client()), UUID(answer.user.id))


def _resolved(rows: "PackageRows", ref: str) -> "PackageRow":
    from constellation_dagster.domain.packages import PackageError, parse_package_ref
    from constellation_dagster.domain.suggestions import did_you_mean

    name, version = parse_package_ref(ref)
    row = rows.resolve(name, version)
    if row is None:
        hint = did_you_mean(ref, rows.refs(), there_are="Your packages are")
        raise PackageError(f"You have no package {ref!r}. {hint or 'You have none at all.'}")
    return row


def _not_packaged(row: "PackageRow") -> Exception:
    from constellation_dagster.domain.packages import PackageError

    problems = "".join(f"\n- {problem.get('message')}" for problem in row.problems)
    return PackageError(f"{row.ref} is {row.status}: there is no package of it.{problems}")


def _moved(rows: "PackageRows", name: str, alias: str, version: str) -> None:
    before = rows.set_alias(name, alias, version)
    if before == version:
        typer.echo(f"{name}@{alias} points to version {version} already.")
    else:
        was = f", before to {before}" if before is not None else ""
        typer.echo(f"{name}@{alias} points to version {version}{was}.")


def _example(path: Path) -> dict[str, Any]:
    from constellation_dagster.domain.packages import PackageError

    try:
        given: object = json.loads(_read(path))
    except ValueError as error:
        raise PackageError(f"{str(path)!r} is not JSON: {error}.") from error
    if not isinstance(given, dict):
        raise PackageError(f"{str(path)!r} is not a JSON object with a request.")
    return cast("dict[str, Any]", given)


def _read(path: Path) -> str:
    from constellation_dagster.domain.packages import PackageError

    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PackageError(f"{str(path)!r} cannot be read: {reason}.") from error


def _print(row: "PackageRow", manifest: "PackageManifest | None", aliases: list[str]) -> None:
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.table import Table

    from constellation_dagster.cli.tables import add_row

    console = Console()
    known: Mapping[str, Any] = {
        "package": row.ref,
        "status": row.status,
        "aliases": ", ".join(aliases),
        "digest": row.digest,
        "flavor": row.flavor,
        "source": row.source_url,
        "stored at": row.package_url,
        "image": row.image,
        **{f"measured {name}": value for name, value in row.measured.items()},
    }
    for name, value in known.items():
        if value not in (None, ""):
            # Digests and addresses are to be copied, so they are not cut.
            console.print(f"{name}: {value}", soft_wrap=True, markup=False, highlight=False)
    for problem in row.problems:
        console.print(str(problem.get("message")), style="red", markup=False, highlight=False)
    if manifest is not None:
        tensors = Table("", "tensor", "type", "shape", box=None)
        for way, specs in (("in", manifest.signature.inputs), ("out", manifest.signature.outputs)):
            for spec in specs:
                add_row(tensors, way, spec.name, spec.datatype, str(list(spec.shape)))
        console.print(tensors)
        files = Table("file", "bytes", "sha256", box=None)
        for file in manifest.files:
            add_row(files, file.path, str(file.size), file.sha256[:16])
        console.print(files)
    if row.card:
        console.print()
        console.print(Markdown(row.card))

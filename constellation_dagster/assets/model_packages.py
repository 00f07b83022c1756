"""`model_packages`: every version of a model that was registered, a partition each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from constellation_dagster.domain.errors import Problem
from constellation_dagster.domain.packages import PackageError, PackageManifest, parse_package_ref
from constellation_dagster.domain.places import Places
from constellation_dagster.domain.states import PackageStatus
from constellation_dagster.resources.package_rows import PackageRow
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.settings import get_settings

GROUP = "models"
PACKAGES = dg.DynamicPartitionsDefinition(name="model_packages")
PACKAGES_KEY = dg.AssetKey("model_packages")
# An event is a row of Postgres that the UI loads whole.
CARD_CHARACTERS = 20_000


def model_packages_asset(makers: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """The asset of all packages.

    Args:
        makers: The nodes of pipelines that register models.
    """

    @dg.asset(
        key=PACKAGES_KEY,
        group_name=GROUP,
        partitions_def=PACKAGES,
        deps=list(makers),
        kinds={"model"},
        description="A model with all that serving it needs: its signature, an example, pinned "
        "requirements, a model card and a bill of materials, under one digest.",
    )
    def model_packages(
        context: dg.AssetExecutionContext, supabase: SupabaseResource
    ) -> dg.MaterializeResult[Any]:
        row = _row(context.partition_key, supabase)
        if row.status == PackageStatus.REGISTERED:
            row = _package(context, row, supabase)
        manifest, url = _verified(row, supabase)
        context.log.info(f"{row.ref} is {manifest.digest}.")
        return dg.MaterializeResult(
            metadata=_metadata(row, manifest, url), data_version=dg.DataVersion(manifest.digest)
        )

    return model_packages


@dg.asset_check(
    asset=PACKAGES_KEY,
    description="Every byte of the package in the store is what its digest says. Executed alone, "
    "it reads all packages.",
)
def package_is_intact(
    context: dg.AssetCheckExecutionContext, supabase: SupabaseResource
) -> dg.AssetCheckResult:
    """Reads the package of the run's partition again, or that of every row."""
    from constellation_dagster.packaging.store import PackageStore

    partition = context.run.tags.get(PARTITION_NAME_TAG)
    if partition is not None:
        rows = [_row(partition, supabase)]
    else:
        rows = supabase.packages.all(statuses=[PackageStatus.PACKAGED, PackageStatus.IMAGED])
    store = PackageStore.of(get_settings())
    damaged: list[str] = []
    size = 0
    for row in rows:
        if row.digest is None:
            continue
        try:
            size += sum(file.size for file in store.verify(row.digest).files)
        except PackageError as error:
            damaged.append(f"{row.ref}: {error}")
    told = f"{len(rows)} packages, {size} bytes." if partition is None else f"{size} bytes."
    return dg.AssetCheckResult(
        passed=not damaged,
        description="\n".join(damaged) or told,
        metadata={"packages": len(rows), "damaged": len(damaged), "bytes": size},
    )


def _row(partition: str, supabase: SupabaseResource) -> PackageRow:
    if not supabase.configured:
        raise dg.Failure("No Supabase: run `constellation up` or set SUPABASE_URL.")
    row = supabase.packages.get(*parse_package_ref(partition))
    if row is None:
        raise dg.Failure(f"There is no package {partition!r} any more.", allow_retries=False)
    return row


def _package(
    context: dg.AssetExecutionContext, row: PackageRow, supabase: SupabaseResource
) -> PackageRow:
    """Makes a package of what a row names, or puts the row aside."""
    from constellation_dagster.packaging.rows import package_from
    from constellation_dagster.packaging.store import PackageStore

    assert row.source_url is not None  # as the database demands of a row that waits
    settings = get_settings()
    context.log.info(f"{row.ref}: packaging {row.source_url}.")
    try:
        built, card = package_from(
            row.source_url,
            card=row.card,
            places=Places(settings.file_roots),
            store=PackageStore.of(settings),
        )
    except PackageError as error:
        raise _rejected(row, error, supabase) from error
    supabase.packages.packaged(row, built.manifest, card=card, measured=built.measured)
    return _row(row.ref, supabase)


def _verified(row: PackageRow, supabase: SupabaseResource) -> tuple[PackageManifest, str]:
    """What is in the store, and where."""
    from constellation_dagster.packaging.store import PackageStore

    if row.digest is None:
        raise dg.Failure(_told(row), allow_retries=False)
    store = PackageStore.of(get_settings())
    try:
        manifest = store.verify(row.digest)
    except PackageError as error:
        # One that was there before may come back; one that never was is not waited for.
        if row.status == PackageStatus.PACKAGED and row.package_url is None:
            raise _rejected(row, error, supabase) from error
        raise dg.Failure(f"{row.ref}: {error}", allow_retries=False) from error
    url = store.url(row.digest)
    supabase.packages.stored_at(row, url)
    return manifest, url


def _rejected(row: PackageRow, error: PackageError, supabase: SupabaseResource) -> dg.Failure:
    supabase.packages.rejected(row, [Problem(code="package_refused", message=str(error))])
    return dg.Failure(f"{row.ref}: {error}", allow_retries=False)


def _told(row: PackageRow) -> str:
    problems = "".join(f"\n- {problem.get('message')}" for problem in row.problems)
    return f"{row.ref} is {row.status}.{problems}"


def _metadata(
    row: PackageRow, manifest: PackageManifest, url: str
) -> Mapping[str, dg.MetadataValue]:
    signature = manifest.signature
    tensors = [("takes", spec) for spec in signature.inputs]
    tensors += [("gives", spec) for spec in signature.outputs]
    metadata: dict[str, dg.MetadataValue] = {
        "digest": dg.MetadataValue.text(manifest.digest),
        "flavor": dg.MetadataValue.text(manifest.flavor),
        "served": dg.MetadataValue.text(
            manifest.onnx or "" if manifest.serve == "onnx" else manifest.artifact
        ),
        "signature": dg.MetadataValue.md(
            _table(
                ("", "name", "type", "shape"),
                [(way, s.name, s.datatype, list(s.shape)) for way, s in tensors],
            )
        ),
        "card": dg.MetadataValue.md((row.card or "")[:CARD_CHARACTERS]),
        "files": dg.MetadataValue.md(
            _table(
                ("file", "bytes", "sha256"),
                [(file.path, file.size, file.sha256) for file in manifest.files],
            )
        ),
        "requirements": dg.MetadataValue.json(list(manifest.requirements)),
        "bytes": dg.MetadataValue.int(sum(file.size for file in manifest.files)),
        "package": dg.MetadataValue.text(row.ref),
        "url": dg.MetadataValue.text(url),
    }
    for name, value in row.measured.items():
        metadata[f"measured/{name}"] = (
            dg.MetadataValue.float(float(value))
            if isinstance(value, int | float)
            else dg.MetadataValue.text(str(value))
        )
    return metadata


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("\\", "\\\\").replace("|", "\\|")

"""`model_images`: a container image for each version of a model, made when one is wanted."""

from typing import Any

import dagster as dg

from constellation_dagster.assets.model_packages import GROUP, PACKAGES, PACKAGES_KEY
from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.packages import parse_package_ref
from constellation_dagster.resources.docker import DockerResource
from constellation_dagster.resources.image_rows import ImageRows
from constellation_dagster.resources.package_rows import PackageRow
from constellation_dagster.resources.supabase import SupabaseResource, service_client
from constellation_dagster.settings import get_settings

IMAGES_KEY = dg.AssetKey("model_images")


@dg.asset(
    key=IMAGES_KEY,
    group_name=GROUP,
    partitions_def=PACKAGES,
    deps=[PACKAGES_KEY],
    kinds={"docker"},
    description="A container image of a package: the server, the model and what both need, and "
    "nothing else. Deployments with `runtime: docker` run it.",
)
def model_images(
    context: dg.AssetExecutionContext, supabase: SupabaseResource, docker: DockerResource
) -> dg.MaterializeResult[Any]:
    """Builds the image of a package, or finds the one that was built of the same."""
    # They bring in pip's world, which few processes need.
    from constellation_dagster.images.build import build_image
    from constellation_dagster.packaging.store import PackageStore

    row = _packaged(context.partition_key, supabase)
    settings = get_settings()
    try:
        with docker.client() as client:
            context.log.info(f"Docker engine {client.version()['Version']}.")
        folder = PackageStore.of(settings).fetch(row.digest or "")
        built = build_image(row.digest or "", row.ref, folder, settings, context.log.info)
        ImageRows(service_client()).imaged(row, built.image, built.digest)
    except ConstellationError as error:
        raise dg.Failure(f"{row.ref}: {error}", allow_retries=False) from error
    context.log.info(f"{row.ref} is image {built.image}.")
    return dg.MaterializeResult(
        metadata={
            "image": built.image,
            "image digest": built.digest,
            "tag": built.tag,
            "MB": round(built.size / 1e6, 1),
            "layers": built.layers,
            "base image": built.base,
            "package digest": row.digest or "",
            "built": not built.reused,
            "seconds": built.seconds,
        },
        data_version=dg.DataVersion(built.digest),
    )


def _packaged(partition: str, supabase: SupabaseResource) -> PackageRow:
    if not supabase.configured:
        raise dg.Failure("No Supabase: run `constellation up` or set SUPABASE_URL.")
    row = supabase.packages.get(*parse_package_ref(partition))
    if row is None:
        raise dg.Failure(f"There is no package {partition!r} any more.", allow_retries=False)
    if row.digest is None:
        raise dg.Failure(
            f"{row.ref} is {row.status}: only what is packaged has an image. See asset "
            f"{PACKAGES_KEY.to_user_string()}.",
            allow_retries=False,
        )
    return row

"""Finds what a pipeline may not read or write before it runs: the run itself refuses it again."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from constellation_dagster.domain.addresses import private_host
from constellation_dagster.domain.config_formats import READ_URL, WRITE_URL, formats
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.facts import PipelineFact
from constellation_dagster.domain.places import REMOTE_SCHEMES, WEB_SCHEMES, Places
from constellation_dagster.domain.registry import Registry


@dataclass(frozen=True)
class RefusedPlace:
    """A place in the configuration of a node that may not be used."""

    node: str
    key: str
    why: BlockFailed
    writes: bool
    """Whether it would be written."""


def refused_places(
    spec: Mapping[str, Any],
    registry: Registry,
    places: Places,
    pipelines: Iterable[PipelineFact] = (),
    said: str | None = None,
) -> Iterator[RefusedPlace]:
    """The places that the blocks of a pipeline would read or write and may not.

    Args:
        spec: The pipeline, as `PipelineCreateSchema` takes it.
        registry: The blocks.
        places: What the person's pipelines may reach.
        pipelines: Those of the person; the addresses in them are known.
        said: The person's own words; None to allow addresses that nobody named.
    """
    known = None if said is None else "\n".join([said, *_configs(pipelines)]).casefold()
    for node in spec["nodes"]:
        block = registry.find(node["block"])
        config = cast("Mapping[str, object]", node.get("config") or {})
        for key, format_ in formats(block).items() if block is not None else ():
            value = config.get(key)
            if format_ not in (READ_URL, WRITE_URL) or not isinstance(value, str):
                continue
            writes = format_ == WRITE_URL
            why = _refusal(value, places, known, writes=writes)
            if why is not None:
                yield RefusedPlace(node["id"], key, why, writes)


def _refusal(url: str, places: Places, known: str | None, *, writes: bool) -> BlockFailed | None:
    try:
        places.locate(url)
    except BlockFailed as error:
        return error
    scheme = url.partition(":")[0]
    if scheme in WEB_SCHEMES:
        try:
            private = private_host(url)
        except ValueError as error:
            return BlockFailed(f"The URL {url!r} cannot be used: {error}.")
        if private is not None:
            return BlockFailed(
                f"The URL {url!r} may not be used: {private!r} is no address of the public "
                "internet.",
                "Put the file into a folder or a bucket that may be used.",
            )
        if writes:
            return BlockFailed(
                f"The URL {url!r} cannot be written: places of the web can only be read.",
                "Write into a folder or a bucket.",
            )
    # A file, a model or a page may have put it there: whose data would go to whom?
    if scheme in REMOTE_SCHEMES and known is not None and url.rstrip("/").casefold() not in known:
        return BlockFailed(
            f"You have not named the address {url!r}, so it is not used.",
            "Write it in a message if it is what you mean.",
        )
    return None


def _configs(pipelines: Iterable[PipelineFact]) -> Iterator[str]:
    for pipeline in pipelines:
        for node in pipeline.spec.get("nodes", ()):
            yield json.dumps(node.get("config"), ensure_ascii=False)

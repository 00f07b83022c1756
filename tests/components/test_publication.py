from typing import Any
from uuid import UUID, uuid4

from constellation_dagster.components.publication import select_publication
from constellation_dagster.resources.pipeline_rows import PipelineVersion
from tests.small_blocks import REGISTRY

OWNER = uuid4()


def version(
    name: str, number: int = 1, *, block: str = "numbers", of: UUID | None = None
) -> PipelineVersion:
    spec: dict[str, Any] = {"name": name, "nodes": [{"id": "a", "block": block}], "edges": []}
    return PipelineVersion(
        pipeline_id=of or uuid4(),
        owner=OWNER,
        name=name,
        version=number,
        status="approved",
        spec=spec,
    )


def test_a_broken_pipeline_is_put_aside_and_the_others_are_published() -> None:
    good, bad = version("good"), version("bad", block="nubmers")
    publication = select_publication([good, bad], REGISTRY, set())
    assert [row.name for row, _ in publication.accepted] == ["good"]
    [(row, problems)] = publication.rejected
    assert row is bad
    assert len(problems) == 1
    assert "Did you mean 'numbers'" in str(problems[0])


def test_an_older_version_goes_on_serving_while_the_newest_is_broken() -> None:
    pipeline = uuid4()
    first = version("p", 1, of=pipeline)
    second = version("p", 2, of=pipeline, block="nope")
    publication = select_publication([second, first], REGISTRY, set())
    assert [row for row, _ in publication.accepted] == [first]
    assert [row for row, _ in publication.rejected] == [second]


def test_the_newest_version_that_compiles_wins() -> None:
    pipeline = uuid4()
    versions = [version("p", number, of=pipeline) for number in (1, 3, 2)]
    publication = select_publication(versions, REGISTRY, set())
    assert [row.version for row, _ in publication.accepted] == [3]
    assert not publication.rejected


def test_a_yaml_pipeline_wins_over_a_row_of_its_name_and_all_problems_are_told() -> None:
    row = version("wine", block="nope")
    publication = select_publication([row], REGISTRY, {"wine"})
    [(_, problems)] = publication.rejected
    assert [problem.code for problem in problems] == ["name_taken", "unknown_block"]


def test_a_row_that_is_no_pipeline_at_all_is_put_aside() -> None:
    row = version("p").model_copy(update={"spec": {"nodes": "x", "nmae": 1}})
    publication = select_publication([row], REGISTRY, set())
    [(_, problems)] = publication.rejected
    assert len(problems) > 1

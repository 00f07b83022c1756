"""Packages on a running stack: rows become partitions, a pipeline's model becomes a version."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from constellation_dagster.assets.model_packages import (
    PACKAGES_KEY,
    model_packages_asset,
    package_is_intact,
)
from constellation_dagster.packaging.store import PackageStore
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.settings import Settings, get_settings
from tests.end_to_end.person import Person, graphql, new_name, wait_for
from tests.packaging.models import bird_model, save_onnx, save_skops
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]

PARTITION = """
query ($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode {
    assetMaterializations { partition metadataEntries {
      label
      ... on TextMetadataEntry { text }
      ... on MarkdownMetadataEntry { mdStr }
    } }
  } }
}
"""


@pytest.fixture
def person(stack: RunningStack) -> Person:
    return Person(stack.person(), stack)


def ask_for(person: Person, source_url: str, **columns: Any) -> dict[str, Any]:
    """Inserts a row as a person does; returns it once the platform has answered."""
    name = new_name("model")
    row = {"name": name, "version": "1", "source_url": source_url, **columns}
    person.client.table("model_packages").insert(row).execute()

    def answered() -> dict[str, Any] | None:
        [found] = person.rows(person.client.table("model_packages").select("*").eq("name", name))
        return None if found["status"] == "registered" else found

    return wait_for(answered, f"answer to {source_url}")


def files(person: Person) -> Path:
    """The folder that people's rows may name."""
    folder = person.stack.home / "files"
    folder.mkdir(exist_ok=True)
    return folder


def materialization(person: Person, ref: str) -> dict[str, Any]:
    """The metadata of a partition, once it is there."""

    def ask() -> dict[str, Any] | None:
        node = graphql(person.stack, PARTITION, key={"path": ["model_packages"]})
        for event in node["assetNodeOrError"]["assetMaterializations"]:
            if event["partition"] == ref:
                return {
                    entry["label"]: entry.get("text") or entry.get("mdStr")
                    for entry in event["metadataEntries"]
                }
        return None

    return wait_for(ask, f"partition {ref}")


def test_a_row_becomes_a_package(person: Person) -> None:
    save_skops(bird_model().estimator, files(person) / "birds.skops")
    row = ask_for(person, "birds.skops", card="# Birds")
    assert row["status"] == "packaged", row["problems"]
    assert row["flavor"] == "sklearn"
    assert row["card"] == "# Birds"
    assert row["measured"]["onnx"] == "agrees"
    assert {tensor["name"] for tensor in row["signature"]["inputs"]} >= {"island", "mass"}
    shown = materialization(person, f"{row['name']}@1")
    assert shown["digest"] == row["digest"]
    assert shown["card"] == "# Birds"
    assert "| takes | island | BYTES |" in shown["signature"]
    assert shown["url"].endswith(row["digest"].removeprefix("sha256:"))
    # Written down when the partition was made.
    [found] = person.rows(
        person.client.table("model_packages").select("package_url").eq("name", row["name"])
    )
    assert found["package_url"] == shown["url"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"not a model", "it is no ONNX file, or a damaged one"),
        (b"\x80\x04\x95.", "is a pickle"),
        (None, "There is no "),
    ],
)
def test_a_row_is_put_aside_with_a_reason(person: Person, content: bytes | None, told: str) -> None:
    name = f"{new_name('m')}.onnx"
    if content is not None:
        (files(person) / name).write_bytes(content)
    row = ask_for(person, name)
    assert row["status"] == "rejected"
    [problem] = row["problems"]
    assert told in problem["message"]
    assert row["digest"] is None


def test_a_row_that_names_files_of_others(person: Person, tmp_path: Path) -> None:
    save_onnx(tmp_path / "secret.onnx")
    row = ask_for(person, str(tmp_path / "secret.onnx"))
    assert row["status"] == "rejected"
    assert "lies outside the folders that may be used here" in row["problems"][0]["message"]


def test_a_pipelines_model_becomes_a_version(person: Person) -> None:
    package, pipeline_name = new_name("birds"), new_name("train")
    pipeline = person.publish(
        pipeline_name,
        {
            "load": ("sample_data", {"name": "penguins"}),
            "clean": ("impute_missing", {}),
            "train": ("train_classifier", {"target": "species"}),
            "register": ("register_model", {"name": package, "alias": "champion"}),
        },
        [
            "load.table > clean.table",
            "clean.table > train.table",
            "train.model > register.model",
        ],
    )
    for _ in range(2):
        run = person.ended(person.ask_for_run(pipeline))
        assert run["status"] == "succeeded", run["error"]
    # The same model again is the same version.
    [row] = person.rows(person.client.table("model_packages").select("*").eq("name", package))
    assert (row["version"], row["status"], row["owner"]) == ("1", "packaged", person.id)
    [alias] = person.rows(person.client.table("model_aliases").select("*").eq("name", package))
    assert (alias["alias"], alias["version"]) == ("champion", "1")
    assert materialization(person, f"{package}@1")["digest"] == row["digest"]
    # Its node is upstream of the packages.
    query = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
        ... on AssetNode { dependencyKeys { path } } } }"""
    node = graphql(person.stack, query, key={"path": ["model_packages"]})
    paths = [key["path"] for key in node["assetNodeOrError"]["dependencyKeys"]]
    assert [pipeline_name, "register"] in paths


@pytest.fixture
def settings(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """This process's settings are those of the stack."""
    monkeypatch.setenv("CONSTELLATION_HOME", str(stack.home))
    get_settings.cache_clear()
    yield get_settings()
    get_settings.cache_clear()


def test_a_damaged_package_fails_its_check(person: Person, settings: Settings) -> None:
    save_onnx(files(person) / "scale.onnx", by=time.time() % 1000)
    row = ask_for(person, "scale.onnx")
    ref = f"{row['name']}@1"
    passed, said = checked(ref)
    assert passed, said
    model = PackageStore.of(settings).fetch(row["digest"]) / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for asked in (ref, None):
        passed, said = checked(asked)
        assert not passed
        assert f"{ref}: The package in" in said
        assert "model.onnx is changed" in said
    model.write_bytes(whole)
    assert checked(ref)[0]


def checked(ref: str | None) -> tuple[bool, str]:
    """What the check says of a package or of all; it runs in this process, on the stack's rows."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [model_packages_asset([]), package_is_intact],
            selection=dg.AssetSelection.checks_for_assets(PACKAGES_KEY),
            tags={"dagster/partition": ref} if ref else None,
            instance=instance,
            resources={"supabase": SupabaseResource()},
        )
        [evaluation] = result.get_asset_check_evaluations()
        return evaluation.passed, evaluation.description or ""

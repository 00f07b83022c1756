"""A model from rows to answers: trained, registered, deployed, asked by a second pipeline."""

from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
import tritonclient.http as triton

from tests.end_to_end.person import Nodes, Person, graphql, new_name, wait_for
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(400)]

LINEAGE = """
query Lineage($path: [String!]!) { assetNodeOrError(assetKey: {path: $path}) { ... on AssetNode {
  dependencyKeys { path } dependedByKeys { path } } } }
"""
TRAINING: Nodes = {
    "load": ("sample_data", {"name": "penguins"}),
    "impute": ("impute_missing", {}),
    "train": ("train_classifier", {"target": "species", "algorithm": "random_forest"}),
    "predict": ("predict", {"probabilities": True}),
}
TRAINING_EDGES = [
    "load.table > impute.table",
    "impute.table > train.table",
    "impute.table > predict.table",
    "train.model > predict.model",
    "train.model > register.model",
]


def deployment(person: Person, name: str) -> dict[str, Any]:
    return person.rows(person.client.table("deployments").select("*").eq("name", name))[0]


def settled(person: Person, name: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        row = deployment(person, name)
        current = row["observed_generation"] == row["generation"]
        return row if current and row["status"] in ("healthy", "failed", "stopped") else None

    return wait_for(ended, f"deployment {name} to settle")


def dependencies(stack: RunningStack, *path: str) -> set[tuple[str, ...]]:
    found = graphql(stack, LINEAGE, path=list(path))["assetNodeOrError"]["dependencyKeys"]
    return {tuple(key["path"]) for key in found}


def stored(stack: RunningStack, pipeline: str, node: str) -> pl.DataFrame:
    return pl.read_parquet(stack.home / "artifacts" / pipeline / node / "table.parquet")


def test_data_become_a_model_an_endpoint_and_predictions(
    person: Person, stack: RunningStack
) -> None:
    model, training, scoring = new_name("model"), new_name("training"), new_name("scoring")
    nodes = {**TRAINING, "register": ("register_model", {"name": model, "alias": "champion"})}
    trained = person.ended(person.ask_for_run(person.publish(training, nodes, TRAINING_EDGES)))
    assert trained["status"] == "succeeded", trained["error"]
    package = person.rows(person.client.table("model_packages").select("*").eq("name", model))[0]
    assert package["status"] == "packaged"

    row = {"name": model, "package": f"{model}@champion", "replicas": 2}
    person.client.table("deployments").insert(row).execute()
    deployed = settled(person, model)
    assert deployed["status"] == "healthy", deployed["error"]
    key = {"apikey": stack.variables["SUPABASE_KEY"]}

    # Clients that we did not write.
    address = deployed["url"].removeprefix("http://")
    client: Any = triton.InferenceServerClient(address)
    assert client.is_server_ready(headers={**key})
    rows = stored(stack, training, "predict")
    inputs: list[Any] = []
    for tensor in client.get_model_metadata(model, headers={**key})["inputs"]:
        dtype = {"BYTES": np.object_, "FP64": np.float64}[tensor["datatype"]]
        values = rows[tensor["name"]].to_numpy().astype(dtype)
        sent: Any = triton.InferInput(tensor["name"], list(values.shape), tensor["datatype"])
        sent.set_data_from_numpy(values)
        inputs.append(sent)
    answer = client.infer(model, inputs, headers={**key})
    answered = [value.decode() for value in answer.as_numpy("prediction").tolist()]
    assert answered == rows["prediction"].to_list()
    client.close()
    features = [
        "island",
        "bill_length_mm",
        "bill_depth_mm",
        "flipper_length_mm",
        "body_mass_g",
        "sex",
        "year",
    ]
    split = {
        "columns": features,
        "data": [list(row) for row in rows.select(features).head(3).rows()],
    }
    invoked = httpx.post(
        f"{deployed['url']}/invocations", json={"dataframe_split": split}, headers={**key}
    )
    assert invoked.status_code == 200, invoked.text

    # The endpoint and the model in the pipeline say the same, row by row.
    score = {"deployment": model, "probabilities": True, "batch_rows": 50}
    pipeline = person.publish(
        scoring,
        {
            "load": ("sample_data", {"name": "penguins"}),
            "impute": ("impute_missing", {}),
            "score": ("infer", score),
            "once": ("ephemeral_infer", {"package": f"{model}@1", "column": "again"}),
        },
        ["load.table > impute.table", "impute.table > score.table", "score.table > once.table"],
    )
    scored = person.ended(person.ask_for_run(pipeline))
    assert scored["status"] == "succeeded", scored["error"]
    frame = stored(stack, scoring, "score")
    assert frame["prediction"].to_list() == rows["prediction"].to_list()
    shares = pl.selectors.starts_with("prediction_")
    assert np.allclose(frame.select(shares).to_numpy(), rows.select(shares).to_numpy(), atol=1e-4)
    assert stored(stack, scoring, "once")["again"].to_list() == rows["prediction"].to_list()
    names = person.rows(person.client.table("deployments").select("name"))
    assert [row["name"] for row in names] == [model]  # the temporary one is gone

    # One graph: data → model → package → image → deployment → predictions.
    assert (training, "register") in dependencies(stack, "model_packages")
    assert dependencies(stack, "deployments") & {("model_packages",), ("model_images",)}
    assert ("deployments",) in dependencies(stack, scoring, "score")
    assert ("model_packages",) in dependencies(stack, scoring, "once")

    # A deployment that a published pipeline asks cannot be deleted.
    person.client.rpc("archive_pipeline", {"pipeline": pipeline}).execute()
    person.client.table("deployments").delete().eq("name", model).execute()
    wait_for(lambda: not stack.status()["replicas"], "the end of the replicas")


def test_what_a_scoring_pipeline_lacks_is_told(person: Person) -> None:
    name = new_name("scoring")
    pipeline = person.publish(
        name,
        {
            "load": ("sample_data", {"name": "wine"}),
            "score": ("infer", {"deployment": "nobodys"}),
            "once": ("ephemeral_infer", {"package": "nobodys@1"}),
        },
        ["load.table > score.table", "load.table > once.table"],
    )
    row = person.ended(person.ask_for_run(pipeline))
    assert row["status"] == "failed"
    assert "There is no deployment 'nobodys'" in row["progress"]["score"]["error"]
    assert "nobodys@1" in row["progress"]["once"]["error"]

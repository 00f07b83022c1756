"""ONNX files: taken as they are, or refused with a reason."""

import os
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from constellation_dagster.domain.packages import PackageError, TensorSpec
from constellation_dagster.packaging.onnx_files import take_onnx
from constellation_dagster.packaging.registration import package_model
from tests.packaging.models import onnx_model, save_external_onnx, save_onnx


def refused(path: Path, folder: Path) -> str:
    with pytest.raises(PackageError) as caught:
        take_onnx(path, folder)
    return str(caught.value)


def saved(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def with_io(path: Path, inputs: list[onnx.ValueInfoProto]) -> Path:
    model = onnx_model()
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return saved(model, path)


def test_its_tensors_are_the_signature(tmp_path: Path, folder: Path) -> None:
    taken = take_onnx(save_onnx(tmp_path / "anything.bin"), folder)
    assert taken.inputs == (TensorSpec(name="x", datatype="FP32", shape=(-1, 3)),)
    assert taken.outputs == (TensorSpec(name="y", datatype="FP32", shape=(-1, 3)),)
    assert taken.facts == {"Format": "ONNX", "Operator sets": "ai.onnx 18", "Made by": "tests"}
    # The bytes are the content: they are kept.
    assert (folder / "model.onnx").read_bytes() == (tmp_path / "anything.bin").read_bytes()


def test_old_files_list_their_weights_as_inputs(tmp_path: Path, folder: Path) -> None:
    model = onnx_model()
    model.graph.input.append(helper.make_tensor_value_info("by", TensorProto.FLOAT, [3]))
    assert [spec.name for spec in take_onnx(saved(model, tmp_path / "m"), folder).inputs] == ["x"]


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/passwd", "a/../../b", "..\\b", ""])
def test_weights_outside_of_the_folder(tmp_path: Path, folder: Path, location: str) -> None:
    (tmp_path / "outside.bin").write_bytes(bytes(12))
    path = save_external_onnx(tmp_path / "model", location)
    said = refused(path, folder)
    assert "the weights 'by' are said to be in" in said
    assert "outside of its folder" in said


def test_weights_behind_links(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "weights.bin").write_bytes(bytes(12))
    path = save_external_onnx(tmp_path / "model", "deep/weights.bin")
    (tmp_path / "model" / "deep" / "weights.bin").unlink()
    (tmp_path / "model" / "deep" / "weights.bin").symlink_to(tmp_path / "secret" / "weights.bin")
    assert "link" in refused(path, folder)
    (tmp_path / "model" / "deep" / "weights.bin").unlink()
    (tmp_path / "model" / "deep").rmdir()
    (tmp_path / "model" / "deep").symlink_to(tmp_path / "secret")
    assert "are a link that leads outside" in refused(path, folder)


def test_weights_that_are_missing_or_cut(tmp_path: Path, folder: Path) -> None:
    path = save_external_onnx(tmp_path / "model")
    (tmp_path / "model" / "weights.bin").write_bytes(bytes(11))
    assert "'weights.bin' has 11 bytes, and its weights end at 12" in refused(path, folder)


def test_weights_that_are_missing(tmp_path: Path, folder: Path) -> None:
    path = save_external_onnx(tmp_path / "model")
    (tmp_path / "model" / "weights.bin").unlink()
    assert "There is no file" in refused(path, folder)


def test_weights_in_the_model_itself(tmp_path: Path, folder: Path) -> None:
    path = save_external_onnx(tmp_path / "model", "scale.onnx")
    path.write_bytes(onnx_model(external="scale.onnx").SerializeToString())
    assert "'scale.onnx', which is another file" in refused(path, folder)


def test_weights_within_branches_are_found(tmp_path: Path, folder: Path) -> None:
    """A tensor may hide in a graph that a node holds."""
    inner = onnx_model(external="../outside.bin").graph
    constant = helper.make_node("Constant", [], ["c"], value=inner.initializer[0])
    branch = helper.make_graph(
        [constant], "b", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [3])]
    )
    node = helper.make_node("If", ["yes"], ["z"], then_branch=branch, else_branch=branch)
    model = onnx_model()
    model.graph.input.append(helper.make_tensor_value_info("yes", TensorProto.BOOL, []))
    model.graph.node.append(node)
    assert "outside of its folder" in refused(saved(model, tmp_path / "m"), folder)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, 120))
def test_truncated_files(tmp_path: Path, cut: int) -> None:
    whole = onnx_model().SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(whole[: len(whole) - min(cut, len(whole) - 1)])
    folder = tmp_path / os.urandom(4).hex()
    folder.mkdir()
    with pytest.raises(PackageError, match="is refused"):
        package_model(path, folder)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 100, b"<html>"])
def test_what_is_no_onnx(tmp_path: Path, folder: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    assert "is no ONNX file, or a damaged one" in refused(tmp_path / "m.onnx", folder)


def test_tensors_that_no_request_can_hold(tmp_path: Path, folder: Path) -> None:
    model = onnx_model()
    model.graph.output.append(
        helper.make_value_info(
            "maps",
            helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None)),
        )
    )
    model.graph.input.append(helper.make_tensor_value_info("b", TensorProto.BFLOAT16, [1]))
    model.graph.input.append(helper.make_tensor_value_info("any", TensorProto.FLOAT, None))
    said = refused(saved(model, tmp_path / "m"), folder)
    # The check of ONNX itself may come first; one way or another it is refused.
    assert "is refused" in said


def test_every_tensor_that_is_wrong_is_named(tmp_path: Path) -> None:
    from constellation_dagster.packaging.onnx_files import tensors

    model = onnx_model()
    sequence = helper.make_sequence_type_proto(
        helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    )
    model.graph.output.append(helper.make_value_info("maps", sequence))
    model.graph.input.append(helper.make_tensor_value_info("b", TensorProto.BFLOAT16, [1]))
    model.graph.input.append(helper.make_tensor_value_info("any", TensorProto.FLOAT, None))
    with pytest.raises(PackageError) as caught:
        tensors(model, "it")
    said = str(caught.value)
    assert "its output 'maps' is a sequence" in said
    assert "'zipmap': False" in said
    assert "its input 'b' is of type BFLOAT16" in said
    assert "its input 'any' has no shape" in said


def test_an_operator_that_nobody_knows(tmp_path: Path, folder: Path) -> None:
    model = onnx_model()
    model.graph.node[0].domain = "example.org"
    model.opset_import.append(helper.make_opsetid("example.org", 1))
    with pytest.raises(PackageError, match="cannot be loaded as ONNX"):
        package_model(saved(model, tmp_path / "m.onnx"), folder)


def test_a_made_up_example_that_a_model_cannot_take(tmp_path: Path, folder: Path) -> None:
    """A model of texts: nothing is no whole number."""
    graph = helper.make_graph(
        [helper.make_node("Cast", ["text"], ["n"], to=TensorProto.INT64)],
        "parse",
        [helper.make_tensor_value_info("text", TensorProto.STRING, ["rows"])],
        [helper.make_tensor_value_info("n", TensorProto.INT64, ["rows"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = saved(model, tmp_path / "m.onnx")
    with pytest.raises(PackageError, match="does not answer an example that was made up") as caught:
        package_model(path, folder)
    assert "Give one that it takes, as JSON" in str(caught.value)
    example = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["7"]}]}
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    built = package_model(path, fresh, example=example)
    assert '"data": [\n     7\n    ]' in (fresh / "example.json").read_text()
    assert built.manifest.flavor == "onnx"


def test_dimensions_that_are_fixed(tmp_path: Path, folder: Path) -> None:
    model = onnx_model()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    built = package_model(saved(model, tmp_path / "m.onnx"), folder)
    assert built.manifest.signature.inputs[0].shape == (2, 3)
    assert not built.manifest.signature.batchable

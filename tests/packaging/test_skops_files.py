"""skops files: trusted types only, and one form of bytes for one content."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation_dagster.domain.packages import PackageError
from constellation_dagster.packaging.registration import package_model
from constellation_dagster.packaging.skops_files import canonical, read_skops, write_skops
from tests.packaging.models import bird_model, regression, save_skops

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10) | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.sets(st.text(max_size=3), max_size=5)
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(VALUES)
def test_content_stays_and_its_form_is_one(value: Any) -> None:
    once = canonical(skops.io.dumps(value))
    assert skops.io.loads(once) == value
    # Dumped again from other addresses, and from what was loaded.
    assert canonical(skops.io.dumps(value)) == once
    assert canonical(skops.io.dumps(skops.io.loads(once))) == once
    assert canonical(once) == once


def test_arrays_of_records_have_no_memory_in_their_gaps() -> None:
    kind = np.dtype({"names": ["a", "b"], "formats": ["u1", "f8"], "offsets": [0, 8]})
    dumps: list[bytes] = []
    for filling in (0, 255):
        array = np.frombuffer(bytes([filling]) * 48, kind).copy()
        array["a"], array["b"] = 1, 2.5
        dumps.append(canonical(skops.io.dumps(array)))
    assert dumps[0] == dumps[1]


def test_equal_arrays_are_stored_once() -> None:
    value = [np.arange(1000.0), np.arange(1000.0)]
    with zipfile.ZipFile(io.BytesIO(canonical(skops.io.dumps(value)))) as archive:
        assert len([name for name in archive.namelist() if name.endswith(".npy")]) == 1
    loaded: Any = skops.io.loads(canonical(skops.io.dumps(value)))
    assert all(np.array_equal(*pair) for pair in zip(loaded, value, strict=True))


def test_types_that_are_not_trusted(tmp_path: Path, folder: Path) -> None:
    """A stack of a person's own class: it would be imported and called."""
    path = save_skops({"estimator": Path("/etc")}, tmp_path / "m.skops")
    with pytest.raises(PackageError, match=r"types that are not trusted: pathlib\.") as caught:
        package_model(path, folder)
    assert "estimators of scikit-learn" in str(caught.value)
    with pytest.raises(PackageError, match="not trusted"):
        write_skops({"estimator": Path("/etc")}, folder / "x", "it")


def test_what_skops_cannot_store(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="skops cannot store it"):
        write_skops({"estimator": (item for item in "abc")}, tmp_path / "x", "it")


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 nothing more",
        b"",
        b"not an archive",
    ],
)
def test_what_is_no_skops_file(tmp_path: Path, folder: Path, content: bytes) -> None:
    (tmp_path / "m.skops").write_bytes(content)
    with pytest.raises(PackageError, match="is refused: it is a damaged archive"):
        package_model(tmp_path / "m.skops", folder)


@pytest.mark.parametrize("schema", ["{", "[]", "{}", '{"protocol": 99}', "[" * 100_000])
def test_archives_that_are_no_model(tmp_path: Path, folder: Path, schema: str) -> None:
    with zipfile.ZipFile(tmp_path / "m.skops", "w") as archive:
        archive.writestr("schema.json", schema)
    with pytest.raises(PackageError, match="it is no skops file, or a damaged one"):
        package_model(tmp_path / "m.skops", folder)


def test_trees_that_lead_outside_of_themselves(tmp_path: Path, folder: Path) -> None:
    """scikit-learn would follow such an index without a check."""
    model = bird_model("random_forest")
    path = save_skops(model.estimator, tmp_path / "m.skops")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    forged = 0
    for name, content in parts.items():
        if name.endswith(".npy"):
            array = np.load(io.BytesIO(content))
            if array.dtype.names and "left_child" in array.dtype.names:
                array["left_child"][0] = 10**6
                buffer = io.BytesIO()
                np.save(buffer, array)
                parts[name] = buffer.getvalue()
                forged += 1
    assert forged
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(PackageError, match="a decision tree leads outside of itself"):
        package_model(path, folder)


def test_a_dict_that_is_no_model(tmp_path: Path, folder: Path) -> None:
    path = save_skops({"estimator": regression()}, tmp_path / "m.skops")
    with pytest.raises(PackageError, match="holds a dict without features, target, task"):
        package_model(path, folder)


def test_a_value_comes_back(tmp_path: Path) -> None:
    write_skops({"a": [1, 2.5, "x"]}, tmp_path / "v.skops", "it")
    assert read_skops(tmp_path / "v.skops", "it") == {"a": [1, 2.5, "x"]}
    with zipfile.ZipFile(tmp_path / "v.skops") as archive:
        assert "__id__" not in json.dumps(json.loads(archive.read("schema.json")))

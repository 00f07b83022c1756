"""skops files: read with care, and written so that the same model has the same bytes.

skops names what it stores after addresses in memory, and keeps sets in the order of the process's
hash seed; numpy keeps what was in memory between the fields of records. Here parts are named after
their content, addresses are left out, sets are sorted and gaps are empty.
"""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np

from constellation_dagster.domain.trees import TREE_TYPE, unsound_trees
from constellation_dagster.packaging.intake import check_archive, refusal

_SCHEMA = "schema.json"
# The first moment that a ZIP file can name.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_TRAIN_AGAIN = "Train it with estimators of scikit-learn alone, or export it as ONNX."


def read_skops(path: Path, what: str) -> object:
    """What a skops file holds, once it is known to hold trusted types only.

    Raises:
        PackageError: It is damaged, too large, or holds types that are not trusted.
    """
    check_archive(path, what)
    return _loaded(path.read_bytes(), what)


def write_skops(value: object, path: Path, what: str) -> None:
    """Writes a value so that equal ones have equal bytes, whatever the process.

    Raises:
        PackageError: It holds what skops cannot store, or what it would not trust afterwards.
    """
    import skops.io

    try:
        data = skops.io.dumps(value)
    # Whatever the value's own methods raise.
    except Exception as error:
        raise refusal(
            what, f"skops cannot store it ({type(error).__name__}: {error}). {_TRAIN_AGAIN}"
        ) from error
    # Once through skops and back, as a model that was stored before has been: what it was made of
    # in memory, such as a tuple of texts that are one object, no longer shows.
    path.write_bytes(canonical(skops.io.dumps(_loaded(data, what))))


def _loaded(data: bytes, what: str) -> object:
    import skops.io

    loaded: object = None
    try:
        untrusted = sorted(set(skops.io.get_untrusted_types(data=data)) - {TREE_TYPE})
        if not untrusted:
            loaded = skops.io.loads(data, trusted=[TREE_TYPE])
    # A damaged or forged file fails in as many ways as there are readers within skops.
    except Exception as error:
        raise refusal(
            what, f"it is no skops file, or a damaged one ({type(error).__name__}: {error})."
        ) from error
    if untrusted:
        raise refusal(
            what,
            f"it holds types that are not trusted: {', '.join(untrusted)}. {_TRAIN_AGAIN}",
        )
    if unsound := unsound_trees(loaded):
        raise refusal(what, f"{unsound}. Train the model again.")
    return loaded


def canonical(data: bytes) -> bytes:
    """A skops file with the same content, in the one form that equal content has."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        parts = {
            name: _settled(archive.read(name)) for name in archive.namelist() if name != _SCHEMA
        }
    names = {
        name: f"{hashlib.sha256(content).hexdigest()[:32]}{Path(name).suffix}"
        for name, content in parts.items()
    }
    _rename(schema, names)
    entries = {names[name]: content for name, content in parts.items()}
    entries[_SCHEMA] = json.dumps(schema, separators=(",", ":"), ensure_ascii=False).encode()
    buffer = io.BytesIO()
    # Not compressed, as skops does it too: zlib's bytes are another version's others.
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, entries[name])
    return buffer.getvalue()


def _settled(part: bytes) -> bytes:
    """An array of records with nothing in the gaps between its fields, where memory was before."""
    if not part.startswith(np.lib.format.MAGIC_PREFIX):
        return part
    array = np.load(io.BytesIO(part), allow_pickle=False)
    if array.dtype.names is None:
        return part
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    buffer = io.BytesIO()
    np.save(buffer, clean, allow_pickle=False)
    return buffer.getvalue()


def _rename(schema: object, names: dict[str, str]) -> None:
    """Drops addresses and renames parts, in place; sets are sorted once what is in them is."""
    order: list[dict[str, Any]] = []
    waiting: list[object] = [schema]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            node = cast("dict[str, Any]", item)
            node.pop("__id__", None)
            if node.get("file") in names:
                node["file"] = names[node["file"]]
            if node.get("__loader__") == "SetNode":
                order.append(node)
            waiting += node.values()
        elif isinstance(item, list):
            waiting += cast("list[object]", item)
    for node in reversed(order):
        node["content"].sort(key=_sorting)


def _sorting(part: object) -> str:
    return json.dumps(part, sort_keys=True)

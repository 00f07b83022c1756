"""Loads a code location as Dagster's code server does, in a fresh process, and says what it took.

    python -m tests.bench.load_location MODULE IMPORTS STARTED

IMPORTS is what MODULE imports before it builds anything, to tell the two apart. STARTED is the
parent's `time.monotonic()`, so that the interpreter's own start counts.
"""

import json
import sys
import time
from importlib import import_module


def main(name: str, imports: str, started: float) -> None:
    """Prints CPU seconds by part, and what came of them, as JSON."""
    from dagster import DagsterInstance
    from dagster._core.remote_representation.external_data import RepositorySnap
    from dagster._core.storage.defs_state.base import set_defs_state_storage
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster._grpc.server import LoadedRepositories
    from dagster._serdes import serialize_value

    import_module(imports)
    imported = time.process_time()
    with (
        DagsterInstance.get() as instance,
        set_defs_state_storage(instance.defs_state_storage),
    ):
        origin = LoadableTargetOrigin(
            executable_path=sys.executable, module_name=name, attribute="defs"
        )
        loaded = LoadedRepositories(origin, None, [sys.executable], None)
        built = time.process_time()
        [repository] = loaded.definitions_by_name.values()
        snapshot = serialize_value(RepositorySnap.from_def(repository, defer_snapshots=True))
    ended = time.process_time()
    compiled = sum(getattr(sys.modules[name], "compile_seconds", []))
    parts = {
        "wall": time.monotonic() - started,
        "cpu": ended,
        "imports": imported,
        "compile": compiled,
        "build": built - imported - compiled,
        "snapshot": ended - built,
        "assets": len(repository.asset_graph.materializable_asset_keys),
        "megabytes": len(snapshot) / 1e6,
    }
    print(json.dumps(parts))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))

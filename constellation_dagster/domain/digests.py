"""One digest for plain data, wherever it is computed."""

import hashlib
import json
from collections.abc import Mapping


def digest_of(data: Mapping[str, object]) -> str:
    """`sha256:` and the hash of plain data as canonical JSON."""
    return f"sha256:{hashlib.sha256(canonical_json(data).encode()).hexdigest()}"


def canonical_json(data: Mapping[str, object]) -> str:
    """Plain data as JSON with sorted keys and no spaces."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

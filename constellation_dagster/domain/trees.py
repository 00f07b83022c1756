"""Whether the decision trees of a model that was read from a file are sound.

scikit-learn follows the indices that a tree stores without checking them, so a forged file could
make it read memory that is not its own. That is why skops does not trust the type; checked so,
it can be.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np

TREE_TYPE = "sklearn.tree._tree.Tree"
"""What skops has to be told to trust; check the loaded model before it is used."""

_LEAF = -1
# Owners pass rows on to their trees without checking the number of columns again.
_TREE_HOLDERS = ("tree_", "estimators_")


def unsound_trees(loaded: object) -> str | None:
    """What is wrong with the decision trees anywhere within a loaded object; None if nothing is."""
    for tree, features in _trees(loaded):
        fault = _fault(tree, features)
        if fault is not None:
            return fault
    return None


def _trees(loaded: object) -> Iterator[tuple[Any, int | None]]:
    """Every tree, with the number of features that its holders take rows of."""
    seen: set[tuple[int, int | None]] = set()
    waiting: list[tuple[Any, int | None]] = [(loaded, None)]
    while waiting:
        item, features = waiting.pop()
        if (id(item), features) in seen:
            continue
        seen.add((id(item), features))
        if _type_name(item) == TREE_TYPE:
            yield item, features
        elif isinstance(item, Mapping):
            mapping = cast("Mapping[object, object]", item)
            waiting += [(part, features) for pair in mapping.items() for part in pair]
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += [(part, features) for part in cast("tuple[object, ...]", tuple(item))]
        elif isinstance(item, np.ndarray):
            if item.dtype.hasobject:
                waiting += [
                    (part, features) for part in cast("list[object]", item.ravel().tolist())
                ]
        else:
            parts: dict[str, Any] = dict(getattr(item, "__dict__", {}))
            if any(name in parts for name in _TREE_HOLDERS):
                taken = int(parts.get("n_features_in_", 0))
                features = taken if features is None else min(features, taken)
            waiting += [(part, features) for part in parts.values()]


def _type_name(item: object) -> str:
    kind = type(item)
    return f"{kind.__module__}.{kind.__qualname__}"


def _fault(tree: Any, features: int | None) -> str | None:
    count = int(tree.node_count)
    left, right, feature = (
        np.asarray(part, dtype=np.int64)
        for part in (tree.children_left, tree.children_right, tree.feature)
    )
    if not (count == len(left) == len(right) == len(feature)) or count == 0:
        return "a decision tree is not as long as it says"
    place = np.arange(count)
    leaf = left == _LEAF
    # Children lie after their parent, so that every walk from the root ends.
    inside = (left > place) & (left < count) & (right > place) & (right < count)
    if not bool(np.all(np.where(leaf, right == _LEAF, inside))):
        return "a decision tree leads outside of itself"
    known = int(tree.n_features) if features is None else min(int(tree.n_features), features)
    if not bool(np.all(leaf | ((feature >= 0) & (feature < known)))):
        return "a decision tree reads features that there are not"
    return None

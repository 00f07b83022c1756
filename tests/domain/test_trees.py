from typing import Any

import numpy as np
import pytest

from constellation_dagster.domain.trees import TREE_TYPE, unsound_trees

ROWS = np.random.default_rng(0).random((60, 3))
LABELS = (ROWS[:, 0] > 0.5).astype(int)


def _fitted(name: str) -> Any:
    from sklearn import ensemble, tree

    classes: dict[str, Any] = {
        "forest": ensemble.RandomForestClassifier(3, random_state=0),
        "boosting": ensemble.GradientBoostingClassifier(n_estimators=3, random_state=0),
        "tree": tree.DecisionTreeClassifier(random_state=0),
        "leaves": tree.DecisionTreeClassifier(max_leaf_nodes=4, random_state=0),
    }
    return classes[name].fit(ROWS, LABELS)


def _first_tree(model: Any) -> Any:
    while not hasattr(model, "tree_"):
        model = np.asarray(model.estimators_, dtype=object).ravel()[0]
    return model.tree_


@pytest.mark.parametrize("name", ["forest", "boosting", "tree", "leaves"])
def test_trees_that_were_fitted_are_sound_also_after_storing(name: str) -> None:
    import skops.io

    stored = skops.io.dumps({"estimator": _fitted(name)})
    assert skops.io.get_untrusted_types(data=stored) == [TREE_TYPE]
    assert unsound_trees(skops.io.loads(stored, trusted=[TREE_TYPE])) is None


@pytest.mark.parametrize("name", ["forest", "boosting", "tree"])
@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("left_child", 10**6, "leads outside"),
        ("right_child", 0, "leads outside"),
        ("left_child", -7, "leads outside"),
        ("feature", 10**6, "features that there are not"),
        ("feature", -2, "features that there are not"),
    ],
)
def test_forged_trees_are_told(name: str, field: str, value: int, fault: str) -> None:
    model = _fitted(name)
    tree = _first_tree(model)
    state = tree.__getstate__()
    state["nodes"][field][0] = value
    tree.__setstate__(state)
    assert fault in (unsound_trees({"steps": [("model", model)]}) or "")


def test_a_holder_that_takes_fewer_features_than_its_trees_read_is_told() -> None:
    model = _fitted("forest")
    model.n_features_in_ = 1
    assert "features that there are not" in (unsound_trees(model) or "")

"""What is true of all pipelines."""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from constellation_dagster.domain.compiler import compile_pipeline
from constellation_dagster.domain.errors import PipelineInvalid
from constellation_dagster.domain.pipeline_yaml import dump_yaml, load_yaml
from constellation_dagster.domain.plan import Plan
from constellation_dagster.domain.schemas import parse_pipeline, pipeline_digest
from tests.domain.example_blocks import EXAMPLES
from tests.domain.pipelines import (
    CORRUPTIONS,
    OF_EDGES,
    OF_NODES,
    OF_THE_WHOLE,
    Content,
    bad_name,
    missing_input,
    pipelines,
    unknown_target,
)

# Corruptions assume much of a pipeline, so many a drawn one is thrown away.
CHECKS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def compiled(content: Content) -> Plan:
    return compile_pipeline(parse_pipeline(content), EXAMPLES)


def codes(content: Content) -> list[str]:
    with pytest.raises(PipelineInvalid) as caught:
        compiled(content)
    return sorted(problem.code for problem in caught.value.problems)


@CHECKS
@given(pipelines(most=25))
def test_any_valid_pipeline_compiles_in_topological_order(content: Content) -> None:
    plan = compiled(content)
    places = {node.id: place for place, node in enumerate(plan.nodes)}
    assert set(places) == {node["id"] for node in content["nodes"]}
    for edge in content["edges"]:
        source, target = (edge[end].rpartition(".") for end in ("source", "target"))
        assert places[source[0]] < places[target[0]]
        inputs = plan.node(target[0]).inputs[target[2]]
        assert edge["source"] in [str(ref) for ref in inputs]
        assert source[0] in plan.node(target[0]).parents
        assert target[0] in plan.node(source[0]).children
    fed = sum(len(refs) for node in plan.nodes for refs in node.inputs.values())
    assert fed == len(content["edges"])


@CHECKS
@given(pipelines(), st.randoms(use_true_random=False))
def test_order_and_digest_do_not_depend_on_how_it_is_listed(content: Content, random: Any) -> None:
    plan = compiled(content)
    other = copy.deepcopy(content)
    random.shuffle(other["nodes"])
    # Edges into one port keep their order among themselves.
    targets = list(dict.fromkeys(edge["target"] for edge in other["edges"]))
    random.shuffle(targets)
    other["edges"] = [
        edge for target in targets for edge in other["edges"] if edge["target"] == target
    ]
    relisted: Content = {key: other[key] for key in reversed(other)}
    relisted |= {"description": "", "tags": {}}
    again = compiled(relisted)
    assert again.digest == plan.digest
    assert [node.id for node in again.nodes] == [node.id for node in plan.nodes]
    assert [node.inputs for node in again.nodes] == [node.inputs for node in plan.nodes]


@CHECKS
@given(pipelines())
def test_yaml_gives_back_what_was_dumped(content: Content) -> None:
    spec = parse_pipeline(content)
    again = load_yaml(dump_yaml(spec))
    assert again == spec
    assert pipeline_digest(again) == pipeline_digest(spec)


@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda corrupt: corrupt.__name__)
def test_any_single_mistake_is_named_exactly(corrupt: Any) -> None:
    @CHECKS
    @given(pipelines(), st.data())
    def check(content: Content, data: st.DataObject) -> None:
        corrupt(data.draw, content)
        assert codes(content) == [CORRUPTIONS[corrupt]]

    check()


@CHECKS
@given(pipelines("a", most=8), pipelines("b", most=8), st.data())
def test_several_mistakes_give_several_messages(
    first: Content, second: Content, data: st.DataObject
) -> None:
    of_graph = sorted({**OF_NODES, **OF_EDGES}, key=lambda corrupt: corrupt.__name__)
    left, right = (data.draw(st.sampled_from(of_graph)) for _ in range(2))
    whole = data.draw(st.sampled_from(sorted(OF_THE_WHOLE, key=lambda corrupt: corrupt.__name__)))
    # An edge to nowhere and an input without an edge are taken for one mistake.
    assume({left, right} != {missing_input, unknown_target})
    # The same wrong name in both is one wrong name.
    assume(left is not right or left not in (bad_name, unknown_target))
    left(data.draw, first)
    right(data.draw, second)
    both: Content = {"name": "p", "nodes": [*first["nodes"], *second["nodes"]],
                     "edges": [*first["edges"], *second["edges"]]}  # fmt: skip
    whole(data.draw, both)
    assert codes(both) == sorted([CORRUPTIONS[left], CORRUPTIONS[right], OF_THE_WHOLE[whole]])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@CHECKS
@given(
    st.dictionaries(st.text(), JSON, max_size=4), st.text(), st.dictionaries(st.text(), st.text())
)
def test_yaml_holds_any_text_and_any_config(config: Any, text: str, tags: Any) -> None:
    content = {"name": text, "description": text, "tags": tags,
               "nodes": [{"id": text, "block": text, "config": config}]}  # fmt: skip
    assume("\\u0000" not in json.dumps(content))
    spec = parse_pipeline(content)
    again = load_yaml(dump_yaml(spec))
    assert again == spec
    assert pipeline_digest(again) == pipeline_digest(spec)


ANYTHING = st.recursive(
    JSON | st.just("nodes") | st.just("edges"),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["name", "nodes", "edges", "id", "block", "config", "source", "target",
                         "schedule", "cron", "tags", "retries", "zzz"]), inner),
    max_leaves=25,
)  # fmt: skip


@CHECKS
@given(ANYTHING)
def test_whatever_is_given_either_compiles_or_tells_problems(content: Any) -> None:
    result: Plan | PipelineInvalid
    try:
        result = compiled(content)
    except PipelineInvalid as error:
        result = error
    assert isinstance(result, Plan) or result.problems

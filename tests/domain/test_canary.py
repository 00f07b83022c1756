"""When a canary is promoted, rolled back, or watched on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation_dagster.domain.canary import (
    ENOUGH_REQUESTS,
    OBSERVATION_SECONDS,
    SAMPLE_ROWS,
    Agreement,
    Traffic,
    Verdict,
    compare,
    judge,
    sample_request,
    worth_judging,
)
from constellation_dagster.domain.packages import Signature, TensorSpec

AGREED = Agreement(64, 64)
INF = float("inf")


def traffic(requests: int, errors: int = 0, ms: float = 10) -> Traffic:
    """All requests take between half as long and this long."""
    return Traffic(
        requests, errors, ((ms / 2000, 0), (ms / 1000, requests), (10.0, requests), (INF, requests))
    )


def judged(
    canary: Traffic,
    champion: Traffic | None = None,
    agreement: Agreement = AGREED,
    seconds: float = 60,
    budget_ms: float | None = None,
) -> Verdict:
    return judge(champion or traffic(2000), canary, agreement, seconds=seconds, budget_ms=budget_ms)


def test_one_that_does_as_well_is_promoted() -> None:
    verdict = judged(traffic(ENOUGH_REQUESTS))
    assert verdict.decision == "promote"
    assert verdict.reason == (
        "0 of the canary's 200 requests failed (champion: 0 of 2000); 1.0% may; "
        "the canary's p99 is 10.0 ms, the champion's 10.0 ms; 19.9 ms may be; "
        "the canary agrees with the champion on 64 of 64 rows; 80% are needed"
    )


def test_too_few_requests_are_waited_for() -> None:
    verdict = judged(traffic(ENOUGH_REQUESTS - 1))
    assert verdict.decision == "wait"
    assert "200 requests are needed" in verdict.reason


@pytest.mark.parametrize(
    ("canary", "agreement", "budget", "reason"),
    [
        (traffic(1000, 30), AGREED, None, "30 of the canary's 1000 requests failed"),
        (traffic(20, 6), AGREED, None, "6 of the canary's 20 requests failed"),
        (
            traffic(1000, ms=200),
            AGREED,
            None,
            "the canary's p99 is 199.0 ms, the champion's 10.0 ms",
        ),
        (traffic(1000), AGREED, 5.0, "the budget 5 ms"),
        (traffic(10), Agreement(64, 40), None, "on 40 of 64 rows"),
        (traffic(10), Agreement(refusal="400: no input 'x'"), None, "no input 'x'"),
    ],
)
def test_what_speaks_against_it_ends_it(
    canary: Traffic, agreement: Agreement, budget: float | None, reason: str
) -> None:
    verdict = judged(canary, agreement=agreement, budget_ms=budget)
    assert verdict.decision == "roll_back"
    assert reason in verdict.reason
    assert "agrees" not in verdict.reason or agreement != AGREED, "only what speaks against it"


def test_errors_that_the_champion_has_too_are_no_fault_of_the_canary() -> None:
    assert judged(traffic(1000, 60), traffic(2000, 100)).decision == "promote"
    assert judged(traffic(1000, 150), traffic(2000, 100)).decision == "roll_back"


def test_a_budget_replaces_the_comparison() -> None:
    assert judged(traffic(1000, ms=200), budget_ms=250).decision == "promote"


def test_a_champion_without_traffic_is_no_measure() -> None:
    verdict = judged(traffic(1000, ms=200), traffic(3))
    assert verdict.decision == "promote"
    assert "too few requests to compare" in verdict.reason


@pytest.mark.parametrize("requests", [0, 12])
def test_after_its_time_what_there_is_must_do(requests: int) -> None:
    verdict = judged(traffic(requests), seconds=OBSERVATION_SECONDS)
    assert verdict.decision == "promote"
    assert f"0 of the canary's {requests} requests failed" in verdict.reason
    assert judged(traffic(12, 1), seconds=OBSERVATION_SECONDS).decision == "roll_back"


@st.composite
def traffics(draw: st.DrawFn) -> Traffic:
    requests = draw(st.integers(0, 1000))
    errors = draw(st.integers(0, requests))
    return traffic(requests, errors, draw(st.sampled_from([1.0, 10.0, 500.0])))


@given(traffics(), traffics(), st.integers(0, 64), st.floats(0, 1000))
def test_what_is_worth_judging_is_decided(
    champion: Traffic, canary: Traffic, same: int, seconds: float
) -> None:
    verdict = judged(canary, champion, Agreement(64, same), seconds)
    if worth_judging(canary, seconds):
        assert verdict.decision != "wait"


def test_counters() -> None:
    before, after = traffic(10, 1), traffic(30, 2)
    assert after.since(before) == Traffic(20, 1, ((0.005, 0), (0.01, 20), (10.0, 20), (INF, 20)))
    assert before.since(after) == before, "they have begun anew"
    assert before.plus(after).requests == 40
    assert Traffic().plus(before) == before


def test_quantiles() -> None:
    found = Traffic(100, 0, ((0.01, 50), (0.1, 90), (INF, 100)))
    assert found.quantile_ms(0.25) == pytest.approx(5)
    assert found.quantile_ms(0.7) == pytest.approx(55)
    assert found.quantile_ms(0.99) == pytest.approx(100), "beyond the last bound nothing is known"
    assert Traffic().quantile_ms(0.5) is None


def tensor(name: str, datatype: str, data: list[Any], *shape: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [*(shape or (len(data),))], "data": data}


def test_labels_decide_where_there_are_any() -> None:
    ours = [tensor("prediction", "BYTES", ["a", "b"]), tensor("p", "FP64", [0.9, 0.1], 2, 1)]
    other = [tensor("prediction", "BYTES", ["a", "c"]), tensor("p", "FP64", [0.2, 0.1], 2, 1)]
    assert compare(ours, other) == Agreement(2, 1)


def test_numbers_may_differ_a_little() -> None:
    ours = [tensor("y", "FP64", [[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]], 3, 2)]
    other = [tensor("y", "FP32", [1.05, 2.1, 3.0, 5.0, 0.0, 0.0], 3, 2)]
    assert compare(ours, other) == Agreement(3, 2)


def test_another_kind_of_answer() -> None:
    ours = [tensor("prediction", "INT64", [1])]
    assert compare(ours, []).refusal == "it has no output 'prediction'"
    assert "another shape" in compare(ours, [tensor("prediction", "INT64", [1, 2])]).refusal


def test_a_sample_is_like_the_example() -> None:
    signature = Signature(
        inputs=(
            TensorSpec(name="kind", datatype="BYTES", shape=(-1,)),
            TensorSpec(name="x", datatype="FP64", shape=(-1, 2)),
        ),
        outputs=(TensorSpec(name="y", datatype="FP64", shape=(-1,)),),
    )
    example = {
        "inputs": [
            tensor("kind", "BYTES", ["a", "b"]),
            tensor("x", "FP64", [[1.0, 10.0], [2.0, 20.0]], 2, 2),
        ]
    }
    sample = sample_request(example, signature)
    assert sample == sample_request(example, signature)
    kind, x = sample["inputs"]
    assert (kind["shape"], x["shape"]) == ([SAMPLE_ROWS], [SAMPLE_ROWS, 2])
    assert set(kind["data"]) == {"a", "b"}
    assert (set(x["data"][::2]), set(x["data"][1::2])) == ({1.0, 2.0}, {10.0, 20.0})
    one = {"inputs": [tensor("kind", "BYTES", ["a"]), tensor("x", "FP64", [1.0, 2.0], 1, 2)]}
    assert sample_request(one, signature) == one

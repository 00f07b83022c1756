"""Whether a canary has proved itself: what is counted, and what is concluded from it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from constellation_dagster.domain.packages import Signature

# Requests after which errors and latency are judged.
ENOUGH_REQUESTS = 200
# With fewer, the champion's latency is no measure.
COMPARABLE_REQUESTS = 50
# After this long, what there is must do.
OBSERVATION_SECONDS = 600.0
# So many errors, and this part of all requests, need no more data.
EARLY_ERRORS, EARLY_RATE = 5, 0.2
TOLERATED_RATE = 0.01
SLOWER_FACTOR, SLOWER_MS = 1.5, 5.0
# A new model may answer differently, but not out of the blue.
LEAST_AGREEMENT = 0.8
NUMBERS_DIFFER = 0.1
SAMPLE_ROWS = 64

Decision: TypeAlias = Literal["promote", "roll_back", "wait"]
Tensor: TypeAlias = Mapping[str, Any]
"""As in the Open Inference Protocol's JSON: name, datatype, shape, data."""


@dataclass(frozen=True)
class Traffic:
    """What the replicas of a pool have counted.

    Attributes:
        requests: How many were answered.
        errors: How many of them with a server error.
        buckets: Pairs of an upper bound in seconds and how many requests stayed below it,
            cumulative, as Prometheus counts them.
    """

    requests: int = 0
    errors: int = 0
    buckets: tuple[tuple[float, int], ...] = ()

    @property
    def error_rate(self) -> float:
        """Errors of all requests, from 0 to 1."""
        return self.errors / self.requests if self.requests else 0.0

    def quantile_ms(self, q: float) -> float | None:
        """The time that a part of the requests stayed below, as far as the buckets tell."""
        if not self.buckets or not self.buckets[-1][1]:
            return None
        rank = q * self.buckets[-1][1]
        low, before = 0.0, 0
        for bound, count in self.buckets:
            if count >= rank:
                if bound == float("inf"):
                    return low * 1000
                part = (rank - before) / (count - before) if count > before else 1.0
                return (low + part * (bound - low)) * 1000
            low, before = bound, count
        return low * 1000

    def plus(self, other: "Traffic") -> "Traffic":
        """Both together."""
        return self._combined(other, 1)

    def since(self, earlier: "Traffic") -> "Traffic":
        """What came after; everything when the counters have begun anew meanwhile."""
        return self if earlier.requests > self.requests else self._combined(earlier, -1)

    def _combined(self, other: "Traffic", sign: int) -> "Traffic":
        buckets = dict(self.buckets)
        for bound, count in other.buckets:
            buckets[bound] = buckets.get(bound, 0) + sign * count
        return Traffic(
            self.requests + sign * other.requests,
            self.errors + sign * other.errors,
            tuple(sorted(buckets.items())),
        )


@dataclass(frozen=True)
class Agreement:
    """How the canary answered requests that the champion has answered.

    Attributes:
        rows: Rows that both have answered.
        same: Rows of these with the same answer.
        refusal: Why the canary did not answer at all.
    """

    rows: int = 0
    same: int = 0
    refusal: str = ""


@dataclass(frozen=True)
class Finding:
    """What one comparison says; `passed` is None while there is not enough to say."""

    passed: bool | None
    reason: str
    figures: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Verdict:
    """What is to become of a canary, and why."""

    decision: Decision
    errors: Finding
    latency: Finding
    agreement: Finding

    @property
    def reason(self) -> str:
        """In words and figures: what speaks against it, or all there is for it."""
        findings = (self.errors, self.latency, self.agreement)
        against = [finding.reason for finding in findings if finding.passed is False]
        return "; ".join(against or [finding.reason for finding in findings])


def worth_judging(canary: Traffic, seconds: float) -> bool:
    """Whether `judge` would decide anything.

    Args:
        canary: What its replicas have counted since it began.
        seconds: How long it has had traffic.
    """
    return (
        canary.requests >= ENOUGH_REQUESTS or seconds >= OBSERVATION_SECONDS or _fails_early(canary)
    )


def judge(
    champion: Traffic,
    canary: Traffic,
    agreement: Agreement,
    *,
    seconds: float,
    budget_ms: float | None,
) -> Verdict:
    """Compares a canary with the champion beside it.

    Args:
        champion: What the champion's replicas have counted since the canary began.
        canary: What the canary's replicas have counted.
        agreement: How it answered a sample.
        seconds: How long it has had traffic.
        budget_ms: What 99 of 100 requests must stay below, if anybody has said.
    """
    late = seconds >= OBSERVATION_SECONDS
    errors = _judge_errors(champion, canary, late=late)
    latency = _judge_latency(champion, canary, budget_ms)
    answers = _judge_agreement(agreement)
    if False in (errors.passed, latency.passed, answers.passed):
        decision: Decision = "roll_back"
    elif late or (errors.passed and latency.passed is not None):
        decision = "promote"
    else:
        decision = "wait"
    return Verdict(decision, errors, latency, answers)


def _fails_early(canary: Traffic) -> bool:
    return canary.errors >= EARLY_ERRORS and canary.error_rate >= EARLY_RATE


def _judge_errors(champion: Traffic, canary: Traffic, *, late: bool) -> Finding:
    figures = {
        "canary_requests": float(canary.requests),
        "canary_errors": float(canary.errors),
        "champion_requests": float(champion.requests),
        "champion_errors": float(champion.errors),
    }
    told = (
        f"{canary.errors} of the canary's {canary.requests} requests failed "
        f"(champion: {champion.errors} of {champion.requests})"
    )
    if _fails_early(canary):
        return Finding(False, told, figures)
    if canary.requests < ENOUGH_REQUESTS and not late:
        return Finding(None, f"{told}; {ENOUGH_REQUESTS} requests are needed", figures)
    limit = max(TOLERATED_RATE, 2 * champion.error_rate)
    return Finding(canary.error_rate <= limit, f"{told}; {limit:.1%} may", figures)


def _judge_latency(champion: Traffic, canary: Traffic, budget_ms: float | None) -> Finding:
    found = canary.quantile_ms(0.99)
    usual = champion.quantile_ms(0.99) if champion.requests >= COMPARABLE_REQUESTS else None
    if canary.requests < ENOUGH_REQUESTS or found is None:
        return Finding(None, f"{canary.requests} requests are too few to tell the latency")
    figures = {"canary_p99_ms": found} | ({"champion_p99_ms": usual} if usual is not None else {})
    if budget_ms is not None:
        told = f"the canary's p99 is {found:.1f} ms, the budget {budget_ms:g} ms"
        return Finding(found <= budget_ms, told, figures | {"limit_ms": budget_ms})
    if usual is None:
        told = f"the canary's p99 is {found:.1f} ms; the champion had too few requests to compare"
        return Finding(True, told, figures)
    limit = SLOWER_FACTOR * usual + SLOWER_MS
    told = f"the canary's p99 is {found:.1f} ms, the champion's {usual:.1f} ms"
    return Finding(found <= limit, f"{told}; {limit:.1f} ms may be", figures | {"limit_ms": limit})


def _judge_agreement(agreement: Agreement) -> Finding:
    if agreement.refusal:
        return Finding(
            False, f"the canary does not answer the champion's sample: {agreement.refusal}"
        )
    if not agreement.rows:
        return Finding(None, "there is no sample that the champion answers")
    part = agreement.same / agreement.rows
    told = f"the canary agrees with the champion on {agreement.same} of {agreement.rows} rows"
    figures = {"rows": float(agreement.rows), "same": float(agreement.same)}
    return Finding(part >= LEAST_AGREEMENT, f"{told}; {LEAST_AGREEMENT:.0%} are needed", figures)


def sample_request(example: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
    """A request of many rows like those of a package's example.

    Each column takes values of that column in the example, in another order, the same ones each
    time. Models whose requests cannot be put together are asked the example itself.
    """
    inputs: Sequence[Tensor] = example["inputs"]
    rows = inputs[0]["shape"][0] if inputs[0]["shape"] else 0
    if not signature.batchable or rows < 2:
        return {"inputs": [dict(tensor) for tensor in inputs]}
    # The same sample for champion and canary, whoever asks when.
    draw = random.Random(0)  # noqa: S311
    made: list[dict[str, Any]] = []
    for tensor in inputs:
        flat = _flat(tensor["data"])
        width = len(flat) // rows
        columns = [draw.choices(flat[column::width], k=SAMPLE_ROWS) for column in range(width)]
        data = [value for row in zip(*columns, strict=True) for value in row]
        made.append({**tensor, "shape": [SAMPLE_ROWS, *tensor["shape"][1:]], "data": data})
    return {"inputs": made}


def compare(champion: Sequence[Tensor], canary: Sequence[Tensor]) -> Agreement:
    """Compares two answers to the same request, row by row.

    Labels and whole numbers have to be the same. Where a model gives only other numbers, they may
    differ by a tenth. (Probabilities beside labels always differ a little.)
    """
    theirs = {tensor["name"]: tensor for tensor in canary}
    exact = [tensor for tensor in champion if not tensor["datatype"].startswith("FP")]
    judged = exact or champion
    missing = [tensor["name"] for tensor in judged if tensor["name"] not in theirs]
    if missing:
        return Agreement(refusal=f"it has no output {', '.join(map(repr, missing))}")
    rows = judged[0]["shape"][0] if judged[0]["shape"] else 1
    same = [True] * rows
    for tensor in judged:
        ours, other = _flat(tensor["data"]), _flat(theirs[tensor["name"]]["data"])
        if len(ours) != len(other):
            return Agreement(refusal=f"its output {tensor['name']!r} has another shape")
        width = len(ours) // rows if rows else 0
        for number in range(rows):
            values = slice(number * width, (number + 1) * width)
            same[number] &= all(map(_alike, ours[values], other[values]))
    return Agreement(rows, sum(same))


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        return abs(one - other) <= NUMBERS_DIFFER * max(abs(one), abs(other))
    return one == other


def _flat(data: Any) -> list[Any]:
    """JSON tensors may be nested or flat."""
    flat: list[Any] = []
    for value in data:
        flat += _flat(value) if isinstance(value, list) else [value]
    return flat

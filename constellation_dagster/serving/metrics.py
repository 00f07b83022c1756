"""What is counted, in Prometheus' text format.

Written out here: its client library takes locks that one thread does not need, and a model's
image would need one package more.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
_PREFIX = "constellation_serving"


class Histogram:
    """Observations in buckets; only their counts and sum are kept."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Adds an observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str, text: str) -> Iterator[str]:
        """As Prometheus reads it."""
        yield from _head(name, text, "histogram")
        total = 0
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._sum!r}"
        yield f"{name}_count {total}"


class Metrics:
    """All that a server counts.

    Attributes:
        requests: How many were answered, by route and status.
        request_seconds: From a request's last byte to its answer, of inference alone.
        model_seconds: Time of the model for a batch.
        batch_rows: Rows of a batch.
    """

    def __init__(self, model: Mapping[str, str]) -> None:
        self._model = model
        self.requests: Counter[tuple[str, int]] = Counter()
        self.request_seconds = Histogram(_SECONDS)
        self.model_seconds = Histogram(_SECONDS)
        self.batch_rows = Histogram(_ROWS)

    def render(self, *, queued: int, in_flight: int, ready: bool) -> bytes:
        """All of it as text, with what is true at this moment."""
        lines = [
            *_head(f"{_PREFIX}_model_info", "The model that is served.", "gauge"),
            f"{_PREFIX}_model_info{{{_labels(self._model)}}} 1",
            *self._request_lines(),
            *self.request_seconds.lines(
                f"{_PREFIX}_request_seconds",
                "From the last byte of an inference request to its answer.",
            ),
            *self.model_seconds.lines(f"{_PREFIX}_model_seconds", "Time of the model for a batch."),
            *self.batch_rows.lines(f"{_PREFIX}_batch_rows", "Rows that were answered together."),
            *_gauge(f"{_PREFIX}_queue_depth", "Requests that wait for the model.", queued),
            *_gauge(f"{_PREFIX}_in_flight", "Requests that are not answered yet.", in_flight),
            *_gauge(f"{_PREFIX}_ready", "1 when it takes requests.", int(ready)),
        ]
        return "\n".join([*lines, ""]).encode()

    def _request_lines(self) -> Iterator[str]:
        name = f"{_PREFIX}_requests_total"
        yield from _head(name, "Requests that were answered.", "counter")
        for (route, status), count in sorted(self.requests.items()):
            yield f"{name}{{{_labels({'route': route, 'code': str(status)})}}} {count}"


def _gauge(name: str, text: str, value: int) -> Iterator[str]:
    yield from _head(name, text, "gauge")
    yield f"{name} {value}"


def _head(name: str, text: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _labels(labels: Mapping[str, str]) -> str:
    def quoted(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return ",".join(f'{name}="{quoted(text)}"' for name, text in labels.items())

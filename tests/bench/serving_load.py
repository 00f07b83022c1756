"""Load from `wrk`, which is compiled and epoll-driven, so that it is not what is measured.

It is in Debian and Ubuntu. It sends the next request of a connection when the last one is
answered (a closed loop), so its percentiles are those of clients that wait for their answers.
"""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """\
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = %s

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n@{"requests": %%d, "seconds": %%f, "p50_ms": %%f, "p99_ms": %%f, "errors": %%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What some clients saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def load(url: str, body: str, clients: int, seconds: int, core: int) -> Load:
    """Has clients ask on one connection each, from one core.

    Args:
        url: What to ask.
        body: What to send, JSON.
        clients: How many connections.
        seconds: For how long.
        core: The core that wrk runs on.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        # A string of JSON without escapes of its own is one of Lua too.
        Path(script.name).write_text(_SCRIPT % json.dumps(body))
        said = subprocess.run(
            [
                "taskset", "-c", str(core), "wrk", "--threads", "1", "--connections", str(clients),
                "--duration", f"{seconds}s", "--timeout", "30s", "--script", script.name, url,
            ],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    line = next(line for line in said.splitlines() if line.startswith("@"))
    return Load(**json.loads(line[1:]))

"""Deployed models, called through the front door as any client would."""

import time
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import orjson
import psycopg
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay

from constellation_dagster.domain.endpoints import EndpointModel, Tensors
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.packages import Signature
from constellation_dagster.domain.suggestions import did_you_mean
from constellation_dagster.resources.person_sql import as_person

# Requests at a time: enough that batches on the server fill, few enough not to crowd others out.
IN_FLIGHT = 8
RETRY_SECONDS = 60.0
REQUEST_SECONDS = 60.0
# A deployment that nobody took away ends by itself.
TEMPORARY_HOURS = 6
HEALTHY_SECONDS = 300.0
_LONGEST_PAUSE = 5.0
_POLL_SECONDS = 0.5
# Said by a full queue, or by the front door while a replica is replaced.
_AGAIN = (429, 502, 503, 504)

_DTYPES: Mapping[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}


class _TryAgain(Exception):
    """The endpoint asks for patience."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(_said(response))
        self.response = response


class EndpointClient:
    """The `Endpoints` of one pipeline."""

    def __init__(self, base_url: str, api_key: str, database_url: str, owner: UUID) -> None:
        """Makes a client.

        Args:
            base_url: Deployments are below it.
            api_key: What the front door asks for.
            database_url: Where the owner's rows are.
            owner: The person whose deployments may be called.
        """
        self._base_url = base_url.rstrip("/")
        self._headers = {"apikey": api_key}
        self._database_url = database_url
        self._owner = owner

    def model(self, deployment: str) -> EndpointModel:
        """See `Endpoints`."""
        self._require_deployment(deployment)
        with self._client() as client:
            told = self._send(client, deployment, "")
        classes = told.get("parameters", {}).get("classes", ())
        tensors = {
            kind: [
                {key: tensor[key] for key in ("name", "datatype", "shape")} for tensor in told[kind]
            ]
            for kind in ("inputs", "outputs")
        }
        return EndpointModel(Signature.model_validate(tensors), tuple(classes))

    def infer(self, deployment: str, inputs: Tensors, *, batch_rows: int) -> Tensors:
        """See `Endpoints`."""
        rows = len(next(iter(inputs.values())))
        starts = range(0, rows, batch_rows)
        with self._client() as client, ThreadPoolExecutor(IN_FLIGHT) as pool:

            def ask(start: int) -> dict[str, Any]:
                part = {name: array[start : start + batch_rows] for name, array in inputs.items()}
                try:
                    return self._send(client, deployment, "/infer", _request(part))
                except BlockFailed as error:
                    last = min(start + batch_rows, rows) - 1
                    raise BlockFailed(
                        f"rows {start} to {last}: {error.message}", error.hint
                    ) from error

            # `map` keeps the order, and ends the rest when one has failed.
            answers = list(pool.map(ask, starts))
        return _joined([_outputs(answer) for answer in answers])

    @contextmanager
    def temporary(self, package: str, *, replicas: int) -> Generator[str]:
        """See `Endpoints`."""
        name = f"temporary_{uuid4().hex[:12]}"
        with _refusals(), self._as_owner() as connection:
            connection.execute(
                "insert into deployments (name, package, replicas, expires_at) "
                "values (%s, %s, %s, now() + make_interval(hours => %s))",
                (name, package, replicas, TEMPORARY_HOURS),
            )
        try:
            self._wait_until_healthy(name)
            yield name
        finally:
            with self._as_owner() as connection:
                connection.execute("delete from deployments where name = %s", (name,))

    def _wait_until_healthy(self, name: str) -> None:
        deadline = time.monotonic() + HEALTHY_SECONDS
        while True:
            with self._as_owner() as connection:
                row = connection.execute(
                    "select status, error ->> 'message' from deployments where name = %s", (name,)
                ).fetchone()
            status, error = row or ("deleted", None)
            if status == "healthy":
                return
            if status in ("failed", "stopped", "deleted"):
                raise BlockFailed(
                    f"The temporary deployment is {status}: {error or 'no reason given'}"
                )
            if time.monotonic() > deadline:
                raise BlockFailed(
                    f"The temporary deployment is still {status} after {HEALTHY_SECONDS:.0f} s.",
                    "See asset `deployments` in the Dagster UI.",
                )
            time.sleep(_POLL_SECONDS)

    def _require_deployment(self, deployment: str) -> None:
        with self._as_owner() as connection:
            rows = connection.execute("select name, status from deployments order by name")
            known: dict[str, str] = dict(rows.fetchall())
        if deployment not in known:
            raise BlockFailed(
                f"There is no deployment {deployment!r} of the pipeline's owner.",
                did_you_mean(deployment, known, there_are="The deployments are")
                or "Deploy a model first: `constellation deploy NAME@VERSION --name …`.",
            )
        if known[deployment] == "stopped":
            raise BlockFailed(
                f"Deployment {deployment!r} is stopped.",
                f"Start it: `constellation deployment start {deployment}`.",
            )

    def _as_owner(self) -> AbstractContextManager[psycopg.Connection]:
        return as_person(self._database_url, self._owner)

    def _client(self) -> httpx.Client:
        limits = httpx.Limits(max_connections=IN_FLIGHT)
        return httpx.Client(headers=self._headers, timeout=REQUEST_SECONDS, limits=limits)

    def _send(
        self, client: httpx.Client, deployment: str, path: str, body: bytes | None = None
    ) -> dict[str, Any]:
        """One request, again while the endpoint cannot answer: inference changes nothing."""
        url = f"{self._base_url}/{deployment}/v2/models/{deployment}{path}"

        def once() -> httpx.Response:
            response = client.post(url, content=body) if body else client.get(url)
            if response.status_code in _AGAIN:
                raise _TryAgain(response)
            return response

        attempts = Retrying(
            retry=retry_if_exception(lambda e: isinstance(e, _TryAgain | httpx.TransportError)),
            stop=stop_after_delay(RETRY_SECONDS),
            wait=_pause,
            reraise=True,
        )
        try:
            response = attempts(once)
        except _TryAgain as error:
            raise BlockFailed(
                f"Deployment {deployment!r} does not answer: {error}",
                f"See `constellation deployment status {deployment}`.",
            ) from error
        except httpx.TransportError as error:
            raise BlockFailed(
                f"The front door at {self._base_url} does not answer ({type(error).__name__}).",
                "See `constellation status`.",
            ) from error
        if response.is_error:
            raise BlockFailed(f"Deployment {deployment!r} refuses: {_said(response)}")
        return orjson.loads(response.content)


def _pause(state: RetryCallState) -> float:
    """As long as the endpoint asks for, else doubling from 0.1 s."""
    outcome = state.outcome
    error = outcome.exception() if outcome else None
    asked = error.response.headers.get("retry-after", "") if isinstance(error, _TryAgain) else ""
    seconds = float(asked) if asked.isdigit() else 0.1 * 2 ** (state.attempt_number - 1)
    return min(seconds, _LONGEST_PAUSE)


def _said(response: httpx.Response) -> str:
    otherwise = f"{response.status_code} {response.reason_phrase}"
    try:
        told: Any = orjson.loads(response.content)
        # The server says `error`, the front door `message`.
        return str(told.get("error") or told.get("message") or otherwise)
    except (orjson.JSONDecodeError, AttributeError):
        return otherwise


def _request(inputs: Tensors) -> bytes:
    tensors = [
        {
            "name": name,
            "datatype": _datatype(array),
            "shape": array.shape,
            "data": array.ravel().tolist() if array.dtype == np.object_ else array.ravel(),
        }
        for name, array in inputs.items()
    ]
    return orjson.dumps({"inputs": tensors}, option=orjson.OPT_SERIALIZE_NUMPY)


def _datatype(array: np.ndarray[Any, Any]) -> str:
    return next(name for name, dtype in _DTYPES.items() if array.dtype == dtype)


def _outputs(answer: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    return {
        tensor["name"]: np.array(tensor["data"], dtype=_DTYPES[tensor["datatype"]]).reshape(
            tensor["shape"]
        )
        for tensor in answer["outputs"]
    }


def _joined(parts: list[dict[str, np.ndarray[Any, Any]]]) -> dict[str, np.ndarray[Any, Any]]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@contextmanager
def _refusals() -> Generator[None]:
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        raise BlockFailed(
            f"{error.diag.message_primary or error}.", error.diag.message_hint
        ) from error

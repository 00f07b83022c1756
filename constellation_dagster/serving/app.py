"""What the server answers on which path."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import orjson

from constellation_dagster.serving.batching import Answer, Batcher, TooBusy, TookTooLong, Waiting
from constellation_dagster.serving.errors import RequestRefused
from constellation_dagster.serving.http import HttpServer
from constellation_dagster.serving.http_request import JSON, Limits, Request
from constellation_dagster.serving.invocations import Invocations
from constellation_dagster.serving.manifest import Manifest
from constellation_dagster.serving.metrics import CONTENT_TYPE, Metrics
from constellation_dagster.serving.openapi import openapi
from constellation_dagster.serving.protocol import Codec, InferRequest
from constellation_dagster.serving.requirements import SERVER_VERSION

_log = logging.getLogger(__name__)

_OCTETS = b"application/octet-stream"
_PLAIN = b"text/plain; charset=utf-8"
_PLATFORMS = {
    "onnx": "onnxruntime_onnx",
    "sklearn": "sklearn_skops",
    "mlflow": "mlflow_pyfunc",
    "python": "python_class",
}
_RETRY_AFTER = b"retry-after: 1\r\n"
_ID_BYTES = 128


@dataclass(frozen=True)
class ServedModel:
    """What the server serves, and under which name."""

    name: str
    version: str
    manifest: Manifest


class App:
    """Answers requests.

    Args:
        model: What is served.
        batcher: What asks the model.
        metrics: What is counted.
        limits: What clients may ask.
    """

    def __init__(
        self, model: ServedModel, batcher: Batcher, metrics: Metrics, limits: Limits
    ) -> None:
        self.http = HttpServer(self.handle, limits)
        self._model = model
        self._batcher = batcher
        self._metrics = metrics
        signature = model.manifest.signature
        self._codec = Codec(signature, model.name, model.version)
        self._invocations = Invocations(signature)
        self._id_begin = os.urandom(6).hex().encode()
        self._numbers = count(1)
        gets: dict[str, Callable[[Request], None]] = {
            "/v2": self._about,
            "/v2/health/live": lambda request: self._say(request, {"live": True}),
            "/v2/health/ready": self._ready,
            "/metrics": self._render_metrics,
            "/openapi.json": self._openapi,
            "/ping": self._ready,
            "/health": self._ready,
            "/version": lambda request: self._done(request, 200, SERVER_VERSION.encode(), _PLAIN),
        }
        posts: dict[str, Callable[[Request], None]] = {"/invocations": self._invoke}
        base = f"/v2/models/{model.name}"
        for path in (base, f"{base}/versions/{model.version}"):
            gets[path] = self._about_model
            gets[f"{path}/ready"] = self._ready
            posts[f"{path}/infer"] = self._infer
        self._gets = {path.encode(): act for path, act in gets.items()}
        self._posts = {path.encode(): act for path, act in posts.items()}
        # What requests are counted as: paths that clients make up would be without end.
        self._routes = {path.encode(): path for path in (*gets, *posts)}

    def handle(self, request: Request) -> None:
        """Answers a request, at once or when the model has."""
        request.id = self._id(request)
        if request.refusal is not None:
            self._refuse(request, *request.refusal)
            return
        if request.method == b"POST":
            act = self._posts.get(request.path)
        elif request.method in (b"GET", b"HEAD"):
            act = self._gets.get(request.path)
        else:
            act = None
        if act is None:
            self._refuse_path(request)
            return
        try:
            if b"content-encoding" in request.headers:
                raise RequestRefused(415, ["Content-Encoding: send the body as it is"])  # noqa: TRY301
            act(request)
        except RequestRefused as refused:
            self._refuse(request, refused.status, str(refused))
        except TooBusy:
            waiting = self._batcher.waiting
            self._refuse(request, 429, f"{waiting} requests wait already", headers=_RETRY_AFTER)
        # A mistake of this server: the client is told that much, and the log all of it.
        except Exception:  # noqa: BLE001
            self._mistake(request)

    # Inference.

    def _infer(self, request: Request) -> None:
        self._ask(request, self._codec.decode(request.body, _json_length(request)), self._inference)

    def _invoke(self, request: Request) -> None:
        kind = request.headers.get(b"content-type", b"")
        self._ask(request, self._invocations.decode(request.body, kind), self._invocation)

    def _ask(
        self,
        request: Request,
        asked: InferRequest,
        encode: Callable[[Request, InferRequest, Mapping[str, Any]], None],
    ) -> None:
        waiting = Waiting(asked.inputs, asked.rows, partial(self._answered, request, asked, encode))
        request.cancel = waiting.close
        self._batcher.submit(waiting)

    def _answered(
        self,
        request: Request,
        asked: InferRequest,
        encode: Callable[[Request, InferRequest, Mapping[str, Any]], None],
        answer: Answer,
    ) -> None:
        self._metrics.request_seconds.observe(time.monotonic() - request.began)
        try:
            if isinstance(answer, BaseException):
                self._failed(request, answer)
            else:
                encode(request, asked, answer)
        except RequestRefused as refused:
            self._refuse(request, refused.status, str(refused))
        # Others of the same batch wait for their answers.
        except Exception:  # noqa: BLE001
            self._mistake(request)

    def _failed(self, request: Request, error: BaseException) -> None:
        if isinstance(error, TookTooLong):
            self._refuse(request, 504, "the model did not answer in time")
            return
        _log.error("%s: the model failed", _told(request), exc_info=error)
        self._refuse(request, 500, f"the model failed: {type(error).__name__}: {error}")

    def _inference(self, request: Request, asked: InferRequest, outputs: Mapping[str, Any]) -> None:
        body, json_length = self._codec.encode(asked, outputs)
        if json_length is None:
            self._done(request, 200, body)
        else:
            header = b"inference-header-content-length: %d\r\n" % json_length
            self._done(request, 200, body, _OCTETS, header)

    def _invocation(
        self, request: Request, asked: InferRequest, outputs: Mapping[str, Any]
    ) -> None:
        self._done(request, 200, self._invocations.encode(outputs))

    # What is said about server and model.

    def _about(self, request: Request) -> None:
        self._say(
            request,
            {
                "name": "constellation",
                "version": SERVER_VERSION,
                "extensions": ["binary_tensor_data"],
            },
        )

    def _about_model(self, request: Request) -> None:
        model, manifest = self._model, self._model.manifest
        flavor = "onnx" if manifest.serve == "onnx" else manifest.flavor
        self._say(
            request,
            {
                "name": model.name,
                "versions": [model.version],
                "platform": _PLATFORMS[flavor],
                "inputs": manifest.signature.inputs,
                "outputs": manifest.signature.outputs,
                "parameters": {"digest": manifest.digest, "classes": manifest.classes},
            },
        )

    def _ready(self, request: Request) -> None:
        problem = self._problem()
        about = {"name": self._model.name, "ready": problem is None}
        if problem is not None:
            about["error"] = problem
        self._say(request, about, 200 if problem is None else 503)

    def _problem(self) -> str | None:
        """Why it takes no requests; None when it does."""
        if self.http.draining:
            return "the server is about to end"
        if seconds := self._batcher.stuck_seconds():
            return f"the model has been busy with one batch for {seconds:.0f} s"
        return None

    def _render_metrics(self, request: Request) -> None:
        body = self._metrics.render(
            queued=self._batcher.waiting,
            # But for this request itself.
            in_flight=self.http.in_flight - 1,
            ready=self._problem() is None,
        )
        self._done(request, 200, body, CONTENT_TYPE.encode())

    def _openapi(self, request: Request) -> None:
        model = self._model
        self._say(request, openapi(model.name, model.version, model.manifest.signature))

    # Answers.

    def _say(self, request: Request, content: Mapping[str, Any], status: int = 200) -> None:
        self._done(request, status, orjson.dumps(content))

    def _refuse_path(self, request: Request) -> None:
        path = request.path
        allowed = [
            method
            for method, paths in (("GET", self._gets), ("POST", self._posts))
            if path in paths
        ]
        if allowed:
            header = f"allow: {', '.join(allowed)}\r\n".encode()
            told = f"{_text(request.method)} is not allowed here: {', '.join(allowed)} is"
            self._refuse(request, 405, told, headers=header)
        else:
            self._refuse(request, 404, self._unknown(_text(path)))

    def _unknown(self, path: str) -> str:
        model = self._model
        parts = path.split("/")
        if parts[:3] != ["", "v2", "models"] or len(parts) < 4:
            return f"there is nothing at {path!r}: see /openapi.json"
        if parts[3] != model.name:
            return f"there is no model {parts[3]!r}: this server has {model.name!r}"
        if parts[4:5] == ["versions"] and parts[5:6] != [model.version]:
            return f"there is no such version of {model.name!r}: this server has {model.version!r}"
        return f"there is nothing at {path!r}: see /openapi.json"

    def _refuse(self, request: Request, status: int, why: str, headers: bytes = b"") -> None:
        level = logging.INFO if status < 500 else logging.ERROR
        # A model's message may hold what is no text.
        why = why.encode(errors="backslashreplace").decode()
        _log.log(level, "%s: %d %s", _told(request), status, why)
        self._done(request, status, orjson.dumps({"error": why}), JSON, headers)

    def _mistake(self, request: Request) -> None:
        _log.exception("%s: the server made a mistake", _told(request))
        self._refuse(request, 500, "the server made a mistake; its log says more")

    def _done(
        self,
        request: Request,
        status: int,
        body: bytes,
        content_type: bytes = JSON,
        headers: bytes = b"",
    ) -> None:
        self._metrics.requests[self._routes.get(request.path, "other"), status] += 1
        request.answer(
            status, body, content_type, b"%bx-request-id: %b\r\n" % (headers, request.id)
        )

    def _id(self, request: Request) -> bytes:
        given = request.headers.get(b"x-request-id")
        if given and len(given) <= _ID_BYTES and given.isascii():
            return given
        return b"%b-%d" % (self._id_begin, next(self._numbers))


def _json_length(request: Request) -> int | None:
    given = request.headers.get(b"inference-header-content-length")
    if given is None:
        return None
    if not given.isdigit() or len(given) > 18:
        raise RequestRefused(400, ["Inference-Header-Content-Length is not a number of bytes"])
    return int(given)


def _text(part: bytes) -> str:
    return part.decode(errors="replace")


def _told(request: Request) -> str:
    """A request in the log: what, its id, and how long ago it came."""
    seconds = time.monotonic() - request.began
    return (
        f"{_text(request.method)} {_text(request.path[:200])!r} id={_text(request.id)} "
        f"{seconds * 1000:.1f} ms"
    )

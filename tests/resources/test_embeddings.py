"""Embeddings of the model that is shipped, and of a service."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from constellation_dagster.resources.embeddings import (
    BATCH,
    DIMENSIONS,
    EmbeddingsError,
    EmbeddingSettings,
    LocalEmbedder,
    ServiceEmbedder,
)


def test_vectors_have_length_1_and_do_not_depend_on_their_batch() -> None:
    texts = [f"sentence number {number} " + "long " * number for number in range(BATCH + 2)]
    together = np.array(LocalEmbedder().embed(texts))
    alone = np.array([LocalEmbedder().embed([text])[0] for text in texts[-3:]])
    assert together.shape == (BATCH + 2, DIMENSIONS)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    # The model's weights are rounded by batch.
    assert (together[-3:] * alone).sum(axis=1).min() > 0.98


def test_what_means_the_same_is_near() -> None:
    a, b, c = np.array(
        LocalEmbedder().embed(
            ["Rows without gaps", "drop incomplete records", "Draw a chart of the sales"]
        )
    )
    assert a @ b > a @ c + 0.1


@pytest.mark.parametrize("text", ["", " ", "日本語 Größe ", "a" * 5000, "word " * 5000, "\x00"])
def test_any_text_has_a_vector(text: str) -> None:
    (vector,) = LocalEmbedder().embed([text])
    assert len(vector) == DIMENSIONS
    assert np.isfinite(vector).all()


def test_no_texts_have_no_vectors() -> None:
    assert LocalEmbedder().embed([]) == []


@contextmanager
def service(status: int, answer: dict[str, Any]) -> Generator[tuple[str, list[dict[str, Any]]]]:
    """An HTTP server that answers everything alike, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", asked
        finally:
            server.shutdown()
            thread.join()


def vectors(*lengths: int) -> dict[str, Any]:
    """An answer whose vectors come in the wrong order."""
    data = [
        {"object": "embedding", "index": number, "embedding": [float(number)] * length}
        for number, length in enumerate(lengths)
    ]
    return {"object": "list", "model": "m", "data": data[::-1], "usage": {}}


def test_a_service_is_asked_for_vectors_that_fit() -> None:
    with service(200, vectors(DIMENSIONS, DIMENSIONS)) as (url, asked):
        found = ServiceEmbedder("m", url, "key").embed(["a", "b"])
    assert [vector[0] for vector in found] == [0.0, 1.0]
    assert asked[0]["dimensions"] == DIMENSIONS
    assert asked[0]["input"] == ["a", "b"]


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (200, vectors(3), "1 vectors of 3 numbers for 1 texts; 384 numbers"),
        (200, vectors(), "0 vectors of 384 numbers for 1 texts"),
        (401, {"error": {"message": "no such key"}}, "Check CONSTELLATION_EMBEDDINGS_MODEL"),
    ],
)
def test_a_service_that_gives_nothing_of_use_is_told(
    status: int, answer: dict[str, Any], told: str
) -> None:
    with (
        service(status, answer) as (url, _),
        pytest.raises(EmbeddingsError, match=told),
    ):
        ServiceEmbedder("m", url, "key").embed(["a"])


def test_the_environment_names_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSTELLATION_EMBEDDINGS_MODEL", "text-embedding-3-small")
    monkeypatch.setenv("CONSTELLATION_EMBEDDINGS_BASE_URL", "")
    settings = EmbeddingSettings()
    assert (settings.model, settings.base_url) == ("text-embedding-3-small", None)

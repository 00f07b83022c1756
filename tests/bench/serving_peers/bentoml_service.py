# type: ignore - what it imports is installed for the bench alone
"""A BentoML service around ONNX Runtime, with adaptive batching."""

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1)
class Iris:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options)

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.session.run(None, {"x": rows.astype(np.float32)})[1]

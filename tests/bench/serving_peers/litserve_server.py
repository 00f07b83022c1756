# type: ignore - what it imports is installed for the bench alone
"""A LitServe server around ONNX Runtime, with batching."""

import os
import sys

import litserve
import numpy as np
import onnxruntime


class Iris(litserve.LitAPI):
    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options)

    def decode_request(self, request: dict) -> np.ndarray:
        row = np.array(request["row"], np.float32)
        if row.shape != (4,):
            raise ValueError("row has not four numbers")
        return row

    def batch(self, inputs: list) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, rows: np.ndarray) -> list:
        return self.session.run(None, {"x": rows})

    def unbatch(self, output: list) -> list:
        return list(zip(*output, strict=True))

    def encode_response(self, output: tuple) -> dict:
        return {"prediction": int(output[0]), "probabilities": output[1].tolist()}


if __name__ == "__main__":
    api = Iris(max_batch_size=64, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=30)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False,
               num_api_servers=1, log_level="warning")  # fmt: skip

# type: ignore - what it imports is installed for the bench alone
"""A plain FastAPI app around ONNX Runtime, as its documentation would have one write it."""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel, Field

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options)
app = FastAPI()


class Row(BaseModel):
    row: list[float] = Field(min_length=4, max_length=4)


class Prediction(BaseModel):
    prediction: int
    probabilities: list[float]


@app.post("/predict")
async def predict(asked: Row) -> Prediction:
    label, shares = session.run(None, {"x": np.array([asked.row], np.float32)})
    return Prediction(prediction=int(label[0]), probabilities=shares[0].tolist())

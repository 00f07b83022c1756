# type: ignore - what it imports is installed for the bench alone
"""The bench's model as MLflow stores it; run by the peers' Python.

`models.py MODEL.onnx FOLDER` writes `FOLDER/onnx` and `FOLDER/sklearn`.
"""

import sys
from pathlib import Path

import mlflow.onnx
import mlflow.sklearn
import numpy as np
import onnx
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

source, folder = map(Path, sys.argv[1:])
data = load_iris()
rows = data.data.astype(np.float32)
# As tests/serving/packages.py fits it.
estimator = LogisticRegression(max_iter=1000).fit(rows, data.target)
signature = infer_signature(rows[:1], estimator.predict(rows[:1]))
mlflow.sklearn.save_model(
    estimator, folder / "sklearn", signature=signature, pip_requirements=[],
    serialization_format="cloudpickle",
)  # fmt: skip
mlflow.onnx.save_model(
    onnx.load(source), folder / "onnx", pip_requirements=[],
    signature=infer_signature({"x": rows[:1]}, {"prediction": np.array([0])}),
)  # fmt: skip

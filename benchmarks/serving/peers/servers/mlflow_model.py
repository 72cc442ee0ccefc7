"""The model of peers/mlflow.py as code that MLflow loads; run as a script, it saves itself to a folder."""

import sys
from pathlib import Path

import mlflow
import numpy as np


class Both(mlflow.pyfunc.PythonModel):
    """Chooses the graph by the number of columns."""

    def load_context(self, context):
        from onnx_model import Model

        self.models = {30: Model("logistic"), 784: Model("mlp")}

    def predict(self, context, model_input, params=None):
        rows = np.asarray(model_input)
        model = self.models[rows.shape[1]]
        return model.run(rows.astype(model.dtype, copy=False))


if __name__ == "__main__":
    mlflow.pyfunc.save_model(sys.argv[1], python_model=str(Path(__file__)), pip_requirements=["mlflow"])
else:
    mlflow.models.set_model(Both())

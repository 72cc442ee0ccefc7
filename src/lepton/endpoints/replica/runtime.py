"""The model in memory: an onnxruntime session over the decrypted graph, never written to disk in the clear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from lepton.core.errors import Internal
from lepton.endpoints.replica.config import ReplicaConfig
from lepton.store.segments import open_segments

Arrays = dict[str, npt.NDArray[np.generic]]


class Runtime:
    """Runs one model graph on one thread."""

    def __init__(self, config: ReplicaConfig) -> None:
        with open_segments(Path(config.blob_path), bytes.fromhex(config.key), config.blob_id) as stream:
            graph = stream.read()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # its warnings may name values
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self._session.get_outputs()]

    def predict(self, inputs: Arrays) -> Arrays:
        """Run the graph on columns of one length.

        Raises:
            Internal: if the graph refuses; its own text may quote values and is dropped.
        """
        try:
            answers = self._session.run(self.outputs, inputs)
        except Exception as error:  # noqa: BLE001 - onnxruntime has no common error class
            raise Internal(f"The model could not answer ({type(error).__name__}).") from None
        return dict(zip(self.outputs, answers, strict=True))

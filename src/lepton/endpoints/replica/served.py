"""One deployment inside a worker: its model, its queue, its counts, and how each protocol's requests become rows.

How requests come in over HTTP is in ``app.py``, over gRPC in ``grpc.py``; both submit `Call`s here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from lepton.core.errors import LeptonError
from lepton.endpoints.replica.arrow import Arrow
from lepton.endpoints.replica.batcher import Batcher
from lepton.endpoints.replica.config import Deployment
from lepton.endpoints.replica.inputs import Inputs, Shape
from lepton.endpoints.replica.invocations import Invocations
from lepton.endpoints.replica.live import Live
from lepton.endpoints.replica.metrics import Counts
from lepton.endpoints.replica.oip import Oip
from lepton.endpoints.replica.outputs import Outputs
from lepton.endpoints.replica.records import Records
from lepton.endpoints.replica.runtime import load
from lepton.endpoints.replica.samples import Samples
from lepton.endpoints.windows import Reference
from lepton.models.signature import Signature

Answer = Callable[[Outputs, int, int], None]
Refusal = Callable[[LeptonError], None]


class Call:
    """One request that waits for its prediction.

    Args:
        inputs: Its rows.
        answer: Called with a batch's outputs, and the first and the end of this request's rows among them.
        refuse: Called with the reason instead.
        timeout_s: How long somebody waits for the answer, None if that is not known.
    """

    __slots__ = ("deadline", "done", "fail", "inputs")

    def __init__(self, inputs: Inputs, answer: Answer, refuse: Refusal, *, timeout_s: float | None = None) -> None:
        self.inputs = inputs
        self.done = answer
        self.fail = refuse
        self.deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s


class Served:
    """A deployment that is ready to answer. Made inside a running event loop.

    Raises:
        LeptonError: if the model cannot be loaded.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.endpoint = deployment.endpoint
        self.model = deployment.model
        self.version = deployment.model.rpartition("@")[2]
        self.signature = signature = Signature.from_json(deployment.signature.encode())
        shape = Shape(signature)
        self.weight = deployment.weight
        self.is_shadow = deployment.is_shadow
        self.counts = Counts()
        self.runtime = load(deployment, signature)
        self.batcher = Batcher(self.runtime, shape, observe=self.counts.predicted)
        if signature.inputs:  # a server behind the endpoint takes no rows
            self.batcher.warm_up()
        self.live = Live(Reference.from_json(deployment.reference.encode())) if deployment.reference else None
        self.samples = Samples(signature, deployment.log_one_in)
        self.is_observed = self.live is not None or deployment.log_one_in > 0
        self.records = Records(shape, endpoint=self.endpoint, model=self.model)
        self.oip = Oip(shape, endpoint=self.endpoint, version=self.version)
        self.invocations = Invocations(shape)
        self.arrow = Arrow(shape)

    def observed(self, inputs: Inputs, outputs: Outputs, start: int, seconds: float) -> None:
        """Take an answered request into account, for drift and for the request log.

        Args:
            inputs: Its rows.
            outputs: Of its batch.
            start: Its first row among them.
            seconds: How long it took.
        """
        if self.live is not None:
            self.live.note(inputs)
        self.samples.note(inputs, outputs, start, seconds)

    def close(self) -> None:
        """Let go of the model's thread."""
        self.batcher.close()

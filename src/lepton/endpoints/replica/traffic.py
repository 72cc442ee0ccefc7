"""How the requests of one endpoint are shared among its deployments: by weight, and in the shadow.

A canary is a deployment with a small weight. A shadow answers nobody: it is asked what was just answered, and what it
would have said is compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from time import perf_counter

import numpy as np

from lepton.core.errors import LeptonError, TooManyRequests
from lepton.endpoints.replica.batcher import Job
from lepton.endpoints.replica.inputs import Inputs
from lepton.endpoints.replica.outputs import Outputs
from lepton.endpoints.replica.rates import Gate
from lepton.endpoints.replica.reports import Comparison, Report
from lepton.endpoints.replica.served import Call, Served
from lepton.endpoints.replica.tokens import Tokens
from lepton.models.signature import LABEL

SHADOW_QUEUE = 64
"""Requests that may wait for a shadow; what comes above is not mirrored, so that a slow shadow slows nobody."""


class Traffic:
    """One endpoint of a worker.

    Args:
        deployments: Its deployments, the main one first. All take the same columns.
        tokens: Who may ask.
        draw: Returns a number from 0 to 1 for each request.
        gate: Its limits, if there are any.
    """

    def __init__(
        self,
        deployments: Sequence[Served],
        tokens: Tokens,
        *,
        draw: Callable[[], float] = random.random,
        gate: Gate | None = None,
    ) -> None:
        self.deployments = deployments
        self.tokens = tokens
        self.main = deployments[0]
        self.endpoint = self.main.endpoint
        self.comparisons = {served.model: Comparison() for served in deployments if served.is_shadow}
        self.gate = gate
        self._draw = draw
        self._shadows = [served for served in deployments if served.is_shadow]
        self.has_shadows = bool(self._shadows)
        self._answering = [served for served in deployments if not served.is_shadow and served.weight > 0]

    def choose(self) -> Served:
        """Return the deployment that answers the next request."""
        answering = self._answering
        if len(answering) == 1:
            return answering[0]
        left = self._draw() * sum(served.weight for served in answering)
        for served in answering:
            left -= served.weight
            if left < 0:
                return served
        return answering[-1]

    def limited(self, authorization: bytes | None) -> LeptonError | None:
        """Say which limit a request would exceed that its token allows; None if none, or if there is none."""
        if self.gate is None:
            return None
        refusal = self.gate.refusal(authorization)
        if refusal is not None:
            self.main.counts.limited += 1
        return refusal

    def submit(self, served: Served, job: Job) -> None:
        """Let a deployment predict.

        Raises:
            TooManyRequests: if too many predictions wait, or as many are made at a time as the endpoint allows.
        """
        if self.gate is None:
            served.batcher.submit(job)
            return
        try:
            self.gate.enter()
        except TooManyRequests:
            served.counts.limited += 1
            raise
        try:
            served.batcher.submit(_Leaving(self.gate, job))
        except LeptonError:
            self.gate.leave()
            raise

    def mirror(self, inputs: Inputs, outputs: Outputs, start: int, stop: int) -> None:
        """Ask the shadows what was just answered; costs nothing where there are none."""
        for shadow in self._shadows:
            comparison = self.comparisons[shadow.model]
            if shadow.batcher.queued >= SHADOW_QUEUE:
                comparison.skipped += 1
                continue
            try:
                shadow.batcher.submit(_mirrored(shadow, comparison, inputs, (outputs, start, stop)))
            except LeptonError:
                comparison.skipped += 1

    def reports(self) -> list[Report]:
        """Say how each deployment has done since the worker started."""
        return [
            Report(
                endpoint=self.endpoint,
                model=served.model,
                counts=served.counts,
                queued=served.batcher.queued,
                comparison=self.comparisons.get(served.model),
                window="" if served.live is None else served.live.told(),
                samples=served.samples.told(),
            )
            for served in self.deployments
        ]

    def close(self) -> None:
        """Let go of the models."""
        for served in self.deployments:
            served.close()


class _Leaving:
    """A job that tells the gate when it is over."""

    __slots__ = ("_gate", "_job", "deadline", "inputs")

    def __init__(self, gate: Gate, job: Job) -> None:
        self._gate = gate
        self._job = job
        self.inputs = job.inputs
        self.deadline = job.deadline

    def done(self, outputs: Outputs, start: int, stop: int) -> None:
        self._gate.leave()
        self._job.done(outputs, start, stop)

    def fail(self, error: LeptonError) -> None:
        self._gate.leave()
        self._job.fail(error)


def _mirrored(shadow: Served, comparison: Comparison, inputs: Inputs, said: tuple[Outputs, int, int]) -> Call:
    began = perf_counter()

    def answer(outputs: Outputs, start: int, stop: int) -> None:
        shadow.counts.answered(200, perf_counter() - began)
        _compare(comparison, said, (outputs, start, stop))

    def refuse(error: LeptonError) -> None:
        shadow.counts.answered(error.status, 0.0)
        comparison.failed += 1

    return Call(inputs, answer, refuse)


def _compare(comparison: Comparison, said: tuple[Outputs, int, int], would: tuple[Outputs, int, int]) -> None:
    name = said[0].signature.outputs[-1]
    a, b = (outputs.arrays[name][start:stop] for outputs, start, stop in (said, would))
    comparison.rows += len(a)
    if a.shape != b.shape:  # other classes: only the labels can be compared
        difference = np.ones(len(a))
    elif a.ndim == 1:
        difference = np.abs(a - b)
    else:
        difference = np.abs(a - b).mean(axis=1)
    if name == said[0].signature.outputs[0]:
        same = int((difference <= 1e-6 * np.maximum(1.0, np.abs(a))).sum())
    else:
        same = sum(
            x == y for x, y in zip(said[0].values(LABEL, *said[1:]), would[0].values(LABEL, *would[1:]), strict=True)
        )
    comparison.same += same
    comparison.difference_sum += float(difference.sum())
    comparison.difference_most = max(comparison.difference_most, float(difference.max(initial=0.0)))

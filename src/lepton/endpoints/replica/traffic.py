"""How the requests of one endpoint are shared among its deployments: by weight, and in the shadow.

A canary is a deployment with a small weight. A shadow answers nobody: it is asked what was just answered, and what it
would have said is compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from lepton.core.errors import LeptonError
from lepton.endpoints.replica.inputs import Inputs
from lepton.endpoints.replica.outputs import Outputs
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
    """

    def __init__(
        self, deployments: Sequence[Served], tokens: Tokens, *, draw: Callable[[], float] = random.random
    ) -> None:
        self.deployments = deployments
        self.tokens = tokens
        self.main = deployments[0]
        self.endpoint = self.main.endpoint
        self.comparisons = {served.model: Comparison() for served in deployments if served.is_shadow}
        self._draw = draw
        self._shadows = [served for served in deployments if served.is_shadow]
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

    def mirror(self, inputs: Inputs, outputs: Outputs, start: int, stop: int) -> None:
        """Ask the shadows what was just answered; costs nothing where there are none."""
        for shadow in self._shadows:
            comparison = self.comparisons[shadow.model]
            if shadow.batcher.queued >= SHADOW_QUEUE:
                comparison.skipped += 1
                continue
            try:
                shadow.batcher.submit(_mirrored(comparison, inputs, outputs, (start, stop)))
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


def _mirrored(comparison: Comparison, inputs: Inputs, said: Outputs, rows: tuple[int, int]) -> Call:
    def answer(outputs: Outputs, start: int, stop: int) -> None:
        _compare(comparison, (said, *rows), (outputs, start, stop))

    def refuse(_error: LeptonError) -> None:
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

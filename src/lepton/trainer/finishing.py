"""From what a recipe has learned to a model: one graph, compared with the recipe's own answers, measured, delivered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lepton.core.errors import Internal
from lepton.models import delivered
from lepton.models.commanded import Plan
from lepton.models.composed import join
from lepton.models.evaluate import measure
from lepton.models.features import Features
from lepton.models.frames import predict_frame, transform
from lepton.models.graph import features_graph
from lepton.models.prediction import Arrays, open_session
from lepton.models.records import Plot, Trained
from lepton.models.signature import PREDICTION, PROBABILITIES, Signature, Task
from lepton.models.target import Mask
from lepton.models.values import Array
from lepton.trainer.platform import PlatformOfRun, say
from lepton.trainer.rows import Reader, Split
from lepton.training.recipes.port import Fitted, Scores

TOLERANCE = 1e-3
"""How far the graph may be from the framework, relative to the size of the answer: both compute in single precision."""
LABELS_AGREE = 0.999
"""Share of rows with the same label: one whose two best classes are as likely may fall to either side."""


@dataclass(frozen=True)
class Finishing:
    """What is needed to finish a model.

    Attributes:
        plan: What was to be trained.
        features: The fitted features.
        split: Which rows are held out.
        reader: Reads them.
    """

    plan: Plan
    features: Features
    split: Split
    reader: Reader

    @property
    def signature(self) -> Signature:
        """What the model takes and answers."""
        return self.split.target.signature(self.plan.target, self.features.inputs)

    def finish(self, fitted: Fitted, *, trial: bool) -> Trained:
        """Make a model and measure it on the held-out rows; that of a trial on those that were watched.

        Raises:
            Internal: if its graph answers otherwise than the framework does.
        """
        signature, plan = self.signature, self.plan
        graph = join(self.features, fitted.graph, signature)
        answers, truth = self._answers(graph, fitted, self.split.valid if trial else self.split.test)
        classes = {plan.target.name: plan.target.column_class}
        classes |= {column.name: column.column_class for column in plan.columns}
        report = measure(signature, truth, answers, classes=classes)
        plots = tuple(Plot(kind, dict(data)) for kind, data in (fitted.plots or {}).items())
        return Trained(
            name=plan.request.name,
            recipe=plan.request.recipe,
            dataset=str(plan.request.dataset),
            signature=signature,
            graph=graph,
            metrics=report.metrics,
            plots=(*report.plots, *plots),
            notes=(*plan.notes, *self.features.notes, *fitted.notes),
        )

    def _answers(self, graph: bytes, fitted: Fitted, chosen: Mask) -> tuple[list[Arrays], Array]:
        session = open_session(graph)
        matrices = open_session(features_graph(self.features))
        answers: list[Arrays] = []
        truth: list[Array] = []
        for rows, frame in self.reader.frames(chosen):
            outputs = predict_frame(session, self.signature, frame)
            matrix = transform(matrices, frame, self.signature.inputs).astype(np.float32)
            check(outputs, fitted.scores(matrix), self.signature.task)
            answers.append(outputs)
            truth.append(self.split.target.values[rows])
        return answers, np.concatenate(truth)


def bring(platform: PlatformOfRun, trained: Trained, told: Mapping[str, float], *, trial: bool) -> None:
    """Tell how good a model is, and bring it, unless it was only tried."""
    platform.metrics(told, 0)
    measures = ", ".join(f"{name} {value:.4g}" for name, value in trained.metrics.items())
    if trial:
        say(f"on the rows that it did not learn from: {measures}")
        return
    ref = platform.deliver(delivered.pack(trained))
    say(f"model {ref} is there: {measures}")


def check(outputs: Arrays, scores: Scores, task: Task) -> None:
    """Compare what the graph answers with what the framework does.

    Raises:
        Internal: if they differ.
    """
    if task is Task.REGRESSION:
        found, expected = outputs[PREDICTION], np.asarray(scores, np.float64).reshape(-1)
        size = np.maximum(np.abs(expected), max(float(np.abs(expected).mean()), 1e-12))
        agrees = np.abs(found - expected) <= TOLERANCE * size
        labels = 1.0
    else:
        found, expected = outputs[PROBABILITIES], np.asarray(scores, np.float64)
        agrees = np.abs(found - expected).max(axis=1) <= TOLERANCE
        labels = float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())
    if not agrees.all() or labels < LABELS_AGREE:
        raise Internal(
            f"The exported model answers otherwise than the framework on {int((~agrees).sum()):,} of {len(agrees):,} "
            "held-out rows, so it was not kept."
        )

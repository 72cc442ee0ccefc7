"""What every recipe must do, as a pytest class: subclass `RecipeContract` as ``Test…`` and say how it is told things.

What is learned: ``recipe_tasks.py``. Workers in processes of their own: ``recipe_workers.py``.
"""

from __future__ import annotations

import random
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from lepton.core.errors import InvalidInput
from lepton.testing.recipe_tasks import TRAIN_ROWS, Task, make_task
from lepton.testing.recipe_workers import Job, recipe_of, train
from lepton.training.checkpoints import Checkpoints
from lepton.training.collective import Collective
from lepton.training.context import TrainingContext
from lepton.training.problems import TrainingDataError
from lepton.training.recipes.port import Features, Fitted, Parameters, Recipe, Scores

TASKS = ("binary", "three", "regression")


class Killed(BaseException):
    """Ends a training as a signal would: nothing may catch it."""


class Life:
    """Counts what a training does that can be seen, and ends it at one of them."""

    def __init__(self, ends_at: int | None = None) -> None:
        self.events = 0
        self._ends_at = ends_at

    def live(self) -> None:
        """Count, or end."""
        self.events += 1
        if self.events == self._ends_at:
            raise Killed


class MortalCheckpoints(Checkpoints):
    """Checkpoints that end the training before or after they are saved."""

    def __init__(self, folder: Path, life: Life, *, every: int) -> None:
        super().__init__(folder, every=every)
        self._life = life

    def due(self, step: int) -> bool:
        """Whether it is time; asked at every step."""
        self._life.live()
        return super().due(step)

    def save(self, step: int, state: Callable[[], bytes], collective: Collective) -> None:
        """Save it."""
        self._life.live()
        super().save(step, state, collective)
        self._life.live()


class Story:
    """What a training has told: its metrics by step."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Mapping[str, float]]] = []

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep what was told."""
        self.told.append((step, dict(metrics)))

    def values(self, name: str) -> list[float]:
        """Return the values of a metric, in the order in which they were told."""
        return [metrics[name] for _, metrics in self.told if name in metrics]


def graph_answers(graph: bytes, features: Features) -> Scores:
    """Return what a graph answers: its one floating-point output, numbers as [n].

    It must have one input, float32 [any number of rows, width], and need nothing but the bytes.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    assert entry.type == "tensor(float)"
    assert entry.shape[1] in (features.shape[1], None) or isinstance(entry.shape[1], str)
    assert not isinstance(entry.shape[0], int), "the graph takes one number of rows only"
    (name,) = [output.name for output in session.get_outputs() if output.type in ("tensor(float)", "tensor(double)")]
    (answer,) = session.run([name], {entry.name: features})
    answers = np.asarray(answer, np.float64)
    return answers.reshape(-1) if answers.size == len(features) else answers


def log_loss(shares: Scores, targets: np.ndarray[Any, Any]) -> float:
    """Return the mean negative log-probability of the true classes."""
    return float(-np.log(np.clip(shares[np.arange(len(targets)), targets], 1e-12, None)).mean())


class RecipeContract(ABC):
    """The contract of `lepton.training.recipes.port.Recipe`.

    Attributes:
        recipe_name: A name in ``known.py``, or ``file.py:NAME``.
        accuracy: Share of the fixed rows of ``binary`` and ``three`` that must be right.
        r2: Share of the variance of ``regression`` that must be explained.
        graph_tolerance: How far the graph's scores may be from the framework's, in shares, or in standard deviations of
            the target: both calculate in float32, in another order.
        same_for_workers: How far the scores of two workers may be from those of one, in the same units; None: the
            recipe does not claim it.
        kills: How often a training is killed in `test_a_training_that_was_killed_ends_with_the_same_bits`.
        every: After how many steps of it a checkpoint is due.
        tasks: What stands before the name of a task: ``words `` for recipes that learn from texts.
    """

    recipe_name: str
    accuracy = 0.88
    r2 = 0.9
    graph_tolerance = 1e-5
    same_for_workers: float | None = 1e-3
    kills = 1
    every = 2
    tasks = ""

    @abstractmethod
    def quick(self, task: str) -> Parameters:
        """Return parameters with which it learns a task of `TASKS` well enough in a second or two."""

    @abstractmethod
    def short(self) -> Parameters:
        """Return parameters of a training of ``binary`` in a few (3 to 6) epochs or rounds, in more steps than 4."""

    @abstractmethod
    def unknown(self) -> Mapping[str, str]:
        """Return names that are not parameters, with those that are meant: ``{"learning_rat": "learning_rate"}``."""

    def whole(self, rows: int) -> Parameters:
        """Return parameters of a training that takes all `rows` of a worker at once, so that workers do not matter."""
        del rows
        return self.short()

    def early(self) -> tuple[Parameters, int] | None:
        """Return parameters that stop early, and how many epochs or rounds there were to be (100 or more)."""
        return None

    def diverging(self) -> Parameters | None:
        """Return parameters with which the loss of ``regression`` does not stay finite; None: that cannot be."""
        return None

    def models(self) -> Mapping[str, tuple[object, Parameters]]:
        """Return models of users for ``binary``, by what they are (an object, a class, a function), with parameters."""
        return {}

    def long(self) -> Parameters | None:
        """Return parameters of a training that would take minutes, to be stopped; None: it cannot be stopped."""
        return None

    @pytest.fixture
    def recipe(self) -> Recipe:
        """The recipe under test."""
        return recipe_of(self.recipe_name)

    def task(self, name: str) -> Task:
        """Return a task, as this recipe learns it."""
        return make_task(f"{self.tasks}{name}")

    def fit(self, recipe: Recipe, task: Task, parameters: Parameters, **how: Any) -> Fitted:
        """Train one worker here."""
        model, valid = how.pop("model", None), how.pop("valid", True)
        fitted = recipe.fit(task.material(valid=valid), TrainingContext(**how), parameters, model)
        assert fitted is not None
        return fitted

    def compare_graph(self, fitted: Fitted, task: Task) -> None:
        """The graph answers like the framework: scores and labels, for one row and for many."""
        features, targets = task.fixed
        scale = 1.0 if task.problem.classes else float(np.std(targets))
        expected = np.asarray(fitted.scores(features), np.float64)
        assert expected.shape == ((len(features), task.problem.classes) if task.problem.classes else (len(features),))
        for rows in (slice(None), slice(0, 1), slice(5, 6), slice(0, 7)):
            got = graph_answers(fitted.graph, features[rows]).reshape(expected[rows].shape)
            assert np.abs(got - expected[rows]).max() / scale <= self.graph_tolerance
            if task.problem.classes:
                best = np.sort(expected[rows], axis=1)
                clear = best[:, -1] - best[:, -2] > 2 * self.graph_tolerance
                assert (got.argmax(axis=1) == expected[rows].argmax(axis=1))[clear].all()
        if task.problem.classes:
            assert np.abs(expected.sum(axis=1) - 1.0).max() <= 1e-5
            assert expected.min() >= 0.0

    def compare_quality(self, fitted: Fitted, task: Task) -> None:
        """It has learned."""
        features, targets = task.fixed
        scores = fitted.scores(features)
        if task.problem.classes:
            assert float((scores.argmax(axis=1) == targets).mean()) >= self.accuracy
        else:
            assert 1.0 - float(((scores - targets) ** 2).mean() / np.var(targets)) >= self.r2

    @pytest.mark.parametrize("name", TASKS)
    def test_it_learns_and_its_graph_answers_like_the_framework(self, recipe: Recipe, name: str) -> None:
        """Two classes, three classes, a number; the metrics are told as they come."""
        task, story = self.task(name), Story()
        fitted = self.fit(recipe, task, self.quick(name), log=story.log)
        self.compare_quality(fitted, task)
        self.compare_graph(fitted, task)
        onnx.checker.check_model(onnx.load_from_string(fitted.graph))
        steps = [step for step, metrics in story.told if "loss" in metrics]
        assert steps, "no loss was told"
        assert steps == sorted(set(steps))
        assert steps[0] >= 1
        assert len(story.values("valid_loss")) >= 1
        assert all(np.isfinite(value) for value in story.values("loss") + story.values("valid_loss"))

    def test_rows_to_watch_are_not_needed(self, recipe: Recipe) -> None:
        """Without them there is no `valid_loss`."""
        story = Story()
        self.fit(recipe, self.task("binary"), self.short(), log=story.log, valid=False)
        assert story.values("loss")
        assert not story.values("valid_loss")

    def test_the_same_seed_gives_the_same_bits(self, recipe: Recipe) -> None:
        """Twice here, whatever was drawn from the generators of the process in between."""
        task = self.task("three")
        first = self.fit(recipe, task, self.short())
        np.random.random(3)
        random.random()  # noqa: S311
        second = self.fit(recipe, task, self.short())
        assert first.scores(task.fixed[0]).tobytes() == second.scores(task.fixed[0]).tobytes()

    def test_a_training_that_was_killed_ends_with_the_same_bits(self, recipe: Recipe, tmp_path: Path) -> None:
        """At a moment that is drawn among those that can be seen, and `kills` times at another."""
        task, life = self.task("binary"), Life()
        whole_folder, folder = tmp_path / "whole", tmp_path / "killed"
        whole_folder.mkdir()
        expected = self.fit(
            recipe, task, self.short(), checkpoints=MortalCheckpoints(whole_folder, life, every=self.every)
        )
        assert life.events > 1, "it asks for no checkpoints"
        moments = random.Random(0)  # noqa: S311
        for _ in range(self.kills):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            mortal = MortalCheckpoints(folder, Life(moments.randint(1, life.events)), every=self.every)
            with pytest.raises(Killed):
                self.fit(recipe, task, self.short(), checkpoints=mortal)
            got = self.fit(recipe, task, self.short(), checkpoints=Checkpoints(folder, every=self.every))
            assert got.scores(task.fixed[0]).tobytes() == expected.scores(task.fixed[0]).tobytes()
            assert initializers(got.graph) == initializers(expected.graph)

    def test_it_goes_on_from_its_checkpoint(self, recipe: Recipe, tmp_path: Path) -> None:
        """What was learned before is not learned again: fewer steps are seen the second time."""
        task, whole, rest = self.task("binary"), Life(), Life()
        for life in (whole, rest):
            self.fit(recipe, task, self.short(), checkpoints=MortalCheckpoints(tmp_path, life, every=self.every))
        assert rest.events < whole.events

    def test_two_workers_learn_what_one_learns(self, recipe: Recipe, tmp_path: Path) -> None:
        """In processes of their own, over a real connection."""
        if self.same_for_workers is None:
            pytest.skip("it does not claim this")
        task = self.task("binary")
        alone = self.fit(recipe, task, self.whole(TRAIN_ROWS)).scores(task.fixed[0])
        job = Job(self.recipe_name, f"{self.tasks}binary", self.whole(TRAIN_ROWS // 2))
        two = train(job, workers=2, folder=tmp_path)
        assert np.abs(two.scores - alone).max() <= self.same_for_workers
        assert np.abs(graph_answers(two.graph, task.fixed[0]) - two.scores).max() <= self.graph_tolerance

    def test_it_stops_early_and_keeps_the_best(self, recipe: Recipe) -> None:
        """Where learning by heart makes the rows that are watched worse."""
        asked = self.early()
        if asked is None:
            pytest.skip("it does not stop early")
        parameters, most = asked
        task, story = self.task("noise"), Story()
        fitted = self.fit(recipe, task, parameters, log=story.log)
        watched = story.values("valid_loss")
        assert 2 <= len(watched) < most
        features, targets = task.valid
        assert log_loss(fitted.scores(features), targets) == pytest.approx(min(watched), rel=1e-3)
        assert min(watched) < watched[-1]

    def test_a_loss_that_is_not_finite_ends_it_with_the_step(self, recipe: Recipe) -> None:
        """And not with a model of nothing."""
        parameters = self.diverging()
        if parameters is None:
            pytest.skip("its loss cannot become infinite")
        with pytest.raises(TrainingDataError, match=r"step \d+"):
            self.fit(recipe, self.task("regression"), parameters)

    def test_an_unknown_parameter_is_refused_with_those_that_are_known(self, recipe: Recipe) -> None:
        """Before anything is learned; the one that is meant is named."""
        for wrong, meant in self.unknown().items():
            with pytest.raises(InvalidInput, match=re.escape(wrong)) as caught:
                self.fit(recipe, self.task("binary"), {**self.short(), wrong: 1})
            assert meant in caught.value.message

    def test_defaults_are_parameters_that_are_taken(self, recipe: Recipe) -> None:
        """Each is JSON, and what a user may be told of."""
        for name, value in recipe.parameters.items():
            assert isinstance(name, str)
            assert value is None or isinstance(value, (bool, int, float, str, list, tuple))

    def test_models_of_users_are_taken(self, recipe: Recipe) -> None:
        """An object, a class, a function: whatever `models` has."""
        if not self.models():
            pytest.skip("it takes no models")
        task = self.task("binary")
        for model, parameters in self.models().values():
            fitted = self.fit(recipe, task, parameters, model=model)
            self.compare_quality(fitted, task)
            self.compare_graph(fitted, task)

    def test_it_ends_soon_when_it_is_told_to_stop(self, recipe: Recipe) -> None:
        """And keeps what it has."""
        parameters = self.long()
        if parameters is None:
            pytest.skip("it cannot be stopped in between")
        task, story = self.task("binary"), Story()
        fitted = self.fit(recipe, task, parameters, log=story.log, should_stop=lambda: bool(story.told))
        assert len(story.told) <= 4
        self.compare_graph(fitted, task)


def initializers(graph: bytes) -> dict[str, bytes]:
    """Return the weights of a graph, by name."""
    return {weight.name: weight.SerializeToString() for weight in onnx.load_from_string(graph).graph.initializer}

"""scikit-learn: batches, forests on several workers, and whatever else there is."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lepton.core.errors import InvalidInput
from lepton.testing.recipe_tasks import make_task
from lepton.testing.recipes import RecipeContract, Story
from lepton.training.checkpoints import Checkpoints
from lepton.training.context import TrainingContext
from lepton.training.problems import TrainingDataError
from lepton.training.recipes.estimator_state import CannotBeSaved, load_state, save_state
from lepton.training.recipes.port import Material, Part
from lepton.training.recipes.sklearn import ESTIMATORS, RECIPE


class TestBatches(RecipeContract):
    recipe_name = "sklearn"
    same_for_workers = None  # with two workers other rows make up each batch
    kills = 3

    def quick(self, task):
        return {"estimator": "mlp", "epochs": 60, "batch_size": 64, "learning_rate_init": 0.01, "patience": 20}

    def short(self):
        return {"estimator": "mlp", "epochs": 4, "batch_size": 100, "hidden_layer_sizes": "8,4"}

    def unknown(self):
        return {"learning_rate_ini": "learning_rate_init", "epoch": "epochs"}

    def early(self):
        return {"estimator": "mlp", "epochs": 300, "learning_rate_init": 0.02, "patience": 5}, 300

    def diverging(self):
        return {"estimator": "mlp", "solver": "sgd", "learning_rate_init": 1e6}

    def models(self):
        return {
            "pipeline": (make_pipeline(StandardScaler(), LogisticRegression()), {}),
            "parameter of a step": (
                make_pipeline(StandardScaler(), LogisticRegression()),
                {"logisticregression__C": 2.0},
            ),
            "class": (LogisticRegression, {"C": 3.0}),
            "function": (lambda problem: RandomForestClassifier(n_estimators=20, max_features=problem.width), {}),
            "without probabilities": (RidgeClassifier(), {}),
        }

    def long(self):
        return {"estimator": "sgd", "epochs": 100_000, "patience": 0}


class TestForests(RecipeContract):
    recipe_name = "sklearn"
    same_for_workers = 0.0  # each tree has its seed, and the rows of all in their order
    kills = 3

    def quick(self, task):
        return {"estimator": "random_forest", "n_estimators": 40}

    def short(self):
        return {"estimator": "extra_trees", "n_estimators": 20}

    def unknown(self):
        return {"n_estimator": "n_estimators"}

    @pytest.mark.skip(reason="a forest tells one loss")
    def test_it_ends_soon_when_it_is_told_to_stop(self, recipe):
        """It is asked between trees."""


def fit(parameters, *, task="binary", model=None, **how):
    return RECIPE.fit(make_task(task).material(), TrainingContext(**how), parameters, model)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_learns_and_its_graph_answers_alike(name):
    contract = TestBatches()
    for task in ("three", "regression"):
        if ESTIMATORS[name][task == "regression"]:
            fitted = fit({"estimator": name}, task=task)
            contract.graph_tolerance = 1e-4 if name == "svm" else 1e-5  # float32 sums over all support vectors
            contract.compare_graph(fitted, make_task(task))
            contract.r2 = 0.7
            contract.accuracy = 0.7
            contract.compare_quality(fitted, make_task(task))


def test_a_forest_is_the_one_that_scikit_learn_grows():
    task = make_task("three")
    own = RandomForestClassifier(n_estimators=20, random_state=0).fit(*task.train)
    found = fit({"estimator": "random_forest", "n_estimators": 20}, task="three").scores(task.fixed[0])
    assert found.tobytes() == own.predict_proba(task.fixed[0]).tobytes()


def test_a_class_that_no_row_has_gets_a_column_of_zeros():
    task = make_task("three")
    features, targets = (rows[task.train[1] != 1] for rows in task.train)
    material = Material(task.problem, Part(features, targets), None)
    for estimator in ("linear", "sgd"):
        fitted = RECIPE.fit(material, TrainingContext(), {"estimator": estimator, "epochs": 3}, None)
        contract = TestBatches()
        contract.compare_graph(fitted, task)
        assert fitted.scores(task.fixed[0])[:, 1].max() < 0.4
    one = Material(task.problem, Part(features[targets == 0], targets[targets == 0]), None)
    with pytest.raises(TrainingDataError, match="at least two"):
        RECIPE.fit(one, TrainingContext(), {}, None)


def test_a_model_of_a_user_stays_as_it_was():
    model = LogisticRegression()
    fit({"C": 5.0}, model=model)
    assert model.C == 1.0
    assert not hasattr(model, "coef_")


class Stubborn(ClassifierMixin, BaseEstimator):
    """Holds a function, which nobody can save."""

    def fit(self, X, y):
        return self.partial_fit(X, y)

    def partial_fit(self, X, y, classes=None):
        self.classes_ = classes
        self.answer_ = lambda: 0
        return self

    def predict(self, X):
        return np.zeros(len(X), int)

    def predict_proba(self, X):
        return np.tile([1.0, 0.0], (len(X), 1))


def test_what_cannot_be_saved_or_written_is_said(tmp_path):
    said = []
    with pytest.raises(InvalidInput, match="Stubborn cannot be written as an ONNX graph"):
        fit({}, model=Stubborn(), checkpoints=Checkpoints(tmp_path, every=1), say=said.append)
    assert any("begins anew" in line for line in said)
    assert list(tmp_path.iterdir()) == []


def test_models_that_do_not_fit_are_refused():
    with pytest.raises(InvalidInput, match="not RandomForestClassifier|does not learn"):
        fit({}, task="regression", model=RandomForestClassifier())
    with pytest.raises(InvalidInput, match="fit, predict and get_params"):
        fit({}, model="a text")
    with pytest.raises(InvalidInput, match="gives no probabilities"):
        fit({"epochs": 1}, model=Perceptron())
    with pytest.raises(InvalidInput, match="hist_gradient_boosting"):
        fit({"estimator": "boosting"})
    with pytest.raises(InvalidInput, match="tells classes apart"):
        fit({"estimator": "logistic"}, task="regression")
    with pytest.raises(TrainingDataError, match="max_depth"):
        fit({"estimator": "random_forest", "max_depth": "deep"})


def test_histogram_boosting_tells_the_losses_of_its_rounds_and_stops_early():
    story = Story()
    fit({"learning_rate": 0.3, "max_iter": 300}, task="noise", log=story.log)
    assert 5 < len(story.values("valid_loss")) < 300


def test_learning_that_has_not_come_to_its_end_is_noted():
    fitted = fit({"estimator": "linear", "max_iter": 1})
    assert "has not converged" in fitted.notes[0]


def test_a_state_that_names_foreign_code_is_refused():
    state = save_state(LogisticRegression(C=2.0))
    other = LogisticRegression()
    load_state(state, other)
    assert other.C == 2.0
    with pytest.raises(CannotBeSaved, match="function"):
        save_state(LogisticRegression(C=print))
    for module, name in (("os", "_Environ"), ("sklearn.utils", "_os"), ("sklearn.tree._tree", "Tree")):
        held = save_state(LogisticRegression(class_weight=StandardScaler()))
        forged = held.replace(b"sklearn.preprocessing._data", module.encode()).replace(b"StandardScaler", name.encode())
        with pytest.raises((CannotBeSaved, Exception)):
            load_state(forged, LogisticRegression())

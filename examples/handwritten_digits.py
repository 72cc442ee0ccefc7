"""Which digit is it? 1,797 handwritten digits of 8 by 8 pixels, learned by whatever frameworks are installed.

The digits are real: scikit-learn brings them (UCI's "Optical Recognition of Handwritten Digits").
Run: python examples/handwritten_digits.py [RECIPE ...]
"""

import importlib.util
import sys
import tempfile

from sklearn.datasets import load_digits

import lepton

RECIPES = {
    "logistic_regression": {},
    "sklearn": {"params": {"estimator": "random_forest", "n_estimators": 100}},
    "xgboost": {"params": {"rounds": 30}},
    "lightgbm": {"params": {"rounds": 30}},
    "pytorch": {"model": "cnn", "params": {"epochs": 15, "learning_rate": 0.003}},
    "keras": {"params": {"epochs": 15, "learning_rate": 0.003}},
    "jax": {"params": {"epochs": 15, "learning_rate": 0.003}},
}
MODULES = {"sklearn": "skl2onnx", "pytorch": "torch", "logistic_regression": "lepton"}


def main() -> None:
    digits = load_digits(as_frame=True).frame
    digits.columns = [f"pixel_{number}" for number in range(64)] + ["digit"]
    with tempfile.TemporaryDirectory() as home, lepton.open(f"{home}/home") as client:
        client.datasets.import_(digits, name="digits")
        for proposal in client.models.propose("digits", target="digit").proposals:
            print(f"{proposal.recipe:<20} {proposal.model:<5} {proposal.reason}")
        print("\nright on the held-out fifth")
        for recipe, options in RECIPES.items():
            if sys.argv[1:] and recipe not in sys.argv[1:]:
                continue
            if importlib.util.find_spec(MODULES.get(recipe, recipe)) is None:
                print(f"{recipe:<20} is not installed")
                continue
            made = client.models.train(
                f"digits-{recipe.split('_')[0]}", dataset="digits", target="digit", recipe=recipe, **options
            )
            print(f"{recipe:<20} {made.metrics['accuracy']:.3f}")


if __name__ == "__main__":
    main()

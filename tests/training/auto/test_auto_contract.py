"""The recipe auto does what every recipe must: learns, goes on after kills, with several workers, stops."""

from lepton.testing.recipes import RecipeContract

FEW = {"candidates": "linear,boosting", "folds": 3, "budget_s": 600.0}
"""So few trials that time decides nothing; the budget is far away however busy the machine is."""


class TestAuto(RecipeContract):
    recipe_name = "auto"
    same_for_workers = 1e-9  # lanes are dealt out, and each tries the same whoever works on it
    kills = 1

    def quick(self, task):
        return {**FEW, "trials": 1}

    def short(self):
        return {**FEW, "candidates": "linear", "trials": 4}

    def whole(self, rows):
        return {**FEW, "trials": 2}

    def unknown(self):
        return {"budget": "budget_s", "candidate": "candidates"}

    def long(self):
        return {**FEW, "candidates": "boosting"}

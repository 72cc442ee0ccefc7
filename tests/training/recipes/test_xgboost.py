"""XGBoost: trees, on one worker or on several, and after kills."""

from lepton.testing.recipes import RecipeContract


class TestXGBoost(RecipeContract):
    recipe_name = "xgboost"
    same_for_workers = 0.0  # worker 0 has the rows of both, in the same order
    kills = 2

    def quick(self, task):
        return {"rounds": 60, "max_depth": 4}

    def short(self):
        return {"rounds": 6, "max_depth": 3, "subsample": 0.7, "colsample": 0.6}

    def unknown(self):
        return {"learning_rat": "learning_rate", "max_dept": "max_depth"}

    def early(self):
        return {"rounds": 200, "learning_rate": 0.3, "patience": 5}, 200

    def models(self):
        import xgboost

        return {
            "parameters": ({"eta": 0.2, "max_depth": 3, "subsample": 0.8}, {"rounds": 40}),
            "estimator": (xgboost.XGBClassifier(n_estimators=40, max_depth=3), {}),
            "class": (xgboost.XGBClassifier, {"rounds": 40}),
            "function": (lambda problem: {"max_depth": problem.width}, {"rounds": 40}),
        }

    def long(self):
        return {"rounds": 100_000, "patience": 0}

"""LightGBM: trees, on several workers and after kills."""

from lepton.testing.recipes import RecipeContract


class TestLightGBM(RecipeContract):
    recipe_name = "lightgbm"
    # few leaves: with several workers LightGBM estimates the rows of a leaf from its sums, and with many leaves decides
    # otherwise where `min_rows` matters; what is left is the order in which the sums of histograms are added
    same_for_workers = 1e-6
    kills = 2

    def quick(self, task):
        return {"rounds": 60, "leaves": 15}

    def short(self):
        return {"rounds": 6, "leaves": 7, "subsample": 0.7, "colsample": 0.6}

    def whole(self, rows):
        return {"rounds": 20, "leaves": 4, "min_rows": 1}

    def unknown(self):
        return {"learning_rat": "learning_rate", "num_leaves": "leaves"}

    def early(self):
        return {"rounds": 200, "learning_rate": 0.3, "patience": 5}, 200

    def models(self):
        import lightgbm

        return {
            "parameters": ({"eta": 0.2, "num_leaves": 7, "subsample": 0.8, "subsample_freq": 1}, {"rounds": 40}),
            "estimator": (lightgbm.LGBMClassifier(n_estimators=40, num_leaves=7), {}),
            "class": (lightgbm.LGBMClassifier, {"rounds": 40}),
            "function": (lambda problem: {"num_leaves": problem.width}, {"rounds": 40}),
        }

    def long(self):
        return {"rounds": 100_000, "patience": 0}

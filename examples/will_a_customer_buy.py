"""Will a customer buy? Logistic regression from age, income and sex.

The customers are synthetic: drawn below with a fixed seed; older and richer ones buy more often.
Run: python examples/will_a_customer_buy.py
"""

import numpy as np

from lepton import LogisticRegression
from lepton.training import scoring


def draw_customers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return age, income and sex (0 man, 1 woman) of each customer, and whether they bought."""
    random = np.random.default_rng(11)
    age = random.integers(18, 75, count)
    income = random.lognormal(10.4, 0.4, count)
    sex = random.choice(["man", "woman"], count)
    woman = (sex == "woman").astype(float)  # a category becomes a column of 0 and 1
    tendency = 0.08 * (age - 45) + 2.0 * (np.log(income) - 10.4) / 0.4 + 0.5 * woman - 0.3
    bought = np.where(random.uniform(size=count) < 1 / (1 + np.exp(-tendency)), "yes", "no")
    return np.column_stack([age, income, woman]), bought


def main() -> None:
    customers, bought = draw_customers(4_000)
    order = np.random.default_rng(0).permutation(len(bought))
    train, test = order[:3_200], order[3_200:]
    print(f"{len(bought)} synthetic customers: {len(train)} to train on, {len(test)} held out")

    mean, deviation = customers[train].mean(axis=0), customers[train].std(axis=0)
    scaled = (customers - mean) / deviation
    model = LogisticRegression().fit(scaled[train], bought[train])
    for name, weight in zip(("age", "income", "woman"), model.coef_[0], strict=True):
        print(f"weight of {name:<7} {weight:+.2f}")

    true, predicted = bought[test], model.predict(scaled[test])
    says_yes = model.predict_proba(scaled[test])[:, 1]
    most_frequent = max(np.mean(true == "yes"), np.mean(true == "no"))
    print("\non the held-out rows")
    print(f"accuracy {scoring.accuracy(true, predicted):.3f} (always the most frequent answer: {most_frequent:.3f})")
    print(f"ROC AUC  {scoring.roc_auc(true == 'yes', says_yes):.3f}")
    counts = scoring.confusion_matrix(true, predicted, model.classes_)
    print("\n               predicted no   predicted yes")
    for label, row in zip(model.classes_, counts, strict=True):
        print(f"truly {label:<8} {row[0]:>12} {row[1]:>15}")


if __name__ == "__main__":
    main()

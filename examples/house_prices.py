"""House prices from area: min-max scaling, gradient descent, and honest scores on rows that were held out.

The houses are synthetic: drawn below with a fixed seed, about 1,500 a square meter plus a base price and noise.
Run: python examples/house_prices.py
"""

import numpy as np

from lepton import LinearRegression
from lepton.training import scoring


def draw_houses(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return areas in square meters and prices."""
    random = np.random.default_rng(7)
    area = random.uniform(40, 220, count)
    price = 60_000 + 1_500 * area + random.normal(0, 20_000, count)
    return area, price


def main() -> None:
    area, price = draw_houses(1_000)
    order = np.random.default_rng(0).permutation(len(area))
    train, test = order[:800], order[800:]
    print(f"{len(area)} synthetic houses: {len(train)} to train on, {len(test)} held out")

    # Min-max scaling. The limits come from the training rows only: the held-out rows must stay unseen.
    low, high = area[train].min(), area[train].max()
    scaled = ((area - low) / (high - low)).reshape(-1, 1)

    model = LinearRegression(solver="gd").fit(scaled[train], price[train])
    print(f"gradient descent: {model.n_iter_} iterations, learning rate {model.learning_rate_:.3f}")
    print(f"loss: {model.loss_curve_[0]:.3g} at the start, {model.loss_curve_[-1]:.3g} at the end")
    print(f"learned: {model.coef_[0] / (high - low):.0f} a square meter")

    predicted, true = model.predict(scaled[test]), price[test]
    print("\non the held-out rows")
    print(f"R²                     {scoring.r2(true, predicted):.3f}")
    print(f"MAE                    {scoring.mean_absolute_error(true, predicted):,.0f}")
    print(f"RMSE                   {scoring.root_mean_squared_error(true, predicted):,.0f}")
    print(f"within 10% of the true {scoring.share_within(true, predicted, 0.10):.1%}")
    # (predicted == true).mean() would be 0.0 for the best model there is: two prices are never equal to the cent.


if __name__ == "__main__":
    main()

"""What the tests of models share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from models.workshop import Workshop

from lepton.core.settings import Settings


@pytest.fixture
def workshop(settings: Settings) -> Iterator[Workshop]:
    """An empty workshop."""
    workshop = Workshop(settings)
    yield workshop
    workshop.close()


def customers(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """Rows with numbers, a boolean and a category, some missing; `bought` and `spent` depend on them."""
    random = np.random.default_rng(seed)
    age = random.integers(18, 80, rows)
    income = random.normal(3000, 800, rows)
    city = random.choice(["Paris", "Rome", "Oslo"], rows)
    member = random.random(rows) < 0.5
    score = (age - 45) / 15 + (income - 3000) / 800 + 1.5 * (city == "Paris") - member + random.normal(0, 1, rows)
    holes = random.random((4, rows)) < 0.05
    return pl.DataFrame(
        {
            "age": [None if hole else int(v) for v, hole in zip(age, holes[0], strict=True)],
            "income": [None if hole else float(v) for v, hole in zip(income, holes[1], strict=True)],
            "city": [None if hole else str(v) for v, hole in zip(city, holes[2], strict=True)],
            "member": [None if hole else bool(v) for v, hole in zip(member, holes[3], strict=True)],
            "bought": np.where(score > 0.5, "yes", "no").tolist(),
            "plan": np.select([score > 1, score > -0.5], ["gold", "silver"], "none").tolist(),
            "spent": (100 + 20 * score).tolist(),
        }
    )

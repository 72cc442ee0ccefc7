"""A scorecard of what training has kept of a classification's weights, see `summaries.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from lepton.core.errors import InvalidInput
from lepton.models.records import Plot
from lepton.training.scorecard import Part, Scale, Scorecard, scorecard


def scorecard_of(plots: Iterable[Plot], *, good: str | None, scale: Scale) -> Scorecard:
    """Return the points of a model.

    Args:
        plots: what training has kept of it.
        good: the class that a high score speaks for; None for the second one.
        scale: what the points mean.

    Raises:
        InvalidInput: if the model is no logistic regression of two classes, or has no class of that name.
    """
    data = cast("dict[str, Any]", next((plot.data for plot in plots if plot.kind == "summary"), {}))
    try:
        card = data["card"]
        first, second = map(str, card["classes"])
        intercept = float(card["intercept"])
        weights = [(str(column), str(condition), float(weight)) for column, condition, weight in card["parts"]]
    except (KeyError, TypeError, ValueError):  # a run brings what it likes
        raise InvalidInput(
            "Only a logistic regression of two classes has a scorecard, and this model is none."
        ) from None
    classes = (first, second)
    if good is not None and good not in classes:
        raise InvalidInput(f"There is no class {good[:80]!r}; choose {classes[0]!r} or {classes[1]!r}.")
    sign = -1.0 if good == classes[0] else 1.0
    parts = [Part(column, condition, sign * weight) for column, condition, weight in weights]
    return scorecard(parts, sign * intercept, good=good or classes[1], scale=scale)

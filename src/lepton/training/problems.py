"""What training refuses and warns of, in a form that both doors know: ours and scikit-learn's."""

from __future__ import annotations

from lepton.core.errors import InvalidInput


class TrainingDataError(InvalidInput, ValueError):
    """The rows, the labels or the parameters are not fit for training; a ``ValueError`` as scikit-learn asks."""


class CollinearWarning(UserWarning):
    """Columns add up to each other, so that their weights are one choice among many."""

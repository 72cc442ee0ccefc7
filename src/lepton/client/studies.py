"""What the SDK knows of tuning: studies and their trials, shown in notebooks and saved as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from lepton.client import study_plots
from lepton.client.answers import Answer, Cell


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """A setting that was searched: ``whole`` or ``number`` from `low` to `high`, or a ``choice``."""

    name: str
    kind: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: tuple[Cell, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Step:
    """A point of a trial's curve."""

    step: int
    value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One try.

    Attributes:
        state: ``running``, ``complete``, ``pruned``, ``failed`` or ``waiting``.
        value: What it reached; None if it did not end well.
        steps: Of its curve, as far as it was reported.
        run_id: The run that tried it; empty if it was tried elsewhere.
        error: Why it failed, if that is known.
    """

    number: int
    state: str
    value: float | None = None
    params: Mapping[str, Cell] = field(default_factory=dict)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    steps: tuple[Step, ...] = ()
    run_id: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class StudySummary(Answer):
    """A study in short.

    Attributes:
        journal: The journal that it is written in, for `lepton.optuna_storage`.
        directions: ``minimize`` or ``maximize``, for each of its goals.
        metric: What its goal is called.
        counts: How many trials there are in each state.
        best: Number of the best trial.
        model: The version that was trained with the best settings; empty if there is none.
        run_id: The run that searches; empty if that is a program of one's own.
        message: How the search ended, or where it is.
    """

    name: str
    journal: str
    directions: tuple[str, ...]
    metric: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    best: int | None = None
    best_value: float | None = None
    best_params: Mapping[str, Cell] = field(default_factory=dict)
    model: str = ""
    run_id: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Study(StudySummary):
    """A study with all its trials.

    Attributes:
        space: What was searched.
        importance: How much each setting matters for the goal; together 1. Empty as long as nobody has computed it.
        about: What was asked for, if the platform searches.
    """

    space: tuple[Dimension, ...] = ()
    trials: tuple[Trial, ...] = ()
    importance: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, object] = field(default_factory=dict)

    @property
    def best_trial(self) -> Trial | None:
        """The best trial, or None."""
        return None if self.best is None else self.trials[self.best]

    def to_html(self) -> str:
        """Return a page of its own with all plots and the table of trials; it needs no network."""
        return study_plots.page(self.name, self._repr_html_())

    def save(self, path: str | Path) -> None:
        """Write the page to a file."""
        Path(path).write_text(self.to_html(), encoding="utf-8")

    def _repr_html_(self) -> str:
        """Return all plots and the table of trials for a notebook."""
        return study_plots.draw(
            study_plots.Searched(
                title=self.name,
                goal=self.metric or "value",
                maximize=self.directions[:1] == ("maximize",),
                axes=tuple(
                    study_plots.Axis(one.name, one.low, one.high, one.log, tuple(map(str, one.choices)))
                    for one in self.space
                ),
                trials=tuple(
                    study_plots.Tried(one.number, one.state, one.value, dict(one.params)) for one in self.trials
                ),
                importance=dict(self.importance),
                best=self.best,
                model=self.model,
            )
        )

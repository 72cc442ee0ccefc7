"""The JSON of tuning and of studies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field, model_validator

from lepton.models.studies import Study
from lepton.models.tune_requests import TuneRequest
from lepton.server.bodies.models import TrainBody
from lepton.server.wire import Answer, Body, Scalar


class DimensionAnswer(Answer):
    """A setting that was searched: ``whole``, ``number`` or ``choice``."""

    name: str
    kind: str
    low: float | None
    high: float | None
    log: bool
    step: float | None
    choices: list[Scalar]


class StepAnswer(Answer):
    """A point of a trial's curve."""

    step: int
    value: float | None

    @model_validator(mode="before")
    @classmethod
    def _of_pair(cls, pair: object) -> object:
        return {"step": pair[0], "value": pair[1]} if isinstance(pair, tuple) else pair


class TrialAnswer(Answer):
    """One try: ``running``, ``complete``, ``pruned``, ``failed`` or ``waiting``."""

    number: int
    state: str
    value: float | None
    params: Mapping[str, Scalar]
    started_at: datetime | None
    ended_at: datetime | None
    steps: list[StepAnswer]
    run_id: str
    error: str


class StudySummaryAnswer(Answer):
    """A study in short; `counts` says how many trials are in which state."""

    name: str
    journal: str
    directions: list[str]
    metric: str
    counts: Mapping[str, int]
    best: int | None
    best_value: float | None
    best_params: Mapping[str, Scalar]
    model: str
    run_id: str
    message: str

    @model_validator(mode="before")
    @classmethod
    def _in_short(cls, study: object) -> object:
        if not isinstance(study, Study):
            return study
        best, states = study.best_trial, [trial.state for trial in study.trials]
        more = {
            "counts": {state: states.count(state) for state in sorted(set(states))},
            "best_value": None if best is None else best.value,
            "best_params": {} if best is None else best.params,
        }
        return {**vars(study), **more}


class StudyAnswer(StudySummaryAnswer):
    """A study with all its trials; `importance` adds up to 1, and `about` is what was asked for."""

    space: list[DimensionAnswer]
    trials: list[TrialAnswer]
    importance: Mapping[str, float]
    about: Mapping[str, object]


class JournalAnswer(Answer):
    """Entries of a journal; `next` is the number of the one behind them, `total` how many there are."""

    entries: list[str]
    next: int
    total: int


class JournalBody(Body):
    """Entries to write, as Optuna makes them."""

    batch: str = Field(description="What the caller calls these entries: the second time it changes nothing.")
    entries: list[str] = Field(description="JSON objects, as text.")
    after: int = Field(default=0, ge=0, description="Number of the first entry to answer with.")


class TuneBody(TrainBody):
    """What to tune: what every trial trains, and what is searched."""

    search: list[str] = Field(description="A line for each setting, such as max_depth=2..10.")
    trials: int = Field(default=20, description="How many settings to try at most.")
    parallel: int = Field(default=2, description="How many of them at a time.")
    sampler: str = Field(default="tpe", description="tpe, cmaes, random or grid.")
    pruner: str = Field(default="none", description="none, median, hyperband or asha.")
    metric: str = Field(default="valid_loss", description="What to tune for; ' min' or ' max' may stand behind it.")
    search_s: float | None = Field(default=None, description="How long to search at most, in seconds.")
    patience: int | None = Field(default=None, description="Stop after so many trials without a better one.")
    study: str = Field(default="", description="Name of the study; that of the model if it is empty.")

    def tuning(self, project: str) -> TuneRequest:
        """What the operation takes."""
        own = set(TuneBody.model_fields) - set(TrainBody.model_fields)
        said = self.model_dump(exclude_unset=True)
        asked = {name: value for name, value in said.items() if name not in own | {"trial", "key"}}
        train = TrainBody.model_validate(asked)
        return TuneRequest(
            train.request(project),
            asked,
            search=tuple(self.search),
            budget_s=self.search_s,
            **{name: getattr(self, name) for name in own - {"search", "search_s"}},
        )

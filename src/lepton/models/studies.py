"""What the journal of a study says: Optuna's own log of operations, replayed without Optuna. Pure.

An entry is a JSON object with an ``op_code``, as `optuna.storages.JournalStorage` writes it (Optuna 3.1 to 5). What
cannot be understood is passed over, as it is for Optuna when another process wrote it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from lepton.models.records import Parameter

CREATE_STUDY, DELETE_STUDY, SET_STUDY_USER_ATTR, SET_STUDY_SYSTEM_ATTR = 0, 1, 2, 3
CREATE_TRIAL, SET_TRIAL_PARAM, SET_TRIAL_STATE_VALUES, SET_TRIAL_INTERMEDIATE_VALUE, SET_TRIAL_USER_ATTR = 4, 5, 6, 7, 8
STATES = ("running", "complete", "pruned", "failed", "waiting")
"""By Optuna's number."""
METRIC_NAMES = "study:metric_names"
"""Where Optuna notes what the goals are called."""
OURS = "lepton:"
"""What the platform's own search notes with a study begins so."""


@dataclass(frozen=True)
class Dimension:
    """A setting that was searched.

    Attributes:
        kind: ``whole``, ``number`` or ``choice``.
        low: The smallest number; None for choices.
        high: The largest number; None for choices.
        log: Whether every factor of size is as likely as every other.
        choices: The values of a choice.
    """

    name: str
    kind: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: tuple[Parameter, ...] = ()


@dataclass(frozen=True)
class TrialRecord:
    """One try.

    Attributes:
        state: One of `STATES`.
        value: What it reached; None if it did not end well.
        steps: Of its curve, as far as it was reported: step and value.
        run_id: The run that tried it; empty if it was tried elsewhere.
        error: Why it failed, if that was noted.
    """

    number: int
    state: str
    value: float | None
    params: Mapping[str, Parameter]
    started_at: datetime | None
    ended_at: datetime | None
    steps: tuple[tuple[int, float], ...] = ()
    run_id: str = ""
    error: str = ""


@dataclass(frozen=True)
class Study:
    """What is known of a study.

    Attributes:
        journal: Name of the journal that it is written in.
        directions: ``minimize`` or ``maximize``, for each of its goals.
        metric: What its goal is called; empty if that was not noted.
        best: Number of the best trial; None without one, or with several goals.
        importance: How much each setting matters for the goal, as far as that was computed; they add up to 1.
        about: What was asked for, if the platform searches.
        model: The version that was trained with the best setting; empty if there is none.
        run_id: The run that searches; empty if that is somebody's own program.
        message: How the search ended, or where it is.
    """

    name: str
    journal: str
    directions: tuple[str, ...]
    space: tuple[Dimension, ...]
    trials: tuple[TrialRecord, ...]
    best: int | None = None
    metric: str = ""
    importance: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, object] = field(default_factory=dict)
    model: str = ""
    run_id: str = ""
    message: str = ""

    @property
    def best_trial(self) -> TrialRecord | None:
        """The best trial, or None."""
        return None if self.best is None else self.trials[self.best]


@dataclass
class _Trial:
    study: int
    number: int
    state: int
    values: Sequence[float | None] | None
    params: dict[str, Parameter]
    started_at: datetime | None
    ended_at: datetime | None
    steps: dict[int, float]
    notes: dict[str, Any]


@dataclass
class _Study:
    name: str
    directions: list[int]
    notes: dict[str, Any] = field(default_factory=dict)
    space: dict[str, Dimension] = field(default_factory=dict)
    trials: list[_Trial] = field(default_factory=list)


class Replay:
    """The studies of one journal, as far as it was read."""

    def __init__(self) -> None:
        self.read = 0
        """How many entries were read."""
        self._studies: dict[int, _Study] = {}
        self._trials: list[_Trial] = []
        self._made = 0

    def apply(self, entries: Iterable[str]) -> None:
        """Read the next entries, JSON each."""
        for text in entries:
            self.read += 1
            try:
                self._apply(json.loads(text))
            except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError):
                continue  # whoever wrote it meant something else; the other entries count

    def studies(self, journal: str) -> list[Study]:
        """Return the studies, the oldest first."""
        return [_study(found, journal) for found in self._studies.values()]

    def id_of(self, name: str) -> int | None:
        """Return the number that the journal knows a study by."""
        return next((number for number, study in self._studies.items() if study.name == name), None)

    def _apply(self, entry: Mapping[str, Any]) -> None:
        code = entry["op_code"]
        if code == CREATE_STUDY:
            name = str(entry["study_name"])
            if self.id_of(name) is None:
                self._studies[self._made] = _Study(name, [int(one) for one in entry["directions"]])
                self._made += 1
        elif code == DELETE_STUDY:
            del self._studies[entry["study_id"]]
        elif code == SET_STUDY_USER_ATTR:
            self._studies[entry["study_id"]].notes.update(entry["user_attr"])
        elif code == SET_STUDY_SYSTEM_ATTR and METRIC_NAMES in entry["system_attr"]:
            self._studies[entry["study_id"]].notes[METRIC_NAMES] = entry["system_attr"][METRIC_NAMES]
        elif code == CREATE_TRIAL:
            self._create(entry)
        elif code in (SET_TRIAL_PARAM, SET_TRIAL_STATE_VALUES, SET_TRIAL_INTERMEDIATE_VALUE, SET_TRIAL_USER_ATTR):
            trial = self._trials[entry["trial_id"]]
            if STATES[trial.state] in ("running", "waiting"):
                self._change(trial, code, entry)

    def _create(self, entry: Mapping[str, Any]) -> None:
        study = self._studies[entry["study_id"]]
        value = entry.get("value")
        trial = _Trial(
            study=entry["study_id"],
            number=len(study.trials),
            state=int(entry.get("state", 0)),
            values=entry.get("values") or (None if value is None else [value]),
            params={},
            started_at=_moment(entry.get("datetime_start")),
            ended_at=_moment(entry.get("datetime_complete")),
            steps={int(step): float(value) for step, value in entry.get("intermediate_values", {}).items()},
            notes=dict(entry.get("user_attrs", {})),
        )
        study.trials.append(trial)
        self._trials.append(trial)
        for name, kind in entry.get("distributions", {}).items():
            self._set(trial, name, kind, entry["params"][name])

    def _change(self, trial: _Trial, code: int, entry: Mapping[str, Any]) -> None:
        if code == SET_TRIAL_PARAM:
            self._set(trial, entry["param_name"], entry["distribution"], entry["param_value_internal"])
        elif code == SET_TRIAL_STATE_VALUES:
            trial.state = int(entry["state"])
            trial.values = trial.values if entry["values"] is None else entry["values"]
            trial.started_at = _moment(entry.get("datetime_start")) or trial.started_at
            trial.ended_at = _moment(entry.get("datetime_complete")) or trial.ended_at
        elif code == SET_TRIAL_INTERMEDIATE_VALUE:
            trial.steps[int(entry["step"])] = float(entry["intermediate_value"])
        else:
            trial.notes.update(entry["user_attr"])

    def _set(self, trial: _Trial, name: str, distribution: str, inner: float) -> None:
        found = _dimension(name, distribution)
        self._studies[trial.study].space.setdefault(name, found)
        value: Parameter = inner
        if found.kind == "choice":
            value = found.choices[int(inner)]
        elif found.kind == "whole":
            value = int(inner)
        trial.params[name] = value


def is_better(value: float, than: float, direction: str) -> bool:
    """Whether a value is better than another."""
    return value > than if direction == "maximize" else value < than


def _dimension(name: str, text: str) -> Dimension:
    """Read a distribution as Optuna writes it, of today or with the names of before version 3."""
    found = json.loads(text)
    kind, about = str(found["name"]), found["attributes"]
    if kind == "CategoricalDistribution":
        return Dimension(name, "choice", choices=tuple(_plain(one) for one in about["choices"]))
    whole = kind.startswith("Int")
    step = about.get("step", about.get("q"))
    log = bool(about.get("log", kind in ("LogUniformDistribution", "IntLogUniformDistribution")))
    step = None if step is None or (whole and step == 1) else float(step)
    return Dimension(name, "whole" if whole else "number", float(about["low"]), float(about["high"]), log, step)


def _plain(value: object) -> Parameter:
    return value if isinstance(value, str | int | float | bool) else str(value)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _study(found: _Study, journal: str) -> Study:
    directions = tuple({1: "minimize", 2: "maximize"}.get(one, "minimize") for one in found.directions)
    notes = {key.removeprefix(OURS): value for key, value in found.notes.items() if key.startswith(OURS)}
    trials = tuple(map(_trial, found.trials))
    importance = notes.get("importance")
    about = notes.get("about")
    return Study(
        name=found.name,
        journal=journal,
        directions=directions,
        space=tuple(found.space.values()),
        trials=trials,
        best=_best(trials, directions),
        metric=str(notes.get("metric") or next(iter(_metric_names(found.notes)), "")),
        importance=cast("Mapping[str, float]", importance) if isinstance(importance, dict) else {},
        about=about if isinstance(about, dict) else {},
        model=str(notes.get("model", "")),
        run_id=str(notes.get("run", "")),
        message=str(notes.get("message", "")),
    )


def _metric_names(notes: Mapping[str, Any]) -> Sequence[str]:
    names = notes.get(METRIC_NAMES)
    return [str(name) for name in names] if isinstance(names, list) else []


def _trial(found: _Trial) -> TrialRecord:
    state = STATES[found.state]
    value = found.values[0] if found.values and state == "complete" else None
    return TrialRecord(
        number=found.number,
        state=state,
        value=float(value) if value is not None and math.isfinite(value) else None,
        params=dict(found.params),
        started_at=found.started_at,
        ended_at=found.ended_at,
        steps=tuple(sorted(found.steps.items())),
        run_id=str(found.notes.get(f"{OURS}run", "")),
        error=str(found.notes.get(f"{OURS}error", "")),
    )


def _best(trials: Sequence[TrialRecord], directions: Sequence[str]) -> int | None:
    if len(directions) != 1:
        return None
    best: TrialRecord | None = None
    for trial in trials:
        if trial.value is None:
            continue
        if best is None or is_better(trial.value, cast(float, best.value), directions[0]):
            best = trial
    return None if best is None else best.number

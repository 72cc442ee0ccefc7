"""Checks what is asked to be trained, before a run is submitted, and carries it to the run as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.errors import Forbidden, InvalidInput
from lepton.core.refs import check_name, parse_ref
from lepton.datasets.schema import Schema, suggestion
from lepton.models.records import Parameter, TrainRequest
from lepton.runs.records import Resources
from lepton.training.recipes.known import RECIPES as FRAMEWORKS

AUTO = "auto"
LINEAR = "linear_regression"
LOGISTIC = "logistic_regression"
RECIPES = (AUTO, LINEAR, LOGISTIC)
"""Our own; where commands run on the platform's machine, a worker of its own trains them."""
KNOWN = tuple(dict.fromkeys((*RECIPES, *FRAMEWORKS)))
"""All that there are."""

_TEXT, _NUMBER, _WHOLE = (str,), (int, float), (int,)
_PARAMS: Mapping[str, tuple[type, ...]] = {
    "solver": _TEXT,
    "l1": _NUMBER,
    "l2": _NUMBER,
    "learning_rate": (*_NUMBER, *_TEXT),  # or "auto"
    "max_iterations": _WHOLE,
    "tolerance": _NUMBER,
    "batch_size": _WHOLE,
    "class_weight": _TEXT,
}
_FEATURE_TYPES = (ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.BOOLEAN, ColumnType.TEXT)


@dataclass(frozen=True)
class Choice:
    """The columns to learn from, and a sentence for each that was left out unasked."""

    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()


def check_request(request: TrainRequest) -> None:
    """Check what can be checked without the data.

    Raises:
        InvalidInput: if a name, the recipe, a parameter, the held-out share or the seed is not possible.
    """
    check_name(request.name, "model")
    if request.recipe not in KNOWN:
        raise InvalidInput(f"There is no recipe {request.recipe[:80]!r}. Choose one of: {', '.join(KNOWN)}.")
    if not 0 < request.test_fraction < 1:
        raise InvalidInput("test_fraction must lie between 0 and 1, for example 0.2 to hold out a fifth of the rows.")
    if not 0 <= request.seed < 1 << 63:
        raise InvalidInput("seed must be a whole number from 0.")
    if not has_framework(request):
        if request.model or request.code:
            raise InvalidInput(
                f"The recipe {request.recipe} has a model of its own. With one of yours, take a recipe of a framework: "
                f"{', '.join(name for name in FRAMEWORKS if name != AUTO)}."
            )
        for name, value in request.params.items():
            _check_param(name, value)


def has_framework(request: TrainRequest) -> bool:
    """Whether a framework trains, or code of the user, and not our linear models."""
    return request.recipe in FRAMEWORKS and (request.recipe != AUTO or request.budget_s > 0)


def check_target(schema: Schema, target: str) -> None:
    """Check that the target is a column that may be read and can be predicted.

    Raises:
        InvalidInput: if there is no such column, or it holds dates.
        Forbidden: if the actor may not read it.
    """
    if target not in schema:
        raise InvalidInput(f"The dataset has no column {target[:80]!r} to predict. {suggestion(target, schema.names)}")
    column = schema.column(target)
    if column.masked:
        raise Forbidden(
            f"Column {target!r} is {column.column_class.value} and you may not read it, so no model can be trained on "
            "it. Ask an owner of the project."
        )
    if column.type not in _FEATURE_TYPES:
        raise InvalidInput(
            f"Column {target!r} holds {column.type.value} values, which cannot be predicted. Choose a column of "
            "numbers, text or booleans."
        )


def choose_columns(schema: Schema, target: str, named: Sequence[str] | None) -> Choice:
    """Choose the columns to learn from: those named, or all plain ones but the target.

    Raises:
        InvalidInput: if a named column does not exist, is named twice or is the target.
        Forbidden: if a named column may not be read.
    """
    if named is not None:
        return Choice(_named(schema, target, named))
    chosen, notes = [], []
    for column in schema:
        if column.name == target:
            continue
        if column.masked:
            notes.append(
                f"Column {column.name!r} is {column.column_class.value} and you may not read it. It is left out."
            )
        elif column.column_class is not ColumnClass.PLAIN:
            kind = column.column_class.value
            notes.append(f"Column {column.name!r} is {kind}. It is left out unless it is named as a feature.")
        else:
            chosen.append(column.name)
    if not chosen:
        raise InvalidInput(
            f"There is no column besides {target!r} that may be used to predict it. The dataset needs at least one."
        )
    return Choice(tuple(chosen), tuple(notes))


def shown(request: TrainRequest) -> dict[str, Parameter]:
    """Return the settings that are shown with the run."""
    told: dict[str, Parameter] = {"name": request.name, "target": request.target, "recipe": request.recipe}
    told |= {"model": request.model} if request.model else {}
    told |= {"budget_s": request.budget_s} if request.budget_s else {}
    return {**told, "test_fraction": request.test_fraction, "seed": request.seed, **request.params}


def to_arguments(request: TrainRequest) -> dict[str, Any]:
    """Write a request as the run's arguments; `from_arguments` reads them."""
    return {
        **{name: getattr(request, name) for name in ("name", "target", "project", "recipe", "workers", "seed")},
        "dataset": str(request.dataset),
        "params": dict(request.params),
        "test_fraction": request.test_fraction,
        "features": None if request.features is None else list(request.features),
        "model": request.model,
        "resources": asdict(request.resources),
        "timeout_s": request.timeout_s,
        "budget_s": request.budget_s,
        "trial": request.trial,
    }


def from_arguments(arguments: Mapping[str, Any]) -> TrainRequest:
    """Read what `to_arguments` wrote."""
    features = arguments["features"]
    return TrainRequest(
        **{
            **arguments,
            "resources": Resources(**arguments["resources"]) if "resources" in arguments else Resources(),
            "dataset": parse_ref(arguments["dataset"]),
            "features": None if features is None else tuple(features),
        }
    )


def _named(schema: Schema, target: str, named: Sequence[str]) -> tuple[str, ...]:
    if not named:
        raise InvalidInput("'features' is empty. Name at least one column, or leave it out to use all.")
    for index, name in enumerate(named):
        if name not in schema:
            raise InvalidInput(f"The dataset has no column {name[:80]!r}. {suggestion(name, schema.names)}")
        if name == target or name in named[:index]:
            reason = "is the target" if name == target else "is named twice"
            raise InvalidInput(f"Column {name!r} {reason}. Name each feature once, without the target.")
        column = schema.column(name)
        if column.masked:
            raise Forbidden(
                f"Column {name!r} is {column.column_class.value} and you may not read it. "
                "Leave it out, or ask an owner of the project."
            )
    return tuple(named)


def _check_param(name: str, value: Parameter) -> None:
    if name not in _PARAMS:
        raise InvalidInput(f"There is no parameter {name[:80]!r}. {suggestion(name, tuple(_PARAMS))}")
    if isinstance(value, bool) or not isinstance(value, _PARAMS[name]):
        kind = "text" if _PARAMS[name] == _TEXT else "a whole number" if _PARAMS[name] == _WHOLE else "a number"
        raise InvalidInput(f"Parameter {name!r} must be {kind}.")

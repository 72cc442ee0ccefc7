"""Reading cleaning recipes from JSON or YAML. What steps there are is in `steps.py`, what they do in `clean.py`.

Whether a recipe fits a dataset is checked in `fitting.py`; what would be sensible for one is in `suggest.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.datasets.schema import suggestion
from lepton.datasets.steps import (
    Cast,
    ClipOutliers,
    ClipRange,
    DropColumns,
    DropDuplicates,
    DropMissing,
    DropOutliers,
    FillMissing,
    Json,
    NormalizeLabels,
    Recipe,
    Scale,
    Step,
)

MAX_STEPS = 200

_Check = Callable[[Json], object]


def _one_of(*allowed: str) -> _Check:
    def check(value: Json) -> object:
        if value in allowed:
            return value
        raise ValueError("must be " + " or ".join(repr(a) for a in allowed))

    return check


def _is_number(value: Json) -> bool:
    finite = isinstance(value, int | float) and -float("inf") < value < float("inf")
    return finite and not isinstance(value, bool)


def _positive(value: Json) -> object:
    if isinstance(value, int | float) and _is_number(value) and value > 0:
        return float(value)
    raise ValueError("must be a number above 0, such as 1.5")


def _bound(value: Json) -> object:
    if value is None or (isinstance(value, int | float) and _is_number(value)):
        return None if value is None else float(value)
    raise ValueError("must be a number, or null for no bound")


def _flag(value: Json) -> object:
    if isinstance(value, bool):
        return value
    raise ValueError("must be true or false")


def _scalar(value: Json) -> object:
    if value is None or isinstance(value, str | bool) or _is_number(value):
        return value
    raise ValueError("must be a text, a number, true or false")


def _names(value: Json) -> object:
    if value is None:
        return None
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return tuple(dict.fromkeys(value))
    raise ValueError("must be a list of column names, or null for all the step can be done on")


def _labels(value: Json) -> object:
    if value is None:
        return ()
    if isinstance(value, Mapping) and all(
        isinstance(key, str) and (new is None or isinstance(new, str)) for key, new in value.items()
    ):
        return tuple(value.items())
    raise ValueError("must map texts to texts, or to null for missing; in YAML, put words like 'yes' in quotes")


_STEPS: Mapping[str, tuple[type[Step], Mapping[str, _Check]]] = {
    cls.name: (cls, {"columns": _names, **checks})
    for cls, checks in (
        (DropDuplicates, {}),
        (DropMissing, {}),
        (FillMissing, {"strategy": _one_of("mean", "median", "mode", "constant"), "value": _scalar}),
        (ClipOutliers, {"method": _one_of("iqr", "zscore"), "factor": _positive}),
        (DropOutliers, {"method": _one_of("iqr", "zscore"), "factor": _positive}),
        (ClipRange, {"min": _bound, "max": _bound, "outside": _one_of("clip", "missing")}),
        (
            NormalizeLabels,
            {"trim": _flag, "case": _one_of("lower", "upper", "title", "none"), "mapping": _labels},
        ),
        (Cast, {"type": lambda value: ColumnType(str(_one_of(*(t.value for t in ColumnType))(value)))}),
        (Scale, {"method": _one_of("min_max", "z_score")}),
        (DropColumns, {}),
    )
}
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "fill_missing": ("strategy",),
    "normalize_labels": ("columns",),
    "clip_range": ("columns",),
    "cast": ("columns", "type"),
    "drop_columns": ("columns",),
}
_IGNORED = frozenset({"step", "why"})
_Z_SCORE_FACTOR = 3.0


def parse_recipe(data: Json, *, is_redacted: bool = False) -> Recipe:
    """Read a recipe from JSON values: ``{"steps": [{"step": …}, …]}``.

    Args:
        data: The values.
        is_redacted: Whether values may be lacking, because they were hidden from the reader.

    Raises:
        InvalidInput: with one sentence that says which step is wrong and what is allowed; never quotes a value of it.
    """
    steps = data.get("steps") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(steps, list) or set(data) - {"steps"}:
        raise InvalidInput(
            "A recipe is an object with the one key 'steps', a list, for example "
            '{"steps": [{"step": "drop_duplicates"}]}.'
        )
    if len(steps) > MAX_STEPS:
        raise InvalidInput(f"The recipe has {len(steps)} steps; it can have at most {MAX_STEPS}.")
    return Recipe(tuple(_parse_step(number, step, is_redacted) for number, step in enumerate(steps, start=1)))


def parse_recipe_text(text: str) -> Recipe:
    """Read a recipe from JSON or YAML text.

    Raises:
        InvalidInput: if the text is neither, or is no recipe.
    """
    import yaml

    try:
        data = yaml.safe_load(text)  # JSON is YAML, too
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        raise InvalidInput(f"The recipe is neither JSON nor YAML{where}. It starts with 'steps:'.") from None
    return parse_recipe(data)


def _parse_step(number: int, data: Json, is_redacted: bool) -> Step:
    if not isinstance(data, Mapping) or not isinstance(data.get("step"), str):
        raise InvalidInput(f"Step {number} of the recipe must be an object with the key 'step', one of: {_known()}.")
    name = str(data["step"])
    if name not in _STEPS:
        raise InvalidInput(
            f"Step {number} of the recipe is {name[:40]!r}, which is unknown. {suggestion(name, list(_STEPS))}"
        )
    cls, checks = _STEPS[name]
    values: dict[str, object] = {}
    for key, value in data.items():
        if key in _IGNORED:
            continue
        if key not in checks:
            raise InvalidInput(
                f"Step {number} ({name}) has no setting {str(key)[:40]!r}. {suggestion(str(key), list(checks))}"
            )
        try:
            values[key] = checks[key](value)
        except ValueError as error:
            raise InvalidInput(f"Step {number} ({name}): {key!r} {error}.") from None
    if not is_redacted:
        _check_needs(number, name, values)
    if values.get("method") == "zscore":
        values.setdefault("factor", _Z_SCORE_FACTOR)
    return cls(**values)  # type: ignore[arg-type] # each value went through the check of its field


def _check_needs(number: int, name: str, values: Mapping[str, object]) -> None:
    for key in _NEEDS.get(name, ()):
        if values.get(key) is None:
            raise InvalidInput(f"Step {number} ({name}) needs {key!r}.")
    if name == "fill_missing" and (values["strategy"] == "constant") != (values.get("value") is not None):
        raise InvalidInput(
            f"Step {number} (fill_missing): 'value' goes with the strategy 'constant', and only with that one."
        )
    if name == "clip_range":
        low, high = values.get("min"), values.get("max")
        if low is None and high is None:
            raise InvalidInput(f"Step {number} (clip_range) needs 'min', 'max' or both.")
        if isinstance(low, float) and isinstance(high, float) and low > high:
            raise InvalidInput(f"Step {number} (clip_range): 'min' must not be above 'max'.")


def _known() -> str:
    return ", ".join(_STEPS)

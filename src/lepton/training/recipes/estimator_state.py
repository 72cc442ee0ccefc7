"""The state of a scikit-learn estimator as bytes and back, without pickle: numbers, arrays and scikit-learn's own parts.

What is read back is checked against a short list of kinds; no code that the bytes could name is called.
"""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

_MADE_AGAIN = frozenset({"_loss_function_"})
"""Attributes that ``partial_fit`` makes again before it uses them."""


class CannotBeSaved(TypeError):
    """The estimator holds something that is neither numbers nor a part of scikit-learn."""


def save_state(estimator: object) -> bytes:
    """Return all that an estimator holds, parameters and what it has learned.

    Raises:
        CannotBeSaved: if there is something in it that is neither numbers, text, arrays nor a part of scikit-learn.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    tree = {name: _encode(value, arrays) for name, value in vars(estimator).items() if name not in _MADE_AGAIN}
    arrays["tree"] = np.frombuffer(json.dumps(tree).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def load_state(data: bytes, estimator: object) -> None:
    """Put what `save_state` returned into an estimator of the same class.

    Raises:
        CannotBeSaved: if the bytes name anything but numbers, text, arrays and parts of scikit-learn.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    tree = json.loads(arrays.pop("tree").tobytes())
    vars(estimator).clear()
    vars(estimator).update({name: _decode(value, arrays) for name, value in tree.items()})


def _encode(value: object, arrays: dict[str, np.ndarray[Any, Any]]) -> object:
    if value is None or isinstance(value, (bool, int, float, str)) and type(value).__module__ == "builtins":
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise CannotBeSaved("an array of objects")
        name = f"a{len(arrays)}"
        arrays[name] = array
        # in Fortran's order sums are taken in another order, so it is kept
        return {"array": name, "scalar": isinstance(value, np.generic), "fortran": array.flags.fnc}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_encode(item, arrays) for item in cast("list[object]", value)]}
    if type(value) is dict:
        return {"dict": [[_encode(key, arrays), _encode(item, arrays)] for key, item in value.items()]}
    if isinstance(value, np.random.RandomState):
        return {"random": _encode(list(value.get_state(legacy=True)), arrays)}
    kind = type(value)
    if kind.__module__.startswith("sklearn.") and hasattr(value, "__dict__") and _plain(kind):
        held = {name: _encode(item, arrays) for name, item in vars(value).items() if name not in _MADE_AGAIN}
        return {"part": [kind.__module__, kind.__qualname__], "holds": held}
    raise CannotBeSaved(f"a {kind.__name__}")


def _decode(value: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        array = arrays[value["array"]]
        if value["scalar"]:
            return array[()]
        return np.asfortranarray(array) if value["fortran"] else array
    if "list" in value:
        return [_decode(item, arrays) for item in value["list"]]
    if "tuple" in value:
        return tuple(_decode(item, arrays) for item in value["tuple"])
    if "dict" in value:
        return {_decode(key, arrays): _decode(item, arrays) for key, item in value["dict"]}
    if "random" in value:
        state = np.random.RandomState()
        state.set_state(tuple(_decode(value["random"], arrays)))
        return state
    module, name = value["part"]
    kind = getattr(importlib.import_module(module), name, None) if module.startswith("sklearn.") else None
    if not (isinstance(kind, type) and kind.__module__ == module and _plain(kind)):
        raise CannotBeSaved(f"{module}.{name}")
    part = object.__new__(kind)
    vars(part).update({key: _decode(item, arrays) for key, item in value["holds"].items()})
    return part


def _plain(kind: type) -> bool:
    """Whether all that an object of a class is lies in its attributes: it is written in Python, and adds no slots."""
    return all(
        base is object or base.__flags__ & (1 << 9) and not base.__dict__.get("__slots__") for base in kind.__mro__
    )

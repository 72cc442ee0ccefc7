"""How a model that a user brings is made: from a class, from a function, or it is one already."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

from lepton.core.errors import InvalidInput
from lepton.training.recipes.port import Problem


def build_model(model: object, problem: Problem) -> object:
    """Return the model: what a class or a function makes, or the object itself.

    A class or a function is called with the `Problem` if it has a parameter that must be given, or one that is called
    ``problem``; else without anything.

    Raises:
        InvalidInput: if it asks for more than one thing.
    """
    if not (inspect.isclass(model) or inspect.isroutine(model) or isinstance(model, functools.partial)):
        return model
    make: Callable[..., object] = model
    name = getattr(model, "__name__", type(model).__name__)
    try:
        parameters = _asked(make)
    except (TypeError, ValueError):  # some that are written in C do not say what they take
        return make()
    asked = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    by_name = [p for p in parameters if p.name == "problem" and p.kind is not p.POSITIONAL_ONLY]
    if len(asked) > 1 or (by_name and asked and asked[0].name != "problem"):
        raise InvalidInput(
            f"The model {name} asks for {', '.join(p.name for p in asked)}. Write it so that it takes nothing, or the "
            "problem (with blocks, width, classes and outputs) alone."
        )
    if by_name:
        return make(problem=problem)
    if not asked:
        return make()
    if asked[0].kind is asked[0].KEYWORD_ONLY:
        return make(**{asked[0].name: problem})
    return make(problem)


def _asked(model: Callable[..., object]) -> list[inspect.Parameter]:
    """Return what a class or a function takes; some classes (Keras, Flax) hide what ``__init__`` takes behind theirs."""
    parameters = list(inspect.signature(model).parameters.values())
    hidden = all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)
    if inspect.isclass(model) and parameters and hidden:
        return list(inspect.signature(model.__init__).parameters.values())[1:]
    return parameters

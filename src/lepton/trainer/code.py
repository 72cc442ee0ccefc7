"""Loads the model that a user brings: an object of a file that came along, or one of our templates by name."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

from lepton.core.errors import InvalidInput


def load(reference: str) -> object | None:
    """Return what a reference names; None for an empty one.

    Args:
        reference: ``file.py:name`` or ``module:name`` in the working folder, or the name of a template.

    Raises:
        InvalidInput: if there is no such file or name, or it cannot be imported.
    """
    if not reference:
        return None
    where, _, name = reference.partition(":")
    if not name:
        return _template(where)
    if where.endswith(".py") and not Path(where).is_file():
        raise InvalidInput(f"There is no file {where[:80]!r} beside the training. Give it as --model file.py:Name.")
    sys.path.insert(0, str(Path.cwd()))
    module = where.removesuffix(".py").replace("/", ".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:
        raise InvalidInput(
            f"The file of the model {reference[:80]!r} could not be imported: {type(error).__name__}: {error}"
        ) from error
    if found is None:
        raise InvalidInput(f"There is no {name[:80]!r} in {where[:80]!r}. Name a class or a function of that file.")
    return found  # type: ignore[no-any-return]


def _template(name: str) -> object:
    from lepton.training.templates import TEMPLATES

    if name not in TEMPLATES:
        raise InvalidInput(
            f"There is no template {name[:80]!r}. Choose one of: {', '.join(TEMPLATES)}; or bring your own as "
            "--model file.py:Name."
        )
    return importlib.import_module(f"lepton.training.templates.{name}").build

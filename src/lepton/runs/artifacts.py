"""What an artifact of a run may be called: a relative path that means the same on every machine."""

from __future__ import annotations

from lepton.core.errors import InvalidInput

MAX_PATH = 512
_LONGEST_PART = 255


def check_path(path: str) -> str:
    """Return the path of an artifact if it can be one, such as ``plots/loss.png``.

    Raises:
        InvalidInput: if it is empty, too long, absolute, leads out of the run, or holds what no file system takes.
    """
    parts = path.split("/")
    wrong = None
    if not path:
        wrong = "is empty"
    elif len(path) > MAX_PATH or any(len(part.encode(errors="replace")) > _LONGEST_PART for part in parts):
        wrong = f"is too long: {MAX_PATH} characters at most, and {_LONGEST_PART} bytes between two slashes"
    elif path.startswith("/"):
        wrong = "is absolute"
    elif "" in parts:
        wrong = "has an empty part"
    elif {".", ".."} & set(parts):
        wrong = "leads elsewhere with '.' or '..'"
    elif "\\" in path or not path.isprintable():  # half a surrogate pair is not printable either
        wrong = "holds a backslash or a character that cannot be printed"
    if wrong is not None:
        raise InvalidInput(f"The artifact path {path[:60]!r} {wrong}. Use a relative one such as 'plots/loss.png'.")
    return path

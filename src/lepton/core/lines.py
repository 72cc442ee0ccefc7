"""One question, one answer: a line of JSON each way, over whatever connects two processes. Standard library only."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from lepton.core.errors import LeptonError, Unavailable, error_from_code

Dial = Callable[[float], AbstractContextManager[socket.socket]]
"""Connects within some seconds; raises OSError."""


def exchange(dial: Dial, question: Mapping[str, object], *, timeout_s: float, silent: str) -> Any:
    """Ask once and return the body of the answer.

    Args:
        dial: Connects to who is asked.
        question: What JSON can hold.
        timeout_s: How long to wait, for the connection and for every part of the answer.
        silent: The sentence if there is no answer.

    Raises:
        Unavailable: if there is none in time.
        LeptonError: the error that the other side answered with.
    """
    try:
        with dial(timeout_s) as connection:
            connection.sendall(json.dumps(question).encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer = json.loads(answers.readline())
    except (OSError, ValueError) as error:
        raise Unavailable(silent) from error
    if "error" in answer:
        raise error_from_code(answer["error"]["code"], answer["error"]["message"])
    return answer["body"]


def answered(line: bytes, answer: Callable[[Any], object]) -> bytes:
    """Return the line that answers a question.

    Args:
        line: The question.
        answer: Takes it and returns the body of the answer; a `LeptonError` that it raises is passed on, and what it
            trips over in a question of another shape is one sentence.
    """
    said: dict[str, object]
    try:
        said = {"body": answer(json.loads(line))}
    except LeptonError as error:
        said = {"error": {"code": error.code, "message": error.message}}
    except (ValueError, LookupError, TypeError, RecursionError):
        said = {"error": {"code": "invalid_input", "message": "The replica does not understand this."}}
    return json.dumps(said).encode() + b"\n"

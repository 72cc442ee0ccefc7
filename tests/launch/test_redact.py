"""No secret is seen in a log, however the stream is cut."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.launch.redact import MAX_LINE_BYTES, Redactor

SECRET = 'p@ss "word"/+ü'


def through(redactor: Redactor, *pieces: bytes) -> bytes:
    return b"".join(line for piece in pieces for line in redactor.feed(piece)) + redactor.finish()


@pytest.mark.parametrize(
    "written",
    [SECRET, json.dumps(SECRET), repr(SECRET), quote(SECRET, safe=""), base64.b64encode(SECRET.encode()).decode()],
)
def test_a_secret_is_masked_as_it_is_and_as_formats_write_it(written: str) -> None:
    told = through(Redactor([SECRET]), f"before {written} after\n".encode())
    assert b"***" in told
    assert b"word" not in told
    assert written.strip("\"'").encode() not in told
    assert told.startswith(b"before ")
    assert told.endswith(b" after\n")


@given(cuts=st.lists(st.integers(0, 120), max_size=8), before=st.text("ab\n", max_size=60))
def test_it_does_not_matter_how_the_stream_is_cut(cuts: list[int], before: str) -> None:
    text = f"{before}hunter2hunter2 {before}".encode()
    edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert through(Redactor(["hunter2hunter2"]), *pieces).rstrip(b"\n") == (
        text.replace(b"hunter2hunter2", b"***").rstrip(b"\n")
    )


def test_each_line_of_a_secret_with_many_lines_is_one() -> None:
    key = "-----BEGIN KEY-----\nabcdefgh\nijklmnop\n-----END KEY-----"
    assert through(Redactor([key]), b"x abcdefgh y\nz ijklmnop\n") == b"x *** y\nz ***\n"


def test_a_line_without_end_is_passed_on_in_parts_and_its_secrets_are_found_across_them() -> None:
    redactor = Redactor(["hunter2hunter2"])
    told = through(redactor, b"x" * (MAX_LINE_BYTES + 100), b"y" * 300 + b"hunter2h", b"unter2" + b"z" * MAX_LINE_BYTES)
    assert b"hunter" not in told
    assert told.count(b"***") == 1
    assert len(told) > 2 * MAX_LINE_BYTES


def test_without_secrets_nothing_changes() -> None:
    assert through(Redactor([]), b"a\nb") == b"a\nb\n"

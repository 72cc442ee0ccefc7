"""Heads of answers are kept for a second, and not without bound."""

from __future__ import annotations

from lepton.endpoints.replica import heads as lib
from lepton.endpoints.replica.heads import Heads

JSON = b"application/json"


def test_a_complete_head_ends_with_its_length() -> None:
    heads = Heads(lambda: 0.0)
    assert heads.complete(200, JSON, 12) == heads.make(200, JSON) + b"12\r\n\r\n"
    assert heads.whole[200, JSON, 12] == heads.complete(200, JSON, 12)


def test_a_new_second_makes_new_heads() -> None:
    now_s = 0.0
    heads = Heads(lambda: now_s)
    before = heads.complete(200, JSON, 12)
    now_s = 1.0
    heads.renew()
    assert not heads.whole
    assert heads.complete(200, JSON, 12) != before


def test_heads_of_all_lengths_are_not_kept() -> None:
    heads = Heads(lambda: 0.0)
    for length in range(lib._MOST_WHOLE + 10):
        assert heads.complete(200, JSON, length).endswith(b"%d\r\n\r\n" % length)
    assert len(heads.whole) == lib._MOST_WHOLE

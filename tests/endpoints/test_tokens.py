"""Who may predict, decided by a signed list and a clock."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.core.errors import Forbidden, LeptonError, Unauthenticated, Unavailable
from lepton.endpoints.replica.tokens import VALID_S, TokenList, Tokens, public_key, sign, verify

SEED, OTHER_SEED = b"s" * 32, b"o" * 32


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def listed(*, issued_at: float = Clock.now, project: str = "default", **allowed: float | None) -> TokenList:
    return TokenList(project, issued_at, {digest(t): ends for t, ends in allowed.items()}, {digest("viewer"): None})


def tokens(*documents: str, clock: Clock | None = None) -> Tokens:
    made = Tokens(key=public_key(SEED), project="default", secret="of-the-platform", now=clock or Clock())
    for document in documents:
        made.update(document)
    return made


def answer(tokens: Tokens, header: str | None) -> type[LeptonError] | None:
    refusal = tokens.refusal(None if header is None else header.encode())
    return None if refusal is None else type(refusal)


def test_the_list_decides_who_may_predict() -> None:
    made = tokens(sign(SEED, listed(good=None)))
    assert [answer(made, f"Bearer {token}") for token in ("good", "viewer", "unknown")] == [
        None, Forbidden, Unauthenticated
    ]  # fmt: skip
    assert answer(made, "bearer good") is None
    assert answer(made, "Bearer of-the-platform") is None


@pytest.mark.parametrize("header", [None, "", "good", "Basic good", "Bearer", "Bearer "])
def test_a_request_without_a_token_is_refused(header: str | None) -> None:
    assert answer(tokens(sign(SEED, listed(good=None))), header) is Unauthenticated


def test_before_the_first_list_nobody_but_the_platform_gets_in() -> None:
    assert answer(tokens(), "Bearer good") is Unavailable
    assert answer(tokens(), "Bearer of-the-platform") is None


def test_a_revoked_token_is_refused_as_soon_as_the_new_list_is_there() -> None:
    made = tokens(sign(SEED, listed(good=None)))
    assert answer(made, "Bearer good") is None
    made.update(sign(SEED, listed(issued_at=Clock.now + 1)))
    assert answer(made, "Bearer good") is Unauthenticated


def test_an_expired_token_is_refused_even_when_it_was_just_let_in() -> None:
    clock = Clock()
    made = tokens(sign(SEED, listed(good=Clock.now + 60)), clock=clock)
    assert answer(made, "Bearer good") is None
    clock.now += 60
    assert answer(made, "Bearer good") is Unauthenticated


def test_a_list_counts_for_a_day() -> None:
    clock = Clock()
    made = tokens(sign(SEED, listed(good=None)), clock=clock)
    assert answer(made, "Bearer good") is None
    clock.now += VALID_S - 1
    assert answer(made, "Bearer good") is None
    clock.now += 1
    assert answer(made, "Bearer good") is Unavailable
    assert answer(made, "Bearer of-the-platform") is None


def test_an_older_list_does_not_bring_a_revoked_token_back() -> None:
    old, new = sign(SEED, listed(good=None)), sign(SEED, listed(issued_at=Clock.now + 1))
    assert answer(tokens(new, old), "Bearer good") is Unauthenticated


def test_only_the_platform_signs_and_only_for_this_project() -> None:
    made = tokens()
    for document in (sign(OTHER_SEED, listed(good=None)), sign(SEED, listed(project="other", good=None))):
        with pytest.raises(Unauthenticated):
            made.update(document)
    assert answer(made, "Bearer good") is Unavailable


@given(st.data())
def test_no_changed_list_is_taken(data: st.DataObject) -> None:
    document = sign(SEED, listed(good=None))
    at = data.draw(st.integers(0, len(document) - 1))
    changed = document[:at] + data.draw(st.characters(codec="ascii")) + document[at + 1 :]
    try:
        assert verify(public_key(SEED), changed) == verify(public_key(SEED), document)
    except Unauthenticated:
        assert changed != document


@given(st.text(max_size=80))
def test_what_is_no_list_is_refused(document: str) -> None:
    with pytest.raises(Unauthenticated):
        verify(public_key(SEED), document)

"""Passwords are argon2id, and a name that does not exist takes as long as one that does."""

from __future__ import annotations

import pytest

from lepton.access import passwords
from lepton.core.errors import InvalidInput


def test_a_password_is_kept_as_argon2id_with_its_own_salt() -> None:
    first, second = passwords.hash_password("correct horse"), passwords.hash_password("correct horse")
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert passwords.check_password(first, "correct horse")
    assert not passwords.check_password(first, "correct horse ")


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_a_password_that_is_too_short_or_too_long_is_refused_without_being_quoted(password: str) -> None:
    with pytest.raises(InvalidInput, match="10 to 256 characters"):
        passwords.hash_password(password)


def test_nobody_signs_in_without_a_kept_password_yet_the_same_work_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    hasher = passwords._hasher()

    class Counting:
        def verify(self, kept: str, password: str) -> bool:
            checked.append(kept)
            return hasher.verify(kept, password)

    monkeypatch.setattr(passwords, "_hasher", Counting)
    assert not passwords.check_password(None, "correct horse")
    assert len(checked) == 1
    assert checked[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_damaged_hash_matches_nothing() -> None:
    assert not passwords.check_password("$argon2id$nonsense", "correct horse")
    assert not passwords.check_password("", "correct horse")

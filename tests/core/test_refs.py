import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.core.errors import InvalidInput
from lepton.core.refs import Ref, check_name, name_from, parse_ref


@given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True), st.none() | st.integers(1, 999_999_999))
def test_a_ref_reads_back_from_its_own_text(name: str, version: int | None) -> None:
    assert parse_ref(str(Ref(name, version))) == Ref(name, version)


@pytest.mark.parametrize("text", ["churn@0", "churn@-1", "churn@1.5", "churn@", "churn@latest", "churn@1@2", "churn@٣"])
def test_a_wrong_version_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(InvalidInput, match="whole numbers from 1, for example 'churn@1'"):
        parse_ref(text)


@pytest.mark.parametrize("name", ["", "Churn", "../etc", ".hidden", "a/b", "a b", "a" * 65, "ü"])
def test_a_wrong_name_is_refused_with_one_that_would_do(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a dataset") as caught:
        check_name(name, "dataset")
    suggestion = caught.value.message.rpartition("for example ")[2].strip("'.")
    assert check_name(suggestion, "dataset") == suggestion


@given(st.text())
def test_any_text_makes_a_valid_name(text: str) -> None:
    assert check_name(name_from(text), "dataset")

"""What every runtime must do, as a pytest class: subclass `RuntimeContract` as ``Test…`` and say how to make one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import numpy as np
import pytest

from lepton.core.columns import ColumnType
from lepton.core.errors import Internal, LeptonError
from lepton.endpoints.replica.runtime import Runtime
from lepton.models.prediction import Arrays, decode_rows
from lepton.models.signature import LABEL, PREDICTION, PROBABILITIES, Input, Signature, Task

SIGNATURE = Signature(
    task=Task.CLASSIFICATION,
    target="left",
    target_type=ColumnType.TEXT,
    inputs=(
        Input("age", ColumnType.INTEGER),
        Input("city", ColumnType.TEXT, values=("Bern", "Graz")),
        Input("income", ColumnType.NUMBER),
        Input("member", ColumnType.BOOLEAN),
        Input("note", ColumnType.TEXT),
    ),
    classes=("no", "yes"),
)
"""What the runtime's model takes and answers: every kind of column."""
NUMERIC = Signature(
    task=Task.REGRESSION,
    target="price",
    target_type=ColumnType.NUMBER,
    inputs=(Input("area", ColumnType.NUMBER), Input("rooms", ColumnType.NUMBER)),
)
TOLERANCE = 1e-9
"""How far a row alone may be from the same row in a batch: arithmetic may be done in another order."""
SECRET = 987654.25
"""A value that nothing may quote."""


class Wrong(StrEnum):
    """Ways in which a model can be wrong about a classification of two classes."""

    TOO_FEW_ROWS = "one row fewer than it was asked"
    ONE_CLASS_TOO_MANY = "three probabilities for two classes"
    FLAT = "one number for each row"
    NOT_A_NUMBER = "probabilities that are not a number"
    NEGATIVE = "probabilities below zero"
    TOO_MUCH = "probabilities that add up to more than 1"
    RAISES = "it raises, with the values it was given in the text"


def rows_of(count: int) -> list[dict[str, Any]]:
    """Return rows that differ, with values missing and categories that nobody has seen among them."""
    cities = ("Bern", "Graz", None, "Atlantis", "")
    return [
        {
            "age": None if n % 7 == 3 else n % 90,
            "city": cities[n % 5],
            "income": None if n % 11 == 5 else 1000.0 + 37.5 * n,
            "member": (True, False, None)[n % 3],
            "note": ("a b", None, "ü\u4f60\u597d " * (n % 4), "b")[n % 4],
        }
        for n in range(count)
    ]


class RuntimeContract(ABC):
    """The contract of `lepton.endpoints.replica.runtime.Runtime`."""

    @abstractmethod
    def make_runtime(self, signature: Signature) -> Runtime:
        """Return a runtime with a model of `SIGNATURE` or `NUMERIC` whose answer depends on every column."""

    @abstractmethod
    def make_wrong(self, wrong: Wrong) -> Runtime | None:
        """Return a runtime whose model of `SIGNATURE` is wrong in that way, or None if its models cannot be."""

    @pytest.fixture
    def runtime(self) -> Iterator[Runtime]:
        """The runtime under test."""
        made = self.make_runtime(SIGNATURE)
        yield made
        made.close()

    def ask(self, runtime: Runtime, rows: list[dict[str, Any]], signature: Signature = SIGNATURE) -> Arrays:
        """Predict rows and check the form of the answer."""
        outputs = runtime.predict(decode_rows(signature, rows))
        for name in signature.outputs:
            assert len(outputs[name]) == len(rows)
        return outputs

    def test_it_says_how_many_rows_it_takes_and_where_it_may_run(self, runtime: Runtime) -> None:
        """Before anything is predicted."""
        assert runtime.max_rows >= 1
        assert runtime.off_loop in (True, False)

    def test_any_number_of_rows_up_to_its_maximum_is_answered(self, runtime: Runtime) -> None:
        """One answer for each row, in float64, with labels among the classes."""
        for count in sorted({1, 2, 3, 7, 64, runtime.max_rows - 1, runtime.max_rows} - {0}):
            if count > runtime.max_rows:
                continue
            outputs = self.ask(runtime, rows_of(count))
            assert outputs[PROBABILITIES].shape == (count, 2)
            assert outputs[PROBABILITIES].dtype == np.float64
            assert set(outputs[LABEL].tolist()) <= {"no", "yes"}
            assert np.allclose(outputs[PROBABILITIES].sum(axis=1), 1.0, atol=1e-3)

    def test_a_row_is_answered_alike_alone_and_among_others(self, runtime: Runtime) -> None:
        """Row i depends on row i only, wherever it stands."""
        rows = rows_of(min(23, runtime.max_rows))
        together = self.ask(runtime, rows)[PROBABILITIES]
        alone = np.concatenate([self.ask(runtime, [row])[PROBABILITIES] for row in rows])
        backwards = self.ask(runtime, rows[::-1])[PROBABILITIES][::-1]
        assert np.abs(together - alone).max() <= TOLERANCE
        assert np.abs(together - backwards).max() <= TOLERANCE

    def test_the_label_is_the_likeliest_class(self, runtime: Runtime) -> None:
        """Ties are for the model to decide."""
        outputs = self.ask(runtime, rows_of(min(50, runtime.max_rows)))
        for label, shares in zip(outputs[LABEL].tolist(), outputs[PROBABILITIES].tolist(), strict=True):
            assert shares[("no", "yes").index(label)] >= max(shares) - TOLERANCE

    @pytest.mark.parametrize("row", [
        dict.fromkeys(("age", "city", "income", "member", "note")),
        {"age": 3, "city": "never seen", "income": 1.0, "member": False, "note": "neither was this"},
        {"age": 2**40, "city": "\U0001f600" * 100, "income": -1e300, "member": True, "note": " \t\n'\"\\"},
    ], ids=["all missing", "unseen", "extreme"])  # fmt: skip
    def test_what_training_has_not_seen_is_answered(self, runtime: Runtime, row: dict[str, Any]) -> None:
        """Missing values, categories never seen, odd texts, far numbers."""
        self.ask(runtime, [row, *rows_of(1)][: runtime.max_rows])

    def test_its_answers_stay_when_it_is_asked_again(self, runtime: Runtime) -> None:
        """What it returned is the caller's."""
        first = self.ask(runtime, rows_of(1))[PROBABILITIES]
        kept = first.copy()
        self.ask(runtime, rows_of(2)[1:])
        assert (first == kept).all()

    def test_it_leaves_what_it_was_given_as_it_was(self, runtime: Runtime) -> None:
        """The rows are asked of another deployment, too."""
        inputs = decode_rows(SIGNATURE, rows_of(1))
        before = {name: array.copy() for name, array in inputs.items()}
        runtime.predict(inputs)
        assert all(np.array_equal(inputs[name], array, equal_nan=array.dtype == np.float64)
                   for name, array in before.items())  # fmt: skip

    def test_one_thread_after_another_may_use_it(self, runtime: Runtime) -> None:
        """It is loaded by one and asked by others."""
        expected = self.ask(runtime, rows_of(1))[PROBABILITIES]
        answers: list[Any] = []
        for _ in range(3):
            thread = threading.Thread(target=lambda: answers.append(self.ask(runtime, rows_of(1))[PROBABILITIES]))
            thread.start()
            thread.join()
        assert [answer.tolist() for answer in answers] == [expected.tolist()] * 3

    def test_a_regression_answers_a_number_for_each_row(self) -> None:
        """In float64."""
        runtime = self.make_runtime(NUMERIC)
        try:
            rows = [{"area": 10.0 * n, "rooms": n} for n in range(1, min(9, runtime.max_rows) + 1)]
            answer = self.ask(runtime, rows, NUMERIC)[PREDICTION]
            assert answer.shape == (len(rows),)
            assert answer.dtype == np.float64
            assert len(set(answer.tolist())) == len(rows)
        finally:
            runtime.close()

    @pytest.mark.parametrize("wrong", Wrong, ids=[wrong.name.lower() for wrong in Wrong])
    def test_a_wrong_answer_is_one_sentence_that_quotes_no_value(self, wrong: Wrong) -> None:
        """And the next batch is refused or answered like the first: nothing of it is left."""
        runtime = self.make_wrong(wrong)
        if runtime is None:
            pytest.skip(f"its models cannot answer {wrong.value}")
        try:
            rows = [dict(row, income=SECRET) for row in rows_of(min(3, runtime.max_rows))]
            for _ in range(2):
                with pytest.raises(LeptonError) as caught:
                    runtime.predict(decode_rows(SIGNATURE, rows))
                assert type(caught.value) is Internal
                assert caught.value.message.endswith(".")
                assert "987654" not in caught.value.message
        finally:
            runtime.close()

    def test_closing_twice_is_closing(self) -> None:
        """Whoever ends may end again."""
        runtime = self.make_runtime(NUMERIC)
        runtime.close()
        runtime.close()

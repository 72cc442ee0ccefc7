"""A signature survives JSON, hides what may not be read, and names the graph's inputs without a clash."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lepton.core.columns import ColumnClass, ColumnType
from lepton.models.signature import NUMBERS, OUTPUTS, Input, Signature, Task, class_name, tensor_names

TEXTS = st.text(max_size=8)
INPUTS = st.builds(
    Input,
    name=TEXTS,
    type=st.sampled_from(ColumnType),
    column_class=st.sampled_from(ColumnClass),
    nullable=st.booleans(),
    values=st.none() | st.lists(TEXTS, max_size=3).map(tuple),
)
SIGNATURES = st.builds(
    Signature,
    task=st.sampled_from(Task),
    target=TEXTS,
    target_type=st.sampled_from(ColumnType),
    inputs=st.lists(INPUTS, max_size=4).map(tuple),
    classes=st.none() | st.lists(TEXTS | st.integers() | st.booleans(), max_size=3).map(tuple),
    target_class=st.sampled_from(ColumnClass),
)


@given(SIGNATURES)
def test_a_signature_reads_back_as_it_was_written(signature: Signature) -> None:
    assert Signature.from_json(signature.to_json()) == signature


def test_a_masked_signature_has_no_values_of_hidden_columns() -> None:
    signature = Signature(
        task=Task.CLASSIFICATION,
        target="illness",
        target_type=ColumnType.TEXT,
        target_class=ColumnClass.SECRET,
        inputs=(
            Input("city", ColumnType.TEXT, ColumnClass.PERSONAL, values=("Paris",)),
            Input("size", ColumnType.TEXT, values=("S", "L")),
        ),
        classes=("a", "b"),
    )
    masked = signature.masked(frozenset({ColumnClass.PLAIN}))
    assert masked.classes is None
    assert [column.values for column in masked.inputs] == [None, ("S", "L")]
    assert signature.masked(frozenset(ColumnClass)) == signature
    assert signature.classes_held == frozenset(ColumnClass)


NAMES = st.sampled_from([*OUTPUTS, NUMBERS, "label_", "label__", "prediction_", "age", "a"])


@given(st.lists(NAMES | TEXTS, unique=True))
def test_no_two_tensors_have_one_name_and_none_has_one_of_the_graph(columns: list[str]) -> None:
    names = tensor_names(columns)
    assert list(names) == columns
    assert len(set(names.values())) == len(columns)
    assert not set(names.values()) & {*OUTPUTS, NUMBERS}
    assert all(names[column] == column for column in columns if column not in (*OUTPUTS, NUMBERS))


def test_classes_are_named_as_json_writes_them() -> None:
    assert [class_name(label) for label in (True, False, 3, "x")] == ["true", "false", "3", "x"]

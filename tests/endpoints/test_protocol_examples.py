"""Every Python example under "Protocols" in docs/endpoints.md runs, and they all get the same prediction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoints.serving_here import Here, predicted, serving

from lepton.core.columns import ColumnType
from lepton.models.signature import Input, Signature, Task

PAGE = Path(__file__).resolve().parents[2] / "docs" / "endpoints.md"
SECTION = re.search(r"^## Protocols\n(.*?)^## ", PAGE.read_text(), re.DOTALL | re.MULTILINE)
EXAMPLES = re.findall(r"```python\n(.*?)```", SECTION[1] if SECTION else "", re.DOTALL)
BUYERS = Signature(
    Task.CLASSIFICATION,
    "buys",
    ColumnType.TEXT,
    (
        Input("age", ColumnType.INTEGER),
        Input("income", ColumnType.NUMBER),
        Input("sex", ColumnType.TEXT, values=("f", "m")),
    ),
    classes=("no", "yes"),
)
ROWS = [{"age": 41, "income": 52000, "sex": "f"}, {"age": 23, "income": None, "sex": "m"}]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with serving(tmp_path_factory.mktemp("blobs"), buyers=BUYERS) as here:
        yield here


def test_there_is_an_example_for_each_protocol() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.count("\n"))
def test_the_examples_run(here: Here, example: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"address": here.address, "grpc_address": here.grpc_address, "token": "good"}
    exec(compile(example, str(PAGE), "exec"), names)
    printed = capsys.readouterr().out
    numbers = [float(number) for number in re.findall(r"\d+(?:\.\d*)?(?:e-?\d+)?", printed)]
    expected = predicted(BUYERS, ROWS)
    shares = expected["probabilities"].ravel().tolist()
    rounded = [any(abs(number - share) < 1e-6 for number in numbers) for share in shares]  # NumPy prints eight digits
    assert all(rounded) or printed.strip() == repr(expected["label"].tolist())
    client = names.get("client")
    if client is not None:
        client.close()  # type: ignore[attr-defined]

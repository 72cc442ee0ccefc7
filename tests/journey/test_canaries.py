"""Encrypted from the first byte: a thousand planted values are found nowhere on the disk, in no log and in no error."""

from __future__ import annotations

import base64
import os
import secrets
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from journey.journeys import Live, start, until

from lepton.core.errors import LeptonError
from lepton.core.ids import new_id

ROWS = 400


class Canaries:
    """Random values that share a random beginning, so that one search finds each of them in any form."""

    def __init__(self) -> None:
        self.mark = "q" + secrets.token_hex(4)
        self.number = 7_310_000_000_000 + secrets.randbelow(10**9) * 1000
        self.count = 0

    def word(self) -> str:
        self.count += 1
        return f"{self.mark}{secrets.token_hex(5)}"

    def whole(self) -> int:
        """A number whose first ten digits are the same for all."""
        self.count += 1
        return self.number + secrets.randbelow(1000)

    def needles(self) -> list[bytes]:
        """What no file may hold: the mark as text, UTF-16, hex and base64 at any alignment; the numbers as digits."""
        mark = self.mark.encode()
        in_base64 = [base64.b64encode(b"\0" * shift + mark)[4 if shift else 0 : -4] for shift in range(3)]
        return [
            mark,
            mark.decode().encode("utf-16-le"),
            mark.hex().encode(),
            *in_base64,
            str(self.number)[:10].encode(),
        ]


@pytest.fixture(params=("sqlite", "postgresql"))
def home(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Live, list[Path]]]:
    """A platform and every folder it can write to: home, temporary files, the database's own."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    folders = [tmp_path / "lepton", temporary]
    catalog = "sqlite"
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        database = f"canary_{new_id().lower()}"
        server.psql(f"CREATE DATABASE {database};")
        catalog = server.get_uri(database)
        folders.append(Path(server.pgdata))
    # Every request is kept in the log, so that the planted ones are among them.
    live = start(tmp_path / "lepton", catalog, LEPTON_REQUEST_LOG_ONE_IN="1")
    yield live, folders
    live.cli("down")


def test_a_thousand_planted_values_are_found_nowhere(home: tuple[Live, list[Path]], tmp_path: Path) -> None:
    live, folders = home
    canaries = Canaries()
    said: list[str] = []
    numbers = plant_and_use(live, canaries, said, tmp_path)
    assert canaries.count >= 1000
    assert_absent(canaries, numbers, folders)
    said.append(live.cli("down").stdout)
    assert_absent(canaries, numbers, folders)
    for text in said:
        assert canaries.mark not in text
        assert str(canaries.number)[:10] not in text


def plant_and_use(live: Live, canaries: Canaries, said: list[str], tmp_path: Path) -> list[int]:
    """Walk the road with planted values, also where it fails; collect what the platform says of it."""
    labels = [canaries.word(), canaries.word()]
    cities = [canaries.word() for _ in range(5)]
    numbers = [canaries.whole() for _ in range(ROWS)]
    lines = ["amount,city,patient,outcome"]
    for row, number in enumerate(numbers):
        spelled = labels[row % 2].upper() if row % 7 == 0 else labels[row % 2]
        lines.append(f"{number},{cities[row % 5]},{canaries.word()},{spelled}")
    lines.append(
        f"{numbers[0]},{cities[0]},{canaries.word()},{labels[0]},{canaries.word()}"
    )  # rejected: a field too many
    file = tmp_path / "planted.csv"
    file.write_text("\n".join(lines))
    broken = tmp_path / "broken.csv"
    ragged = [",".join(canaries.word() for _ in range(row % 7 + 4)) for row in range(40)]
    broken.write_text("\n".join(["a,b,c", *ragged, "1,2,3"]))

    with live.client() as client:
        data = client.datasets.import_(file, name="planted", personal=["patient"])
        assert data.rows == ROWS
        client.datasets.profile("planted")
        steps: list[dict[str, Any]] = [
            {
                "step": "normalize_labels",
                "columns": ["outcome"],
                "case": "lower",
                "mapping": {labels[1]: canaries.word()},
            },
            {"step": "fill_missing", "columns": ["city"], "strategy": "constant", "value": canaries.word()},
        ]
        clean = client.datasets.clean("planted@1", {"steps": steps})
        client.datasets.split(clean.ref, stratify="outcome")
        features = ["amount", "city"]
        model = client.models.train("planted", dataset=clean.ref, target="outcome", workers=2, features=features)
        client.models.evaluate(model.ref, dataset=clean.ref)
        client.models.predict(model.ref, dataset=clean.ref)
        endpoint = client.endpoints.deploy("planted", model=model.ref)
        client.endpoints.predict("planted", [{"amount": numbers[0], "city": cities[0]}])
        until(lambda: [one for one in client.endpoints.logs("planted") if one.row["city"] == cities[0]])
        until(lambda: client.endpoints.metrics("planted").deployments[0].drift)

        fails = [
            lambda: client.datasets.import_(broken, name="broken"),
            lambda: client.endpoints.predict("planted", [{"amount": canaries.word(), "city": cities[0]}]),
            lambda: client.endpoints.predict("planted", [{"amount": numbers[1], "city": numbers[2]}]),
            lambda: client.datasets.clean(
                "planted@2",
                {
                    "steps": [
                        {"step": "cast", "columns": ["city"], "type": "integer"},
                        {"step": "fill_missing", "strategy": canaries.word()},
                    ]
                },
            ),
            lambda: client.models.train("planted", dataset="planted@2", target="patient"),
        ]
        for fail in fails:
            try:
                fail()
            except LeptonError as error:
                said.append(error.message)
        assert len(said) == len(fails)
        headers = {"Authorization": f"Bearer {live.address['token']}"}
        wrong = httpx2.post(endpoint.url, content=f'[{{"amount": "{canaries.word()}"'.encode(), headers=headers)
        assert wrong.status_code == 400
        said.append(wrong.text)
        until(lambda: all(run.ended for run in client.runs.list()))
        for run in client.runs.list():
            said.extend(line.text for line in client.runs.logs(run.id).lines)
            said.append(repr(run))
    return numbers


def assert_absent(canaries: Canaries, numbers: list[int], folders: list[Path]) -> None:
    """Read every byte of every file and look for what was planted."""
    needles = canaries.needles()
    binary = [struct.pack("<q", number) for number in numbers] + [struct.pack("<d", number) for number in numbers]
    looked_at = 0
    for folder in folders:
        for root, _, names in os.walk(folder):
            for name in names:
                path = Path(root) / name
                if not path.is_file() or path.is_socket():
                    continue
                content = path.read_bytes()
                looked_at += 1
                for needle in needles:
                    assert needle not in content, f"{path} holds a planted value"
                if folder == folders[0]:
                    assert not any(needle in content for needle in binary), f"{path} holds a planted number"
    assert looked_at > 10

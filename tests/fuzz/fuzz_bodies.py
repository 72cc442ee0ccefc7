"""Coverage-guided fuzzing of everything that reads the body of a prediction, with atheris.

Run: python tests/fuzz/fuzz_bodies.py -max_total_time=300 [folder for the corpus]

The first byte says which reader. Whatever the bytes are: rows come out that the model's check can look at, or one of
our own errors; nothing else is raised, nothing hangs.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import atheris

with atheris.instrument_imports(include=["lepton.endpoints.replica", "lepton.models"]):
    from endpoints.models import MIXED
    from endpoints.tensors import binary
    from endpoints.test_arrow import stream, table
    from endpoints.test_oip import ROWS, TENSORS

    from lepton.core.errors import LeptonError
    from lepton.endpoints.replica.arrow import Arrow
    from lepton.endpoints.replica.inflate import Bomb, Damaged, UnknownEncoding, inflate
    from lepton.endpoints.replica.inputs import Shape
    from lepton.endpoints.replica.invocations import Invocations
    from lepton.endpoints.replica.oip import Oip
    from lepton.endpoints.replica.records import Records
    from lepton.endpoints.replica.tracing import parent_of

SHAPE = Shape(MIXED)
RECORDS = Records(SHAPE, endpoint="shop", model="m@1")
OIP = Oip(SHAPE, endpoint="shop", version="1")
ARROW = Arrow(SHAPE)
INVOCATIONS = Invocations(SHAPE)
MOST_BYTES = 1 << 20


def _oip_binary(data: bytes) -> object:
    return OIP.decode(data[2:], int.from_bytes(data[:2], "big")).inputs


def _inflated(data: bytes) -> object:
    found = inflate(data[1:], (b"gzip", b"deflate")[data[0] % 2] if data else b"gzip", most_bytes=MOST_BYTES, ratio=100)
    assert len(found) <= MOST_BYTES
    return None


READERS = [
    RECORDS.decode,
    lambda data: OIP.decode(data, None).inputs,
    _oip_binary,
    ARROW.decode,
    lambda data: INVOCATIONS.decode(data, b"application/json"),
    lambda data: INVOCATIONS.decode(data, b"text/csv"),
    _inflated,
    lambda data: parent_of(data) and None,
]


def seeds() -> list[bytes]:
    """A well-formed body for every reader."""
    import gzip
    import zlib

    tensors, json_bytes = binary(TENSORS)
    csv = "income,age,member,city,note\n1200.5,30,true,Paris,a b\n"
    bodies = [
        (0, json.dumps(ROWS).encode()),
        (0, json.dumps({"columns": {name: [row[name] for row in ROWS] for name in ROWS[0]}}).encode()),
        (1, json.dumps({"inputs": TENSORS, "outputs": [{"name": "label"}]}).encode()),
        (2, json_bytes.to_bytes(2, "big") + tensors),
        (3, stream(table(ROWS))),
        (4, json.dumps({"dataframe_records": ROWS}).encode()),
        (4, json.dumps({"dataframe_split": {"columns": list(ROWS[0]), "data": [list(ROWS[0].values())]}}).encode()),
        (4, json.dumps({"instances": ROWS}).encode()),
        (5, csv.encode()),
        (6, b"\0" + gzip.compress(b"x" * 700)),
        (6, b"\1" + zlib.compress(b"x" * 700)),
        (7, b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ]
    return [bytes([reader]) + body for reader, body in bodies]


def one(data: bytes) -> None:
    """Let a reader read."""
    if not data:
        return
    try:
        inputs = READERS[data[0] % len(READERS)](data[1:])
        if inputs is not None:
            arrays = SHAPE.arrays([inputs])
            assert all(len(array) == inputs.rows for array in arrays.values()), "rows went missing"
            SHAPE.check(inputs)
    except (LeptonError, Damaged, Bomb, UnknownEncoding):
        pass


def main() -> None:
    """Fuzz with libFuzzer's options."""
    folders = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if folders:
        os.makedirs(folders[0], exist_ok=True)
        for number, seed in enumerate(seeds()):
            (Path(folders[0]) / f"seed-{number}").write_bytes(seed)
    for seed in seeds():
        found = READERS[seed[0]](seed[1:])
        assert found is not None or seed[0] > 5, "a seed must be read, or most of a reader is never reached"
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

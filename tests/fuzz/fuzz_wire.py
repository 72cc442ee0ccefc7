"""Coverage-guided fuzzing of the replica's HTTP with atheris.

Run: python tests/fuzz/fuzz_wire.py -max_total_time=300 [folder for the corpus]

The bytes are a stream and where it is cut. It must give the same requests cut and whole, in well-formed answers, and no
request that the second parser of tests/endpoints/test_wire_fuzz.py does not see there. Nothing may be raised.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import atheris

with atheris.instrument_imports(include=["lepton.endpoints.replica", "httptools"]):
    from endpoints import wires
    from endpoints.test_wire import GET, chunked, post

from endpoints.test_wire_fuzz import heard, reference

SEEDS = [
    GET * 3,
    post(b"abc") * 3,
    post(b"abc", b"Connection: keep-alive", b"X: y"),
    chunked(b"abc", b"de", trailers=b"T: u\r\n") + GET,
    post(b"abc", b"Expect: 100-continue"),
    post(b"abc", b"Content-Encoding: gzip"),
    GET.replace(b"1.1", b"1.0"),
    GET.replace(b"GET", b"HEAD"),
    post(b"", path=b"/fails"),
]


def one(data: bytes) -> None:
    """Try one stream: its first byte says into how many packets it is cut."""
    if len(data) < 2 or b"/deny" in data or b"/admit-fails" in data:  # answered, but not to be seen in the app
        return
    size = data[0] or 1
    stream = data[1:]
    whole, _ = heard([stream])
    parts, _ = heard([stream[n : n + size] for n in range(0, len(stream), size)])
    assert whole == parts, "the cut changed the requests"
    expected, _ = reference(stream)
    if b"HTTP/1.0" in stream or b"content-encoding" in stream.lower():
        return  # the second parser knows neither
    assert len(whole) <= len(expected), "a request that the second parser does not see"
    assert whole == expected[: len(whole)], "another request than the second parser sees"


def main() -> None:
    """Fuzz with libFuzzer's options."""
    arguments = sys.argv[1:]
    folders = [argument for argument in arguments if not argument.startswith("-")]
    if folders:
        for number, seed in enumerate(SEEDS):
            os.makedirs(folders[0], exist_ok=True)
            (Path(folders[0]) / f"seed-{number}").write_bytes(b"\x40" + seed)
    assert wires.fed([GET])[0].seen
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Runs a graph from elsewhere once, in a process of its own with little time and memory: ``python -m …models.trial``.

It says what the graph answers with, and whether it answers each row by itself; whatever else a graph does, it does
not do it to the platform.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from lepton.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy.typing as npt

WITHIN_S = 20
MEMORY_BYTES = 4 << 30
ROWS = 3
TOLERANCE = 1e-3
"""Of answers in single or half precision."""
_FAILED = (
    "The graph could not be run on {} rows within {} s and {} GiB. Run it with onnxruntime first, and export it again."
)


def columns_of(graph: bytes, given: str, output: str, kind: int, width: int) -> int | None:
    """Return K if a graph answers N rows with [N, K], or None for [N].

    Args:
        graph: The graph.
        given: Its input, a matrix.
        output: The output that is looked at.
        kind: Element type of the input, as ONNX numbers them.
        width: Columns of the input.

    Raises:
        InvalidInput: if it cannot be run, or answers with something else.
    """
    asked = json.dumps([given, output, kind, width]).encode()
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "lepton.models.trial"],
            input=len(asked).to_bytes(4, "big") + asked + graph,
            capture_output=True, timeout=2 * WITHIN_S, check=True,
        )  # fmt: skip
        shape, are_shares, are_apart = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError):
        raise InvalidInput(_FAILED.format(ROWS, WITHIN_S, MEMORY_BYTES >> 30)) from None
    if not 1 <= len(shape) <= 2 or shape[0] != ROWS:
        raise InvalidInput(
            f"The graph answers {ROWS} rows with {'x'.join(map(str, shape)) or 'one'} numbers. It must answer every "
            "row by itself: [rows] or [rows, classes]."
        )
    if not are_apart:
        raise InvalidInput(
            "The graph answers a row differently when other rows are asked with it, as it computes something over all "
            "of them. Requests are answered together: export it without that (in PyTorch: model.eval())."
        )
    if len(shape) == 2 and shape[1] > 1 and not are_shares:
        raise InvalidInput(
            f"The graph answers every row with {shape[1]} numbers that are no probabilities: they do not add up to 1. "
            "Export it with a Softmax at its end."
        )
    return None if len(shape) == 1 else int(shape[1])


def main() -> None:
    """Run what standard input brings and write the shape of the answer."""
    resource.setrlimit(resource.RLIMIT_CPU, (WITHIN_S, WITHIN_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    data = sys.stdin.buffer.read()
    length = int.from_bytes(data[:4], "big")
    given, output, kind, width = json.loads(data[4 : 4 + length])

    import numpy as np
    from onnx import helper

    from lepton.models.prediction import open_session

    session = open_session(data[4 + length :])
    element = helper.tensor_dtype_to_np_dtype(kind)
    rows = np.random.default_rng(0).uniform(-3, 3, size=(ROWS, width)).astype(element)
    rows[0] = 0

    def answers(asked: npt.NDArray[Any]) -> npt.NDArray[Any]:
        (found,) = session.run([output], {given: asked})
        return found.astype(np.float64)

    found = answers(rows)
    are_shares = bool((found >= 0).all() and (abs(found.reshape(ROWS, -1).sum(axis=1) - 1) < TOLERANCE).all())
    are_apart = found.shape[:1] == (ROWS,) and all(
        np.allclose(found[n : n + 1], answers(rows[n : n + 1]), rtol=TOLERANCE, atol=TOLERANCE) for n in range(ROWS)
    )
    sys.stdout.write(json.dumps([list(found.shape), are_shares, bool(are_apart)]))


if __name__ == "__main__":
    main()

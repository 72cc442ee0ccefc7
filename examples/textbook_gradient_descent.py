"""Gradient descent on two worker processes, written out by hand, next to Lepton's own.

The table is synthetic (seeded). The script starts itself once more as worker 1; both join over TCP with a secret.
Run: python examples/textbook_gradient_descent.py
"""

import os
import secrets
import socket
import subprocess
import sys

import numpy as np

from lepton import LinearRegression
from lepton.training.collective import Collective, TcpCollective

WORKERS = 2
STEPS = 400
LEARNING_RATE = 0.5


def draw_table() -> tuple[np.ndarray, np.ndarray]:
    """Return features [n, 3] and targets [n]."""
    random = np.random.default_rng(3)
    features = random.normal(size=(2_000, 3))
    return features, features @ np.array([3.0, -2.0, 0.5]) + 4.0 + random.normal(0, 0.1, 2_000)


def descend(collective: Collective) -> np.ndarray:
    """The textbook method; every worker runs these lines."""
    features, targets = draw_table()
    mine = slice(collective.rank, None, collective.world_size)  # 1. partition: this worker's rows
    x, y = np.column_stack([features[mine], np.ones(len(features[mine]))]), targets[mine]
    weights = np.zeros(x.shape[1])  # 2. initialize: the same everywhere
    for step in range(1, STEPS + 1):
        error = x @ weights - y
        gradient = x.T @ error  # 3. the gradient of this worker's rows
        loss = 0.5 * error @ error
        sums = collective.all_reduce(np.concatenate([gradient, [loss, len(y)]]))  # 4. aggregate over the workers
        weights = weights - LEARNING_RATE * sums[:-2] / sums[-1]  # 5. update: the same step everywhere
        if collective.rank == 0 and step in (1, 2, 5, 10, 20, STEPS):
            print(f"step {step:>3}  mean loss {sums[-2] / sums[-1]:.6f}", flush=True)
    return weights


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    secret = secrets.token_bytes(32)
    command = [sys.executable, __file__, str(listener.getsockname()[1])]
    other = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603  # this script itself
    with other.stdin as pipe:
        pipe.write(secret)
    with TcpCollective.lead(listener, world_size=WORKERS, secret=secret) as collective:
        print(f"{WORKERS} workers: processes {os.getpid()} and {other.pid}")
        weights = descend(collective)
    other.wait()

    alone = LinearRegression(solver="gd", tolerance=1e-10).fit(*draw_table())
    difference = np.abs(weights - np.append(alone.coef_, alone.intercept_)).max()
    print(f"weights {np.round(weights, 4)}")
    print(f"largest difference from LinearRegression(solver='gd') on one worker: {difference:.1e}")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:  # worker 1: the secret comes through the pipe, so that no list of processes shows it
        address = ("127.0.0.1", int(sys.argv[1]))
        with TcpCollective.follow(address, rank=1, world_size=WORKERS, secret=sys.stdin.buffer.read()) as joined:
            descend(joined)

"""What HAProxy in front costs: an endpoint that is asked itself, and one replica of one behind the balancer.

Run: python -m benchmarks.serving.balanced        (under a minute; needs haproxy)

Two platforms on one core. One answers as usual; the other was started with ``LEPTON_ENGINE``, so HAProxy stands in
front of its only replica, which it speaks to over TLS. Windows alternate. How long the core worked for an answer, at
full speed; latencies at 3,000 requests a second. Medians of the windows.
"""

from __future__ import annotations

import statistics
import sys

from benchmarks.serving import processes
from benchmarks.serving.cases import Case
from benchmarks.serving.two import Two, two

RATE, WINDOWS, SECONDS, CONNECTIONS = 3_000, 7, 1.0, 16
CASE = Case("logistic", 1, "json")
ENGINE = "local://127.0.0.2"


def main() -> int:
    """Measure and print a table."""
    with two(lambda _folder: {"LEPTON_ENGINE": ENGINE}) as both:
        both.check(CASE)
        print("| | answers/s | CPU µs | p50 ms at 3,000/s | p99 ms |\n|---|---|---|---|---|")
        windows = [[_window(both, which) for which in (0, 1)] for _ in range(WINDOWS)]
        for which, name in enumerate(("asked itself", "behind HAProxy")):
            medians = [statistics.median(values) for values in zip(*(pair[which] for pair in windows), strict=True)]
            print("| {} | {:,.0f} | {:.1f} | {:.2f} | {:.2f} |".format(name, *medians))
    return 0


def _window(both: Two, which: int) -> tuple[float, float, float, float]:
    server = both.servers[which]
    with both.load(server, CASE, connections=CONNECTIONS, seconds=SECONDS) as load:
        load.warm(0.2)
        before = processes.busy_s(server.place.core)
        full = load.go()
        spent = processes.busy_s(server.place.core) - before
    with both.load(server, CASE, connections=CONNECTIONS, seconds=SECONDS, rate=RATE) as load:
        fixed = load.go()
    return full.rate, 1e6 * spent / full.answered, fixed.p50_ns / 1e6, fixed.p99_ns / 1e6


if __name__ == "__main__":
    sys.exit(main())

"""How a Ray cluster that can grow learns that runs wait for room: by jobs that do nothing, and wait as the runs do.

Ray's autoscaler starts machines for what waits for a place in Ray, and only for that; Lepton's queue holds runs back
until there is room. So each of the first that wait has scouts in Ray, a job for each piece of room that it needs. Once
there is room the queue sees the machines. On a cluster that cannot grow scouts wait and cost nothing.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from lepton.core.errors import Unavailable
from lepton.runs.engines.ray_dashboard import OVER, Dashboard, Job
from lepton.runs.records import Resources

MOST = 4
"""For so many runs at a time room is asked."""
LOOK_EVERY_S = 2.0
"""How often it is asked whether a scout has ended: one whose room somebody else took is sent again."""
_STAY_S = 30
"""How long one of several keeps its place for the others to find theirs, or the last would take that of the first."""


class Scouts:
    """The scouts of one platform.

    Args:
        dashboard: The cluster.
        cpus: Processors of what Ray hands out that count as one.
        over: Told which jobs are not needed any more.
    """

    def __init__(self, dashboard: Dashboard, cpus: float, over: Callable[[str], None]) -> None:
        self._dashboard = dashboard
        self._cpus = cpus
        self._over = over
        self._sent: dict[tuple[str, int], str] = {}
        self._looked_s = 0.0

    def want(self, waiting: Mapping[str, Sequence[Resources]]) -> None:
        """Have scouts for each of the first of these runs.

        Others are told to end. Ray lets a job hear that only when it has its place, or gives up after 15 minutes.

        Raises:
            Unavailable: if the dashboard does not answer.
        """
        wanted = {
            (run_id, number): (piece, len(pieces))
            for run_id, pieces in itertools.islice(waiting.items(), MOST)
            for number, piece in enumerate(pieces)
        }
        for one in self._sent.keys() - wanted.keys():
            with suppress(Unavailable):  # it ends by itself as well
                self._dashboard.stop(self._sent[one])
            self._over(self._sent.pop(one))
        if self._sent and time.monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = time.monotonic()
            for one, job in list(self._sent.items()):
                if self._dashboard.status(job) in (None, *OVER):
                    self._over(self._sent.pop(one))
        for one, (needs, others) in wanted.items():
            if one not in self._sent:
                self._send(one, needs, alone=others == 1)

    def _send(self, one: tuple[str, int], needs: Resources, *, alone: bool) -> None:
        run_id, piece = one
        for number in itertools.count():
            job = Job(
                id=f"lepton-room-{run_id}-{number}" + (f"-{piece}" if piece else ""),
                entrypoint="true" if alone else f"exec sleep {_STAY_S}",
                cpus=self._cpus * needs.cpus,
                environment={},
                memory_bytes=needs.memory_mb << 20,
                gpus=needs.gpus,
            )
            if self._dashboard.submit(job):  # or taken over, from a platform that was killed
                self._sent[one] = job.id
                return
            self._over(job.id)

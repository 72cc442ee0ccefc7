"""How a Ray cluster that can grow learns that runs wait for room: by jobs that do nothing, and wait as the runs do.

Ray's autoscaler starts machines for what waits for a place in Ray, and only for that; Lepton's queue holds runs back
until there is room. So each of the first that wait has a scout in Ray, a job that asks for what the run asks for. Once
there is room the scout ends at once, and the queue sees the machine. On a cluster that cannot grow it waits and costs
nothing.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from lepton.core.errors import Unavailable
from lepton.runs.engines.ray_dashboard import OVER, Dashboard, Job
from lepton.runs.records import Resources

MOST = 4
"""For so many runs at a time room is asked."""
LOOK_EVERY_S = 2.0
"""How often it is asked whether a scout has ended: one whose room somebody else took is sent again."""


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
        self._sent: dict[str, str] = {}
        self._looked_s = 0.0

    def want(self, waiting: Mapping[str, Resources]) -> None:
        """Have a scout for each of the first of these runs.

        Others are told to end. Ray lets a job hear that only when it has its place, or gives up after 15 minutes.

        Raises:
            Unavailable: if the dashboard does not answer.
        """
        wanted = dict(itertools.islice(waiting.items(), MOST))
        for run_id in self._sent.keys() - wanted.keys():
            with suppress(Unavailable):  # it ends by itself as well
                self._dashboard.stop(self._sent[run_id])
            self._over(self._sent.pop(run_id))
        if self._sent and time.monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = time.monotonic()
            for run_id, job in list(self._sent.items()):
                if self._dashboard.status(job) in (None, *OVER):
                    self._over(self._sent.pop(run_id))
        for run_id, needs in wanted.items():
            if run_id not in self._sent:
                self._send(run_id, needs)

    def _send(self, run_id: str, needs: Resources) -> None:
        for number in itertools.count():
            job = Job(
                id=f"lepton-room-{run_id}-{number}",
                entrypoint="true",
                cpus=self._cpus * needs.cpus,
                environment={},
                memory_bytes=needs.memory_mb << 20,
                gpus=needs.gpus,
            )
            if self._dashboard.submit(job):  # or taken over, from a platform that was killed
                self._sent[run_id] = job.id
                return
            self._over(job.id)

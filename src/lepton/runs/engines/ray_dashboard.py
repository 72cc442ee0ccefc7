"""A Ray cluster by the REST interface of its dashboard: jobs, and the machines that they are placed on.

Source: Ray's documentation, "Ray Jobs REST API". It imports nothing of Ray's: the platform needs none of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from lepton.core.errors import Unavailable

PORT = 8265
TIMEOUT_S = 10.0
OVER = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})
"""States of a job that has ended."""
_UNREACHABLE = (
    "The Ray dashboard at {} does not answer. Is the cluster up, and is LEPTON_ENGINE its dashboard's address?"
)
_NOT_LET_IN = (
    "The Ray cluster does not take the token it was shown. Put the cluster's token into RAY_AUTH_TOKEN, or name its "
    "file in RAY_AUTH_TOKEN_PATH, and start the platform again."
)


class Refused(Unavailable):
    """The dashboard answers, and does not do what it was asked to."""


@dataclass(frozen=True)
class Job:
    """What is to be started. Everybody who may look at the dashboard reads it: nothing of it is secret.

    Attributes:
        entrypoint: A command of the shell.
        cpus: Processors that Ray hands out for it.
        memory_bytes: Memory, the same; 0 asks for none in particular.
        gpus: GPUs, the same.
        apart: Jobs with the same word are placed on different machines as far as there are such; empty: anywhere.
        node: Id of the machine that it is to be on; empty: any.
    """

    id: str
    entrypoint: str
    cpus: float
    environment: Mapping[str, str]
    apart: str = ""
    memory_bytes: int = 0
    gpus: int = 0
    node: str = ""


@dataclass(frozen=True)
class Node:
    """A machine, and what Ray hands out of it."""

    id: str
    cpus: float
    memory_mb: int
    gpus: int


class Dashboard:
    """One cluster. Every method raises `Unavailable` if the dashboard does not answer, or refuses.

    Args:
        address: ``HOST`` or ``HOST:PORT``.
        environment: Where the token is looked for.
    """

    def __init__(self, address: str, environment: Mapping[str, str]) -> None:
        self._url = f"http://{address if ':' in address else f'{address}:{PORT}'}"
        token = _token(environment)
        self._http = httpx2.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=TIMEOUT_S,
            trust_env=False,
            limits=httpx2.Limits(max_keepalive_connections=0),  # it is asked now and then, and left as it was found
        )

    def submit(self, job: Job) -> bool:
        """Start a job, or take over the one of that id: whoever submitted it died before it was told anything.

        Returns:
            False if the one of that id has ended. Its name is not to be used again: what is left of it in Ray, which
            goes a little later, would hinder a new one, or be taken for its end.
        """
        chosen = self._choose(job) if job.apart and not job.node else None
        node = chosen.id if chosen else job.node
        body: dict[str, object] = {
            "submission_id": job.id,
            "entrypoint": job.entrypoint,
            "entrypoint_num_cpus": job.cpus,
            "entrypoint_num_gpus": job.gpus,
            "entrypoint_memory": job.memory_bytes,
            "runtime_env": {"env_vars": dict(job.environment)},
            "metadata": {"lepton_apart": job.apart, "lepton_node": node},
        }
        if node:
            body["entrypoint_label_selector"] = {"ray.io/node-id": node}
        try:
            self._ask("POST", "/api/jobs/", body)
        except Unavailable:
            there = self.status(job.id)
            if there is None:
                raise
            return there not in OVER
        return True

    def status(self, job_id: str) -> str | None:
        """Return the state of a job, such as ``RUNNING``; None if there is none."""
        job = self._ask("GET", f"/api/jobs/{job_id}")
        return None if job is None else str(job["status"])

    def was_placed(self, job_id: str) -> bool:
        """Whether a job that has failed had a place, as far as Ray says; without one nothing of it was started."""
        job = self._ask("GET", f"/api/jobs/{job_id}") or {}
        return not str(job.get("error_type") or "").startswith("JOB_SUPERVISOR_ACTOR")

    def log(self, job_id: str) -> str:
        """Return what a job has written so far."""
        answer = self._ask("GET", f"/api/jobs/{job_id}/logs")
        return "" if answer is None else str(answer["logs"])

    def stop(self, job_id: str) -> None:
        """Let a job end."""
        self._ask("POST", f"/api/jobs/{job_id}/stop")

    def forget(self, job_id: str) -> None:
        """Have it forget a job that has ended; it keeps them for ever, and lists them all when it is asked."""
        self._ask("DELETE", f"/api/jobs/{job_id}")

    def nodes(self) -> list[Node]:
        """Return the machines that are there now."""
        answer = self._ask("GET", "/api/v0/nodes?limit=10000&detail=true")
        rows = answer["data"]["result"]["result"] if answer else []
        return [
            Node(
                row["node_id"], has.get("CPU", 0.0), int(has.get("memory", 0)) >> 20, int(has.get("GPU", 0))
            )
            for row in rows
            if row["state"] == "ALIVE"
            for has in [row["resources_total"]]
        ]  # fmt: skip

    def _choose(self, job: Job) -> Node | None:
        """Choose the machine with the fewest living jobs of the same word, then of any of ours."""
        living = [one for one in self._ask("GET", "/api/jobs/") or [] if one["status"] not in OVER]
        ours = [one["metadata"] for one in living if "lepton_node" in (one.get("metadata") or {})]
        used = Counter(one["lepton_node"] for one in ours)
        apart = Counter(one["lepton_node"] for one in ours if one["lepton_apart"] == job.apart)
        nodes = self.nodes()
        roomy = [node for node in nodes if node.cpus - job.cpus * used[node.id] >= job.cpus]
        return min(roomy or nodes, key=lambda node: (apart[node.id], used[node.id], node.id), default=None)

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        """Return the parsed answer; None if there is no such thing."""
        try:
            answer = self._http.request(method, path, json=body)
        except httpx2.HTTPError as error:
            raise Unavailable(_UNREACHABLE.format(self._url)) from error
        if answer.status_code in (401, 403):
            raise Unavailable(_NOT_LET_IN)
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise Refused(f"Ray refused (status {answer.status_code}). Look at its dashboard at {self._url}.")
        return answer.json()


def _token(environment: Mapping[str, str]) -> str:
    """Find the cluster's token where Ray's own tools do."""
    if token := environment.get("RAY_AUTH_TOKEN"):
        return token.strip()
    try:
        return Path(environment.get("RAY_AUTH_TOKEN_PATH", "/nowhere")).read_text().strip()
    except OSError:
        return ""

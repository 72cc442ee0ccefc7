"""What the replicas of one endpoint are together. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lepton.endpoints.balanced.place import Standing
from lepton.endpoints.replica.config import MAX_WORKERS, Limits, ReplicaConfig
from lepton.endpoints.replica.control import MachineStatus, ReplicaStatus


def share_of(config: ReplicaConfig) -> ReplicaConfig:
    """Return what one replica is told: its share of the endpoint's limits, and nothing of the others."""
    count = config.workers.replicas
    deployments = tuple(replace(one, limits=_part(one.limits, count)) for one in config.deployments)
    return replace(config, deployments=deployments, workers=replace(config.workers, replicas=1), engine="")


def answering(standings: Mapping[int, Standing]) -> list[int]:
    """Return the places whose replicas can be asked; one that went silent only if no other is left."""
    able = [slot for slot, one in sorted(standings.items()) if one.hello and one.status and one.status.serving]
    return [slot for slot in able if not standings[slot].silent] or able


def summary(config: ReplicaConfig, standings: Mapping[int, Standing], *, message: str = "") -> ReplicaStatus:
    """Put together how an endpoint stands, as if it were one replica.

    Args:
        config: What it was told last.
        standings: Of every place.
        message: What is wrong with the balancer; empty if nothing.
    """
    count = config.workers.replicas
    wanted = {slot: one for slot, one in standings.items() if slot < count}
    heard = {slot: one.status for slot, one in sorted(standings.items()) if one.status is not None}
    servings = [one.status.serving for one in wanted.values() if one.status and one.status.serving]
    said = [one.status.message if one.status else one.message for one in wanted.values()]
    return ReplicaStatus(
        pid=0,
        told=config.generation,
        serving=min(servings, default=0),
        coming=len(wanted) < count
        or any(_is_coming(one, config.generation, bool(servings)) for one in wanted.values()),
        message=message or next((sentence for sentence in said if sentence), ""),
        host=config.host,
        port=config.port,
        grpc_port=config.grpc_port,
        min=config.workers.min,
        max=config.workers.max,
        wanted=sum(one.wanted for one in heard.values()),
        requests=sum(one.requests for one in heard.values()),
        errors=sum(one.errors for one in heard.values()),
        workers=tuple(
            replace(worker, slot=slot * MAX_WORKERS + worker.slot, machine=_machine(standings[slot]))
            for slot, one in heard.items()
            for worker in one.workers
        ),
        machines=tuple(_status_of(slot, one, slot < count) for slot, one in sorted(standings.items())),
        replicas=count,
    )


def _is_coming(one: Standing, generation: int, others_answer: bool) -> bool:
    """Whether it is worth waiting for this one; a machine that is not there is not waited for while others answer."""
    if one.status is not None:
        return not one.silent and (one.status.told != generation or one.status.coming)
    return not (one.message and (others_answer or one.run_id == ""))


def _status_of(slot: int, one: Standing, is_wanted: bool) -> MachineStatus:
    state = "ready" if one.status and one.status.serving else "starting"
    if not is_wanted:
        state = "leaving"
    elif one.silent:
        state = "silent"
    elif one.hello is None:
        state = "waiting"
    return MachineStatus(slot, _machine(one), state, one.status.message if one.status else one.message)


def _machine(one: Standing) -> str:
    return "" if one.hello is None else one.hello.address


def _part(limits: Limits, count: int) -> Limits:
    return Limits(
        max_rate=limits.max_rate and limits.max_rate / count,
        max_token_rate=limits.max_token_rate and limits.max_token_rate / count,
        max_concurrency=limits.max_concurrency and max(1, limits.max_concurrency // count),
    )

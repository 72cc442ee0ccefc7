"""What an endpoint becomes when a version is deployed to it, or goes back; who gets how much. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from lepton.core.errors import Conflict
from lepton.endpoints.records import (
    Beside,
    Companion,
    Compared,
    Deployed,
    Endpoint,
    EndpointState,
    Role,
)
from lepton.endpoints.replica.config import Limits, Workers
from lepton.endpoints.replica.metrics import Counts
from lepton.endpoints.watch import Tally
from lepton.models.records import ModelArtifact
from lepton.models.signature import Signature


@dataclass(frozen=True)
class Asked:
    """What a deployment asks for, besides the version.

    Attributes:
        workers: How many processes predict on a machine; None: as many as before, one for a new endpoint. A range that
            is all that changes is taken over by the workers that run.
        replicas: On how many machines; None: as before, one for a new endpoint.
        limits: How much it may be asked; None, and every limit that is None: as before, none for a new endpoint.
        shares: Name of the endpoint in whose replica it is to answer; empty: as before, one of its own for a new one.
        by: Who asks; `Endpoints.deploy` fills it.
    """

    workers: Workers | None = None
    replicas: int | None = None
    limits: Limits | None = None
    shares: str = ""
    by: str = ""

    def of(self, workers: Workers, limits: Limits) -> tuple[Workers, Limits]:
        """Return the workers and limits that an endpoint is to have which has these."""
        replicas = workers.replicas if self.replicas is None else self.replicas
        return replace(self.workers or workers, replicas=replicas), (self.limits or Limits()).over(limits)


NOTHING = Asked()
"""As before, or as for a new endpoint."""


def replaced(old: Endpoint, artifact: ModelArtifact, asked: Asked) -> Endpoint:
    """Let a version be the main one and the only one; where it is already, only the other settings may change.

    The generation stays where nothing changes that workers are told of when they start.
    """
    workers, limits = asked.of(old.workers, old.limits)
    is_same = artifact.version_id == old.model_version_id
    if is_same and limits == old.limits and workers != old.workers:
        return replace(old, workers=workers)
    keeps = is_same and any(one is not None for one in (asked.workers, asked.replicas, asked.limits))
    return replace(
        _anew(old, asked.by),
        model=artifact.ref,
        model_version_id=artifact.version_id,
        blob_id=artifact.blob_id,
        workers=workers,
        limits=limits,
        companions=old.companions if keeps else (),
        previous=old.previous if is_same else old.model,
        went_back=old.went_back if keeps else "",
    )


def joined(old: Endpoint, artifact: ModelArtifact, beside: Beside, asked: Asked, now: datetime) -> Endpoint:
    """Let a version stand beside the main one, as the last companion.

    Raises:
        Conflict: if it is the main version.
    """
    if artifact.version_id == old.model_version_id:
        raise Conflict(
            f"{artifact.ref} answers for endpoint {old.name!r} already and cannot be its {beside.role.value} as well. "
            "Give another version."
        )
    workers, limits = asked.of(old.workers, old.limits)
    new = Companion(beside.role, artifact.ref, artifact.version_id, artifact.blob_id, beside.percent, now)
    kept = [one for one in old.companions if one.role is not new.role and one.model_version_id != new.model_version_id]
    return replace(_anew(old, asked.by), workers=workers, limits=limits, companions=(*kept, new), went_back="")


def without(old: Endpoint, *roles: Role, by: str = "", why: str = "") -> Endpoint:
    """Drop the companions of these roles.

    Args:
        old: As it is.
        roles: Which.
        by: Who asked for it; empty if Lepton does it by itself.
        why: Half a sentence; empty if somebody asked for it.
    """
    gone = [one for one in old.companions if one.role in roles]
    names = " and ".join(f"{one.role.value} {one.model}" for one in gone)
    told = f"{names[:1].upper()}{names[1:]} went back, as {why.rstrip('.')}." if why else ""
    kept = tuple(one for one in old.companions if one.role not in roles)
    return replace(_anew(old, by or old.created_by), companions=kept, went_back=told)


def gone_back(old: Endpoint, artifact: ModelArtifact, by: str) -> Endpoint:
    """Let the version before answer again, alone."""
    return replace(
        _anew(old, by),
        model=artifact.ref,
        model_version_id=artifact.version_id,
        blob_id=artifact.blob_id,
        companions=(),
        previous="",
        went_back="",
    )


def check_columns(main: tuple[str, Signature], other: tuple[str, Signature]) -> None:
    """Refuse a version that does not take the columns of the main one, or answers another question.

    Args:
        main: The main version's name and signature.
        other: Those of the version that is to stand beside it.

    Raises:
        Conflict: saying which columns differ.
    """
    ours, theirs = ({column.name: column.type for column in one[1].inputs} for one in (main, other))
    said = []
    if lacks := [name for name in ours if name not in theirs]:
        said.append(f"does not take {_listed(lacks)}")
    if asks := [name for name in theirs if name not in ours]:
        said.append(f"also takes {_listed(asks)}")
    if types := [name for name in ours if name in theirs and ours[name] is not theirs[name]]:
        said.append(f"takes {_listed(types)} as another type")
    if not said and list(ours) != list(theirs):
        said.append("takes them in another order")
    if (main[1].task, main[1].target) != (other[1].task, other[1].target):
        said.append(f"predicts {other[1].target!r} ({other[1].task.value}) and not {main[1].target!r}")
    if said:
        raise Conflict(
            f"{other[0]} cannot stand beside {main[0]}, as the same requests go to both: it {', and '.join(said)}. "
            "Deploy it without canary and shadow, or under another name."
        )


def rollout(endpoint: Endpoint, tallies: dict[str, Tally]) -> tuple[Deployed, ...]:
    """Say what every version of an endpoint gets and how it did."""
    left = 100 - sum(one.percent for one in endpoint.companions)
    shares = [(endpoint.model, "main", left)]
    shares += [(one.model, one.role.value, one.percent) for one in endpoint.companions]
    return tuple(_deployed(*share, tallies.get(share[0], Tally())) for share in shares)


def _deployed(model: str, role: str, percent: int, tally: Tally) -> Deployed:
    counts, found = tally.counts, tally.comparison
    compared = Compared(
        rows=found.rows,
        same_percent=100 * found.same / found.rows if found.rows else None,
        mean_difference=found.difference_sum / found.rows if found.rows else None,
        largest_difference=found.difference_most,
        failed=found.failed,
        skipped=found.skipped,
    )
    return Deployed(
        model=model,
        role=role,
        percent=percent,
        requests=counts.answers,
        errors=counts.errors,
        limited=counts.limited,
        p50_ms=_quantile_ms(counts, 0.5),
        p99_ms=_quantile_ms(counts, 0.99),
        comparison=compared if role == Role.SHADOW else None,
    )


def _quantile_ms(counts: Counts, share: float) -> float | None:
    seconds = counts.quantile_s(share)
    return None if seconds is None or seconds == float("inf") else round(seconds * 1000, 6)


def _anew(old: Endpoint, by: str) -> Endpoint:
    return replace(old, generation=old.generation + 1, state=EndpointState.STARTING, message="", created_by=by)


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return f"column{'' if len(names) == 1 else 's'} {shown}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"

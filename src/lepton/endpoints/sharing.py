"""Endpoints that answer in the replica of another: which belong together, and how each of them stands. Pure.

A replica is told of all its endpoints at once and moves over to them together (decision 0024).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lepton.core.errors import Conflict, InvalidInput
from lepton.endpoints.keeper import Found
from lepton.endpoints.plans import Asked
from lepton.endpoints.records import Endpoint, EndpointState
from lepton.models.signature import Signature


@dataclass(frozen=True)
class Group:
    """The endpoints of one replica.

    Attributes:
        host: The one that the replica is of.
        guests: Those that share it, by name.
    """

    host: Endpoint
    guests: tuple[Endpoint, ...] = ()

    @property
    def members(self) -> tuple[Endpoint, ...]:
        """All of them, the host first."""
        return (self.host, *self.guests)

    @property
    def whole(self) -> Endpoint:
        """The host as its replica should be told of it: the generation counts the deployments of all."""
        return replace(self.host, generation=sum(one.generation for one in self.members))


def groups(found: Iterable[Endpoint]) -> list[Group]:
    """Return which endpoints belong together; each host must be among them."""
    by_host: dict[str, list[Endpoint]] = {}
    for one in sorted(found, key=lambda one: (bool(one.shares), one.project, one.name)):
        by_host.setdefault(one.replica_id, []).append(one)
    return [Group(host, tuple(guests)) for host, *guests in by_host.values()]


def standing(member: Endpoint, found: Found) -> tuple[EndpointState, str]:
    """Say how one endpoint of a replica stands, and why.

    What answered before a deployment goes on while that is being started, and if it cannot be: it is only the endpoints
    that were deployed that are starting, or have failed.
    """
    if found.state is None or (member.state is EndpointState.READY and found.goes_on):
        return member.state, member.message
    if found.state is EndpointState.STARTING and member.state is EndpointState.FAILED:
        return member.state, member.message  # it is tried again, and keeps its sentence until it is ready
    return found.state, found.message


def check_guest(old: Endpoint | None, name: str, asked: Asked) -> None:
    """Refuse what an endpoint cannot be asked for that answers, or is to answer, in the replica of another.

    Raises:
        Conflict: if it would move to another replica.
        InvalidInput: if it shares with itself, or is to have workers of its own.
    """
    if asked.shares == name:
        raise InvalidInput(f"Endpoint {name!r} cannot share its own replica. Name another endpoint.")
    if old is not None and asked.shares and asked.shares != old.shares:
        has = f"shares the replica of {old.shares!r}" if old.shares else "has a replica of its own"
        raise Conflict(f"Endpoint {name!r} {has} and keeps it. To move it, delete it and deploy it again.")
    host = asked.shares or (old.shares if old is not None else "")
    if host and (asked.workers is not None or asked.replicas is not None):
        raise InvalidInput(
            f"Endpoint {name!r} has the workers of {host!r}, whose replica it shares. Say how many there should be "
            f"when you deploy {host!r}."
        )


def check_host(host: Endpoint) -> None:
    """Refuse the replica of an endpoint that has none of its own.

    Raises:
        Conflict: saying whose it is.
    """
    if host.shares:
        raise Conflict(
            f"Endpoint {host.name!r} shares the replica of {host.shares!r} itself. Share that of {host.shares!r}."
        )


def check_inputs(*signatures: Signature) -> None:
    """Refuse what does not share: a server with the OpenAI API, of which there can be one at an address.

    Raises:
        InvalidInput: if one of them is that.
    """
    if not all(signature.inputs for signature in signatures):
        raise InvalidInput(
            "An endpoint that passes its requests on to another server has a replica of its own, which none shares. "
            "Deploy it without shares."
        )

"""What a credential made by another may be at most: no wider, and no longer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from lepton.access.actions import ACTIONS
from lepton.access.records import Actor
from lepton.core.errors import Forbidden, InvalidInput

LONGEST_S = 10 * 366 * 86_400


def narrowed(actor: Actor, scopes: Iterable[str] | None) -> tuple[str, ...] | None:
    """The scopes of a token that `actor` makes: those asked for, or those of its own token.

    Raises:
        InvalidInput: if a scope is no action, or none is asked for.
        Forbidden: if a scope is one that the actor's own token lacks.
    """
    if scopes is None:
        return None if actor.scopes is None else tuple(sorted(actor.scopes))
    asked = sorted(set(scopes))
    unknown = [scope for scope in asked if scope not in ACTIONS]
    if unknown or not asked:
        what = f"{unknown[0][:60]!r} is not an action" if unknown else "A token without any scope is good for nothing"
        raise InvalidInput(f"{what}. Actions are a noun and a verb, such as 'datasets.list' or 'endpoints.predict'.")
    beyond = [scope for scope in asked if actor.scopes is not None and scope not in actor.scopes]
    if beyond:
        raise Forbidden(f"Your own token is not good for {beyond[0]}, so it cannot make one that is.")
    return tuple(asked)


def end(actor: Actor, now: datetime, expires_in_s: int | None) -> datetime | None:
    """When a token that `actor` makes now expires: when asked, and never after the actor's own.

    Raises:
        InvalidInput: if the life is not from one second to ten years.
    """
    if expires_in_s is None:
        return actor.expires_at
    if not 1 <= expires_in_s <= LONGEST_S:
        raise InvalidInput(
            f"A token lives from 1 second to {LONGEST_S // 86_400} days. Say nothing of its life for one that does not "
            "expire."
        )
    asked = now + timedelta(seconds=expires_in_s)
    return asked if actor.expires_at is None else min(asked, actor.expires_at)

"""The one table of who may do what. An action is ``noun.verb``, the same words as in REST, SDK and CLI."""

from __future__ import annotations

from collections.abc import Mapping

from lepton.access.records import Actor, Role
from lepton.core.columns import ColumnClass

_OWNER = frozenset({Role.OWNER})
_STEWARD = _OWNER | {Role.STEWARD}
_EDITOR = _STEWARD | {Role.EDITOR}
_VIEWER = _EDITOR | {Role.VIEWER}
_CALLER = _EDITOR | {Role.CALLER}
_ALL = _VIEWER | {Role.CALLER}

ACTIONS: Mapping[str, frozenset[Role]] = {
    # What there is, and what is in it
    "datasets.list": _VIEWER,
    "datasets.get": _VIEWER,
    "datasets.profile": _VIEWER,
    "datasets.rows": _VIEWER,
    "datasets.read_personal": _STEWARD,
    "datasets.read_secret": _OWNER,
    "labels.list": _VIEWER,
    "runs.list": _VIEWER,
    "runs.get": _VIEWER,
    "runs.logs": _VIEWER,
    "runs.queue": _VIEWER,
    "runs.quota": _VIEWER,
    "runs.schedules": _VIEWER,
    "runs.artifacts": _VIEWER,
    "models.list": _VIEWER,
    "models.get": _VIEWER,
    "endpoints.list": _VIEWER,
    "endpoints.get": _VIEWER,
    # Making, taking out and deleting
    "datasets.import": _EDITOR,
    "datasets.clean": _EDITOR,
    "datasets.split": _EDITOR,
    "datasets.export": _EDITOR,
    "datasets.delete": _EDITOR,
    "runs.submit": _EDITOR,
    "runs.cancel": _EDITOR,
    "runs.retry": _EDITOR,
    "runs.schedule": _EDITOR,
    "runs.unschedule": _EDITOR,
    "runs.limit": _OWNER,  # of the platform: what one project may use, others may not
    "runs.create": _EDITOR,
    "runs.track": _EDITOR,
    "models.train": _EDITOR,
    "models.tune": _EDITOR,
    "models.register": _STEWARD,  # code of one's own that runs on the platform's machine, confined as it is
    "models.evaluate": _EDITOR,
    "models.predict": _EDITOR,
    "models.export": _EDITOR,
    "models.delete": _EDITOR,
    "endpoints.deploy": _EDITOR,
    "endpoints.rollback": _EDITOR,
    "endpoints.logs": _EDITOR,
    "endpoints.predict": _CALLER,
    "endpoints.delete": _EDITOR,
    # Everybody sees the projects they are in and looks after their own tokens, which never hold more than they do
    "projects.list": _ALL,
    "tokens.list": _ALL,
    "tokens.create": _ALL,
    "tokens.delete": _ALL,
    # Who is in, and what they did
    "users.list": _STEWARD,
    "users.create": _OWNER,
    "users.update": _OWNER,
    "users.delete": _OWNER,
    "projects.create": _OWNER,
    "audit.list": _OWNER,
}

READ_ACTIONS: Mapping[ColumnClass, str] = {
    ColumnClass.PERSONAL: "datasets.read_personal",
    ColumnClass.SECRET: "datasets.read_secret",
}
"""What reading a class of columns takes, beside reading at all."""

ACCESS_NOUNS = frozenset({"projects", "users", "tokens", "audit"})

RUN_ACTIONS = frozenset(action for action in ACTIONS if action.partition(".")[0] not in ACCESS_NOUNS) - {"runs.limit"}
"""What code inside a run can be allowed: data, never people, credentials or its own quota."""

_LOOKS = (
    ".list",
    ".get",
    ".profile",
    ".rows",
    ".logs",
    ".artifacts",
    ".queue",
    ".quota",
    ".schedules",
    ".export",
    ".read_personal",
    ".read_secret",
    ".predict",
)
LOOKING_ACTIONS = frozenset(action for action in ACTIONS if action.endswith(_LOOKS))
"""What changes nothing in the platform: looking, taking out, asking. Everything else does."""


def holds(actor: Actor, action: str, project: str) -> bool:
    """Whether the actor's role in the project holds the action and its token is good for it."""
    if actor.scopes is not None and action not in actor.scopes:
        return False
    return actor.roles.get(project) in ACTIONS[action]


def held_actions(actor: Actor, project: str) -> list[str]:
    """Every action the actor may do in the project, in order."""
    return sorted(action for action in ACTIONS if holds(actor, action, project))

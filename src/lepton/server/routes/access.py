"""``/v1/projects``, ``/v1/users``, ``/v1/tokens`` and ``/v1/audit``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from lepton.server.bodies.access import (
    AuditAnswer,
    AuditQuery,
    NewTokenAnswer,
    NewUserAnswer,
    ProjectAnswer,
    ProjectBody,
    TokenAnswer,
    TokenBody,
    UserAnswer,
    UserBody,
    UserChangeBody,
)
from lepton.server.routes.session import sign_in_url
from lepton.server.wire import IN, Items, On, Project, Who, items

projects = APIRouter(prefix="/v1/projects", tags=["projects"])
users = APIRouter(prefix="/v1/users", tags=["users"])
tokens = APIRouter(prefix="/v1/tokens", tags=["tokens"])
audit = APIRouter(prefix="/v1/audit", tags=["audit"])
ROUTERS = (projects, users, tokens, audit)


@projects.get("", operation_id="projects.list", response_model=Items[ProjectAnswer])
def list_projects(platform: On, actor: Who) -> object:
    """List the projects one is in."""
    return items(platform.access.list_projects(actor))


@projects.post("", operation_id="projects.create", response_model=ProjectAnswer, status_code=201)
def create_project(platform: On, actor: Who, body: ProjectBody) -> object:
    """Make a project; one becomes its owner."""
    return platform.access.create_project(actor, body.name)


@users.get("", operation_id="users.list", response_model=Items[UserAnswer])
def list_users(platform: On, actor: Who, project: Project = IN) -> object:
    """List the members of a project."""
    return items(platform.access.list_users(actor, project=project))


@users.post("", operation_id="users.create", response_model=NewUserAnswer, status_code=201)
def create_user(platform: On, actor: Who, request: Request, body: UserBody) -> object:
    """Add somebody with a role in a project."""
    user, code = platform.access.create_user(actor, body.name, body.role, project=body.project, password=body.password)
    return vars(user) | {"sign_in_url": sign_in_url(request, code.code), "sign_in_expires_at": code.expires_at}


@users.patch("/{name}", operation_id="users.update", response_model=UserAnswer)
def update_user(platform: On, actor: Who, name: str, body: UserChangeBody) -> object:
    """Give somebody a role in a project, or a new password."""
    return platform.access.update_user(actor, name, project=body.project, role=body.role, password=body.password)


@users.delete("/{name}", operation_id="users.delete", status_code=204)
def delete_user(platform: On, actor: Who, name: str, project: Project = IN) -> None:
    """Take somebody out of a project; a platform owner takes them out of the platform."""
    platform.access.delete_user(actor, name, project=project)


@tokens.get("", operation_id="tokens.list", response_model=Items[TokenAnswer])
def list_tokens(platform: On, actor: Who) -> object:
    """List one's own tokens; a platform owner sees everybody's."""
    return items(platform.access.list_tokens(actor))


@tokens.post("", operation_id="tokens.create", response_model=NewTokenAnswer, status_code=201)
def create_token(platform: On, actor: Who, body: TokenBody) -> object:
    """Make a token; its secret is shown only now."""
    token, secret = platform.access.create_token(actor, body.name, scopes=body.scopes, expires_in_s=body.expires_in_s)
    return vars(token) | {"secret": secret}


@tokens.delete("/{token_id}", operation_id="tokens.delete", status_code=204)
def delete_token(platform: On, actor: Who, token_id: str) -> None:
    """Make a token stop working."""
    platform.access.delete_token(actor, token_id)


@audit.get("", operation_id="audit.list", response_model=Items[AuditAnswer])
def list_audit(platform: On, actor: Who, query: Annotated[AuditQuery, Query()]) -> object:
    """List who did what, the newest first: all of it, or by actor, action, outcome, or only what changes something."""
    return items(platform.access.list_audit(actor, project=query.project, limit=query.limit, wanted=query.wanted()))

"""Coming in: health, sign-in, sign-out, who one is."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lepton import __version__
from lepton.access.actions import held_actions
from lepton.access.operations import SESSION_LIFE
from lepton.access.records import Actor
from lepton.core.errors import InvalidInput
from lepton.server.bodies.access import MeAnswer, SignInBody, SignInLinkAnswer
from lepton.server.identity import COOKIE, check_same_origin, session_of
from lepton.server.wire import On, Who

router = APIRouter(prefix="/v1", tags=["session"])


@router.get("/health", operation_id="health.get")
async def get_health() -> dict[str, str]:
    """Say that the server is there."""
    return {"status": "ok", "version": __version__}


@router.post("/sign-in", operation_id="session.sign_in", response_model=MeAnswer)
def sign_in(platform: On, request: Request, response: Response, body: SignInBody) -> object:
    """Open a session with a one-time code, or with a name and a password."""
    check_same_origin(request.headers, required=False)
    if body.code is not None:
        session = platform.access.sign_in(body.code)
    elif body.name is not None and body.password is not None:
        session = platform.access.sign_in_with_password(body.name, body.password)
    else:
        raise InvalidInput("Sign in with 'code', or with 'name' and 'password'.")
    secure = request.url.scheme == "https"
    life = int(SESSION_LIFE.total_seconds())
    response.set_cookie(COOKIE, session.secret, max_age=life, httponly=True, samesite="strict", secure=secure)
    return _me(session.actor)


@router.post("/sign-out", operation_id="session.sign_out", status_code=204)
def sign_out(platform: On, actor: Who, request: Request, response: Response) -> None:  # noqa: ARG001 - only who is in goes out
    """End the session of the cookie."""
    secret = session_of(request.headers)
    if secret is not None:
        platform.access.sign_out(secret)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


@router.get("/me", operation_id="session.me", response_model=MeAnswer)
async def get_me(actor: Who) -> object:
    """Say who one is, and what one may do in which project."""
    return _me(actor)


@router.post("/sign-in-links", operation_id="session.link", response_model=SignInLinkAnswer, status_code=201)
async def create_sign_in_link(platform: On, actor: Who, request: Request) -> object:
    """Make a link that signs a browser in once, as oneself."""
    code = await run_in_threadpool(platform.access.create_sign_in_link, actor)
    return {"url": sign_in_url(request, code.code), "expires_at": code.expires_at}


def sign_in_url(request: Request, code: str) -> str:
    """The address of the page that uses up a code."""
    return f"{request.url.scheme}://{request.headers['host']}/sign-in?code={code}"


def _me(actor: Actor) -> object:
    projects = [
        {"name": name, "role": role, "actions": held_actions(actor, name)} for name, role in sorted(actor.roles.items())
    ]
    return {"user": {"id": actor.user_id, "name": actor.name}, "projects": projects, "is_admin": actor.is_admin}

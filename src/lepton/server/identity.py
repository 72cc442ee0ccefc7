"""Who is asking: the Host header, a bearer token or a session cookie, and whether a browser was tricked into asking.

What they may do is for the guard in front of each operation, not for this file.
"""

from __future__ import annotations

import base64
import ipaddress
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from lepton.access.operations import Access
from lepton.access.records import Actor
from lepton.core.errors import Forbidden, InvalidInput, Unauthenticated

COOKIE = "lepton_session"
_SAFE = {"GET", "HEAD", "OPTIONS"}
_OPEN = {("GET", "/v1/health"), ("HEAD", "/v1/health"), ("POST", "/v1/sign-in")}


def needs_identity(method: str, path: str) -> bool:
    """Whether nobody may call an address anonymously: all of the interface but health and sign-in."""
    return path.startswith("/v1") and (method, path) not in _OPEN


def identify(access: Access, method: str, headers: Headers) -> Actor:
    """Return who sent a request.

    Raises:
        Unauthenticated: without a token or session that is valid.
        Forbidden: if a browser sends a session along with a change that another site asked for.
    """
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "basic":
            check_same_origin(headers, required=False)  # a browser sends a password that it knows by itself
            token = _password(token)
        elif scheme.lower() != "bearer":
            token = ""
        if not token.strip():
            raise Unauthenticated(
                "The Authorization header must read 'Bearer lpt_…'. Make a token: lepton tokens create"
            )
        return access.authenticate(token.strip())
    secret = session_of(headers)
    if secret is None:
        raise Unauthenticated(
            "This needs a token. Send it as 'Authorization: Bearer lpt_…'; make one with: lepton tokens create"
        )
    if method not in _SAFE:
        check_same_origin(headers, required=True)
    return access.session(secret)


def _password(credentials: str) -> str:
    """Return the password of a name and a password; programs that know no tokens send one as a password."""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def session_of(headers: Headers) -> str | None:
    """The session in the cookie, if there is one."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE)


def check_same_origin(headers: Headers, *, required: bool) -> None:
    """Refuse what a page of another site asked a browser to send.

    Args:
        headers: Of the request.
        required: Whether a request that says nothing of where it comes from is refused too.

    Raises:
        Forbidden: if it comes from elsewhere.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is None and site is None:
        same = not required
    else:
        same = site in (None, "same-origin") and (origin is None or _host_of(origin) == headers.get("host", "").lower())
    if not same:
        raise Forbidden("This request came from another site. Use the platform's own page, or send a token.")


class Hosts:
    """The names this server answers to; others would let a hostile page reach it under a name of its own."""

    def __init__(self, listening_on: str) -> None:
        self._names = {"localhost", listening_on.lower(), socket.gethostname().lower()}

    def check(self, host: str) -> None:
        """Accept a Host header that names this server, or is a plain IP address, which no one can rebind.

        Raises:
            InvalidInput: otherwise.
        """
        name = _name_of(host)
        if name not in self._names and not _is_address(name):
            raise InvalidInput(
                "The Host header names another machine. Use http://localhost or the IP address, or set LEPTON_HOST "
                "to the name."
            )


def _host_of(origin: str) -> str:
    return origin.partition("://")[2].lower()


def _name_of(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

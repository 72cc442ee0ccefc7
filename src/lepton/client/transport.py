"""How the SDK talks to a platform: HTTP requests out, bodies back, errors as classes of ours. Knows no noun."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NoReturn
from urllib.parse import quote

import httpx2
import orjson

from lepton import __version__
from lepton.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Unauthenticated,
    Unavailable,
    error_from_code,
)

Query = Mapping[str, str | int | bool | tuple[str, ...] | None]

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_RETRY_FOR_S = 30.0
_SILENCE_S = 60.0
"""A stream in which nothing came for so long is opened again; the platform says something every 15 s."""


_BY_STATUS = {401: Unauthenticated, 403: Forbidden, 404: NotFound, 409: Conflict, 503: Unavailable}
"""What an error is that names no code of ours."""


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: str
    data: bytes
    id: str


@dataclass(frozen=True)
class Download:
    """A body that is read while it arrives."""

    chunks: Iterator[bytes]
    headers: Mapping[str, str]


class Transport:
    """One connection pool to one platform.

    Args:
        url: Address of the platform, such as ``http://127.0.0.1:7070``.
        token: API token, or None to call without one.
        project: Project that every call is about.
        timeout_s: Longest wait for an answer.
        pause: What waits between two looks at something unfinished; tests pass their own.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        project: str = "default",
        timeout_s: float = 60.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self.project = project
        self.pause = pause
        self._timeout_s = timeout_s
        headers = {"User-Agent": f"lepton/{__version__}", "Accept": "application/json"}
        if token is not None:
            if not re.fullmatch(r"[!-~]+", token):
                raise InvalidInput("The token holds a blank, a line end or a letter that no token has. Copy it again.")
            headers["Authorization"] = f"Bearer {token}"
        try:
            address = httpx2.URL(self.url)
            if address.scheme not in ("http", "https") or not address.host:
                raise httpx2.InvalidURL("not http")
            self._http = httpx2.Client(
                base_url=self.url,
                headers=headers,
                timeout=httpx2.Timeout(timeout_s, connect=10.0),
                trust_env=address.host not in _LOOPBACK,  # a proxy must not see calls to this machine
                verify=address.scheme == "https",  # spares plain HTTP the cost of loading certificates
            )
        except (httpx2.InvalidURL, ValueError):
            raise InvalidInput(
                "The address of the platform must be an http:// or https:// URL, for example http://127.0.0.1:7070."
            ) from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __del__(self) -> None:
        with suppress(Exception):  # a client in a notebook is often just forgotten
            self._http.close()

    def get(self, path: str, query: Query | None = None) -> bytes:
        """Return the body of a GET."""
        return self.send("GET", path, query=query)

    def send(self, method: str, path: str, *, query: Query | None = None, json: object = None) -> bytes:
        """Send a request with a JSON body (None sends none) and return the body of the answer."""
        content = None if json is None else encode(json)
        return self._send(method, path, query, content, {} if content is None else {"Content-Type": "application/json"})

    def upload(
        self, path: str, chunks: Iterable[bytes], *, query: Query, size_bytes: int | None, method: str = "POST"
    ) -> bytes:
        """Send a body that is read while it is sent, and return the body of the answer."""
        headers = {"Content-Type": "application/octet-stream"}
        if size_bytes is not None:
            headers["Content-Length"] = str(size_bytes)  # lets the platform refuse a file that is too large at once
        return self._send(method, path, query, iter(chunks), headers)

    @contextmanager
    def download(self, path: str, query: Query | None = None) -> Iterator[Download]:
        """Open a body to be read in pieces."""
        with self._mapped(), self._http.stream("GET", path, params=self._params(query)) as response:
            if response.is_error:
                response.read()
                _raise(response)
            yield Download(response.iter_bytes(), response.headers)

    def events(self, path: str, *, after: str = "") -> Generator[Event, None, None]:
        """Iterate over server-sent events, from the one after the id `after` to the one called ``end``.

        A platform that is away for up to half a minute is waited for; the events then go on where they were.
        """
        left_s = _RETRY_FOR_S
        while True:
            try:
                for event in self._stream(path, after):
                    left_s, after = _RETRY_FOR_S, event.id or after
                    yield event
                    if event.name == "end":
                        return
            except Unavailable:
                if left_s <= 0:
                    raise
            self.pause(0.5)
            left_s -= 0.5

    def poll(self, path: str) -> bytes:
        """GET something that is waited for: a platform that is away for up to half a minute is waited for too."""
        left_s = _RETRY_FOR_S
        while True:
            try:
                return self.get(path)
            except Unavailable:
                if left_s <= 0:
                    raise
                self.pause(0.5)
                left_s -= 0.5

    def _stream(self, path: str, after: str) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        patience = httpx2.Timeout(self._timeout_s, connect=10.0, read=_SILENCE_S)
        params = self._params(None)
        with (
            self._mapped(),
            self._http.stream("GET", path, params=params, headers=headers, timeout=patience) as response,
        ):
            if response.is_error:
                response.read()
                _raise(response)
            for event in httpx2.EventSource(response):
                yield Event(event.event, event.data.encode(), event.id)
        raise Unavailable(f"What the platform at {self.url} was telling broke off. Try again, or see: lepton status")

    def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        content: bytes | Iterator[bytes] | None,
        headers: dict[str, str],
    ) -> bytes:
        with self._mapped():
            response = self._http.request(method, path, params=self._params(query), content=content, headers=headers)
        if response.is_error:
            _raise(response)
        return response.content

    def _params(self, query: Query | None) -> list[tuple[str, str | int | float | bool | None]]:
        pairs: list[tuple[str, str | int | float | bool | None]] = []
        for key, value in ({"project": self.project} | dict(query or {})).items():
            if isinstance(value, tuple):
                pairs.extend((key, item) for item in value)
            elif value is not None:
                pairs.append((key, value))
        return pairs

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Turn the HTTP library's errors into ours."""
        if self._http.is_closed:
            raise Conflict("This client was closed. Make a new one with lepton.connect() or lepton.open().")
        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise Unavailable(f"No platform answers at {self.url}. Start it with: lepton up") from None
        except httpx2.TimeoutException:
            raise Unavailable(
                f"The platform at {self.url} did not answer within {self._timeout_s:g} seconds. "
                "Try again, or see: lepton status"
            ) from None
        except httpx2.TransportError:
            raise Unavailable(
                f"The connection to {self.url} broke before the answer was complete. Try again, or see: lepton status"
            ) from None


def path_of(*parts: str) -> str:
    """Join path segments under ``/v1``, each quoted.

    Raises:
        InvalidInput: if one would lead to another address than the one that is meant.
    """
    for part in parts:
        if part in ("", ".", "..") or "/" in part:
            raise InvalidInput(
                f"{part[:80]!r} is no name or id. Names are made of a-z, 0-9, '.', '-' and '_', for example 'houses'."
            )
    return "/v1/" + "/".join(quote(part, safe="@") for part in parts)


def encode(value: object) -> bytes:
    """Write JSON; NumPy and pandas values as their Python kin, NaN and other marks of missing as null."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:
        raise InvalidInput(
            "A value cannot be sent as JSON. Use text, numbers (whole ones below 2**64), true or false, dates, or None "
            "for a missing value."
        ) from None


def _plain(value: object) -> object:
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, datetime | date):  # subclasses, such as pandas.Timestamp
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if hasattr(value, "item"):  # a NumPy scalar orjson does not know
        return value.item()
    raise TypeError


def _raise(response: httpx2.Response) -> NoReturn:
    try:
        found = orjson.loads(response.content)
        if "error_code" in found:  # an address of MLflow's protocol
            raise _BY_STATUS.get(response.status_code, InvalidInput)(str(found["message"]))
        code, message = str(found["error"]["code"]), str(found["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        if response.status_code >= 500:
            raise Unavailable(
                f"{response.url.host} answered with HTTP status {response.status_code} and no explanation. "
                "Try again, or see: lepton status"
            ) from None
        raise InvalidInput(
            f"{response.url.host} answered with HTTP status {response.status_code} and no explanation. "
            "Check that the address is that of a Lepton platform."
        ) from None
    raise error_from_code(code, message)

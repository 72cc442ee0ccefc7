"""The client: one object with an attribute for each noun, and how it finds the platform."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

import orjson

from lepton.client.access import Audit, Me, Projects, SignInLink, Tokens, Users
from lepton.client.answers import Answer, decode
from lepton.client.datasets import Datasets, Labels
from lepton.client.endpoints import Endpoints
from lepton.client.models import Models
from lepton.client.runs import Runs
from lepton.client.transport import Transport, path_of
from lepton.core.errors import InvalidInput, Unauthenticated, Unavailable
from lepton.core.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Health(Answer):
    """Whether the platform is well, and its version."""

    status: str
    version: str


class Client:
    """Everything a platform can do, over HTTP.

    Example:
        >>> import lepton
        >>> client = lepton.connect("http://127.0.0.1:7070", "lpt_not_a_real_token")
        >>> client
        Client('http://127.0.0.1:7070', project='default')

        What follows needs a platform::

            houses = client.datasets.import_("houses.csv", name="houses")
            clean = client.datasets.clean(houses.ref, target="price")
            model = client.models.train("houses", dataset=clean.ref, target="price", workers=2)
            client.endpoints.deploy("houses", model=model.ref)
            client.endpoints.predict("houses", {"area": 120, "city": "Paris"})[0].value
    """

    def __init__(self, url: str, token: str | None, *, project: str = "default", timeout_s: float = 60.0) -> None:
        self.transport = Transport(url, token, project=project, timeout_s=timeout_s)
        self.runs = Runs(self.transport)
        self.datasets = Datasets(self.transport, self.runs)
        self.labels = Labels(self.transport)
        self.models = Models(self.transport, self.runs)
        self.endpoints = Endpoints(self.transport)
        self.projects = Projects(self.transport)
        self.users = Users(self.transport)
        self.tokens = Tokens(self.transport)
        self.audit = Audit(self.transport)

    @property
    def url(self) -> str:
        """Address of the platform."""
        return self.transport.url

    def health(self) -> Health:
        """Return whether the platform is well; needs no token."""
        return decode(Health, self.transport.get(path_of("health")))

    def me(self) -> Me:
        """Return who the token speaks for."""
        return decode(Me, self.transport.get(path_of("me")))

    def create_sign_in_link(self) -> SignInLink:
        """Make a link that signs a browser in as you, once, within the hour."""
        return decode(SignInLink, self.transport.send("POST", path_of("sign-in-links")))

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r}, project={self.transport.project!r})"


def connect(url: str | None = None, token: str | None = None, *, project: str | None = None) -> Client:
    """Return a client of a running platform.

    Args:
        url: Its address; None takes ``LEPTON_URL``, or else the platform that ``lepton up`` started here.
        token: An API token; None takes ``LEPTON_TOKEN``, or else the token that ``lepton up`` left for you.
        project: The project that every call is about; None takes ``LEPTON_PROJECT``, or else ``default``.

    Raises:
        Unavailable: if no address was given and no platform was started here.
        Unauthenticated: if an address was given, but no token for it.
    """
    env = os.environ
    url = url or env.get("LEPTON_URL") or None
    token = token or env.get("LEPTON_TOKEN") or None
    project = project or env.get("LEPTON_PROJECT") or "default"
    if url is not None and token is not None:
        return Client(url, token, project=project)
    local = local_address(Settings.from_environment(env))
    if url is None:
        if local is None:
            raise Unavailable(
                "No platform was started here. Start one with: lepton up, or set LEPTON_URL and LEPTON_TOKEN."
            )
        return Client(local["url"], token or local["token"], project=project)
    if local is None or local["url"] != url.rstrip("/"):  # the local token is for the local platform alone
        raise Unauthenticated(
            f"There is no token for {url}. Make one with: lepton tokens create, and set LEPTON_TOKEN."
        )
    return Client(url, local["token"], project=project)


def local_address(settings: Settings) -> Mapping[str, str] | None:
    """Return ``url`` and ``token`` of the platform that was started over this home, or None.

    Raises:
        InvalidInput: if the file that holds them is broken or readable by others.
    """
    path = settings.home / "client.json"
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise InvalidInput(f"{path} holds a token and can be read by others. Run: chmod 600 {path}")
        found = orjson.loads(path.read_bytes())
        return {"url": str(found["url"]).rstrip("/"), "token": str(found["token"])}
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, KeyError, TypeError, OSError):
        raise InvalidInput(
            f"{path} cannot be read. Restart the platform to have it written again: lepton down; lepton up"
        ) from None

"""Where the platform lives and how it is reached; read once from the environment at a door, then passed along."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lepton.core.errors import InvalidInput


@dataclass(frozen=True)
class Settings:
    """Settings of one platform.

    Attributes:
        home: Folder of everything that is kept (``LEPTON_HOME``, default ``~/.lepton``).
        catalog: Database URL; ``sqlite`` means a file in `home` (``LEPTON_CATALOG``).
        host: Address to listen on (``LEPTON_HOST``, default ``127.0.0.1``).
        port: Port to listen on; 0 takes a free one (``LEPTON_PORT``, default 7070).
        max_upload_bytes: Largest file that is imported (``LEPTON_MAX_UPLOAD_MB``, default 4096).
        max_bundle_bytes: Largest folder that is submitted with a command (``LEPTON_MAX_BUNDLE_MB``, default 100).
        run_url: Where runs on other machines reach this server (``LEPTON_RUN_URL``); empty: where it listens.
        request_log_one_in: How many predictions of an endpoint there are to one that is kept to look at; 0 keeps none
            (``LEPTON_REQUEST_LOG_ONE_IN``, default 100).
        max_body_bytes: Largest other request body.
        track_silence_h: Hours without a word after which a run that is recorded from outside has failed
            (``LEPTON_TRACK_SILENCE_H``, default 24).
        tls: Certificate chain and private key that endpoints speak TLS with, both PEM (``LEPTON_TLS_CERTIFICATE`` and
            ``LEPTON_TLS_KEY``); None for plain HTTP.
        grpc: Whether endpoints speak gRPC too, on a port of their own (``LEPTON_GRPC``, default 0).
        engine: Where replicas of endpoints are (``LEPTON_ENGINE``): ``local`` on this machine, which is the default, or
            ``ray://HOST:PORT`` on the machines of a Ray cluster, by the address of its dashboard.
    """

    home: Path
    catalog: str = "sqlite"
    host: str = "127.0.0.1"
    port: int = 7070
    max_upload_bytes: int = 4 << 30
    max_bundle_bytes: int = 100 << 20
    run_url: str = ""
    request_log_one_in: int = 100
    max_body_bytes: int = 8 << 20
    track_silence_h: int = 24
    tls: tuple[Path, Path] | None = None
    grpc: bool = False
    engine: str = "local"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the ``LEPTON_…`` variables.

        Raises:
            InvalidInput: if a variable holds what it cannot mean.
        """
        env = os.environ if environment is None else environment
        home = Path(env.get("LEPTON_HOME") or Path.home() / ".lepton").expanduser().absolute()
        catalog = env.get("LEPTON_CATALOG") or "sqlite"
        if catalog != "sqlite" and not catalog.startswith(("postgresql://", "postgresql+psycopg://")):
            raise InvalidInput(
                "LEPTON_CATALOG must be 'sqlite' or a URL that starts with 'postgresql://'. "
                "Unset it to use SQLite in LEPTON_HOME."
            )
        return cls(
            home=home,
            catalog=catalog,
            host=env.get("LEPTON_HOST") or "127.0.0.1",
            port=_whole_number(env, "LEPTON_PORT", 7070, 0, 65535),
            request_log_one_in=_whole_number(env, "LEPTON_REQUEST_LOG_ONE_IN", 100, 0, 1_000_000),
            max_upload_bytes=_whole_number(env, "LEPTON_MAX_UPLOAD_MB", 4096, 1, 1 << 20) << 20,
            track_silence_h=_whole_number(env, "LEPTON_TRACK_SILENCE_H", 24, 1, 24 * 366),
            max_bundle_bytes=_whole_number(env, "LEPTON_MAX_BUNDLE_MB", 100, 1, 1 << 20) << 20,
            run_url=(env.get("LEPTON_RUN_URL") or "").rstrip("/"),
            tls=_tls(env),
            grpc=_whole_number(env, "LEPTON_GRPC", 0, 0, 1) == 1,
            engine=_engine(env),
        )

    @property
    def catalog_url(self) -> str:
        """The catalog as SQLAlchemy reads it."""
        if self.catalog == "sqlite":
            return f"sqlite:///{self.home / 'catalog.db'}"
        return self.catalog.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def keys_url(self) -> str:
        """The database of wrapped keys: a file of its own when embedded, so that a catalog backup holds none."""
        if self.catalog == "sqlite":
            return f"sqlite:///{self.home / 'keys.db'}"
        return self.catalog_url

    @property
    def objects(self) -> Path:
        """Folder of encrypted tables and blobs."""
        return self.home / "objects"

    @property
    def runs(self) -> Path:
        """Folder in which the local engine keeps what belongs to a run."""
        return self.home / "runs"

    @property
    def replicas(self) -> Path:
        """Folder of the sockets on which replicas are controlled, mode 0700."""
        return self.home / "replicas"

    @property
    def root_key(self) -> Path:
        """File of the root key, mode 0600."""
        return self.home / "root.key"


def _whole_number(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or not low <= int(text) <= high:
        raise InvalidInput(f"{name} must be a whole number from {low} to {high}. Unset it to use {default}.")
    return int(text)


def _engine(env: Mapping[str, str]) -> str:
    engine = env.get("LEPTON_ENGINE") or "local"
    if engine != "local" and not re.fullmatch(r"(ray|local)://[\w.,:\[\]-]+", engine):
        raise InvalidInput(
            "LEPTON_ENGINE must be 'local' or 'ray://HOST:PORT', the address of a Ray cluster's dashboard. "
            "Unset it to run everything on this machine."
        )
    return engine


def _tls(env: Mapping[str, str]) -> tuple[Path, Path] | None:
    names = ("LEPTON_TLS_CERTIFICATE", "LEPTON_TLS_KEY")
    if not any(env.get(name) for name in names):
        return None
    for name in names:
        if not env.get(name) or not Path(env[name]).is_file():
            raise InvalidInput(
                f"{name} must be a file in PEM, as LEPTON_TLS_CERTIFICATE and LEPTON_TLS_KEY belong together. "
                "Unset both to use plain HTTP."
            )
    certificate, key = (Path(env[name]).absolute() for name in names)
    return certificate, key

"""Which engine ``LEPTON_ENGINE`` names."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from lepton.core.errors import InvalidInput
from lepton.runs.engines.addresses import AddressesEngine
from lepton.runs.engines.local import LocalEngine
from lepton.runs.engines.port import Engine


def open_engine(name: str, folder: Path) -> Engine:
    """Return an engine.

    Args:
        name: ``local``: processes of this machine. ``local://A,B,…``: the same, each of these addresses of this machine
            taken for a machine of its own, to try things out. ``ray://HOST[:PORT]``: a Ray cluster, by the address of
            its dashboard.
        folder: Where it keeps what it must find again.

    Raises:
        InvalidInput: if it is none of them.
    """
    kind, _, rest = name.partition("://")
    if name == "local":
        return LocalEngine(folder)
    if kind == "local" and rest and all(_is_address(one) for one in rest.split(",")):
        return AddressesEngine(folder, rest.split(","))
    if kind == "ray" and rest:
        from lepton.runs.engines.ray import RayEngine  # loads an HTTP client

        return RayEngine(rest, folder)
    raise InvalidInput(
        f"LEPTON_ENGINE cannot be {name!r}. It is 'local', or 'ray://HOST:PORT' with the address of a Ray dashboard, "
        "or, to try many machines out on one, 'local://127.0.0.2,127.0.0.3'."
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True

"""The processes of PyTorch's own collectives, for as long as a training lasts: gloo on CPU, NCCL on GPUs.

They meet at a port of their own, which worker 0 tells the others through ours; nothing has to be free before.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from lepton.training.collective import Collective
from lepton.training.context import TrainingContext

TIMEOUT = timedelta(hours=1)
"""How long a call waits for a worker that is alive but busy; a dead one is noticed long before."""
_INTERFACE = "GLOO_SOCKET_IFNAME"


def device_of(context: TrainingContext) -> torch.device:
    """Return where a worker calculates."""
    return torch.device("cpu") if context.gpu is None else torch.device("cuda", context.gpu)


@contextmanager
def joined(context: TrainingContext) -> Iterator[None]:
    """Join the other workers; do nothing if there are none."""
    collective = context.collective
    if collective.world_size == 1:
        yield
        return
    address = os.environ.get("MASTER_ADDR", "127.0.0.1")
    store = _meet(collective, address)
    before = os.environ.get(_INTERFACE)
    if before is None and _is_here(address) and Path("/sys/class/net/lo").exists():
        os.environ[_INTERFACE] = "lo"  # else gloo listens wherever the name of the machine leads to
    if context.gpu is not None:
        torch.cuda.set_device(context.gpu)
    try:
        dist.init_process_group(
            "gloo" if context.gpu is None else "nccl",
            store=store,
            rank=collective.rank,
            world_size=collective.world_size,
            timeout=TIMEOUT,
        )
        try:
            yield
        finally:
            dist.destroy_process_group()
    finally:
        if before is None:
            os.environ.pop(_INTERFACE, None)


def _meet(collective: Collective, address: str) -> dist.Store:
    """Return the store through which they find each other; worker 0 holds it, at the address that all were told."""
    if collective.rank:
        port = int(collective.broadcast(None))
        return dist.TCPStore(address, port, collective.world_size, is_master=False, timeout=TIMEOUT)
    try:
        listener = socket.create_server((address, 0))
    except OSError:  # the address leads here, and is not this machine's own
        listener = socket.create_server(("", 0))
    port = listener.getsockname()[1]
    store = dist.TCPStore(
        address,
        port,
        collective.world_size,
        is_master=True,
        timeout=TIMEOUT,
        wait_for_workers=False,
        master_listen_fd=listener.detach(),
    )
    collective.broadcast(str(port).encode())
    return store


def _is_here(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"

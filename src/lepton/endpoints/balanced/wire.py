"""What goes between a balanced endpoint and its replicas on other machines: a replica's control lines, over TLS.

Both ends hold the other's certificate and take nobody else (`core.tls`). The endpoint's goes with the command that
starts the replica, the replica's comes back in its log, on the engine's own ways.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from lepton.core.conversation import Hello, dial
from lepton.core.tls import Identity
from lepton.endpoints.replica.control import Control

KIND = "replica"
CHUNK_BYTES = 1 << 20
BLOB_TIMEOUT_S = 60.0


def control_of(hello: Hello, identity: Identity) -> Control:
    """Return the control plane's end for a replica on another machine."""
    context = identity.client(hello.certificate)
    return Control(lambda timeout_s: dial(hello, context, timeout_s), secret="")


def send_blob(control: Control, blob_id: str, path: Path) -> None:
    """Bring an encrypted model file to a replica's machine, a chunk at a time.

    Raises:
        Unavailable: if it does not answer.
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        offset = 0
        while True:
            data = file.read(CHUNK_BYTES)
            body = {"id": blob_id, "offset": offset, "data": base64.b64encode(data).decode(), "last": not data}
            control.exchange("blob", body, BLOB_TIMEOUT_S)
            if not data:
                return
            offset += len(data)


def receive_blob(folder: Path, body: dict[str, Any]) -> None:
    """Take what `send_blob` sends: chunks from the first on, and a name only when all have come."""
    partial = folder / "partial"
    data = base64.b64decode(body["data"])
    with partial.open("ab" if body["offset"] else "wb") as file:
        if file.tell() != body["offset"]:
            raise ValueError("a chunk is missing")
        file.write(data)
    if body["last"]:
        partial.rename(folder / blob_name(body["id"]))


def blob_name(blob_id: str) -> str:
    """Return the name of a blob's file; never a path to elsewhere."""
    if not blob_id.replace("-", "").isalnum():
        raise ValueError("no id of a blob")
    return f"{blob_id}.blob"

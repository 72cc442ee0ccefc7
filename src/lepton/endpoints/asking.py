"""One request from the control plane to a replica."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

from lepton.core.errors import Unavailable, error_from_code

TIMEOUT_S = 30.0


def ask(url: str, secret: str, body: bytes) -> bytes:
    """Post a JSON body to a replica and return its answer.

    Raises:
        LeptonError: the error that the replica answered with, rebuilt.
        Unavailable: if it does not answer within 30 s.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT_S)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {secret}"}
    try:
        connection.request("POST", parts.path, body, headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(
            "The endpoint's replica does not answer. It is started again by itself; try again in a moment."
        ) from error
    finally:
        connection.close()
    if response.status == 200:
        return answer
    wrong = json.loads(answer)["error"]
    raise error_from_code(wrong["code"], wrong["message"])

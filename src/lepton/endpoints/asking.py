"""One request from the control plane to a replica."""

from __future__ import annotations

import http.client
import json
import ssl
from urllib.parse import urlsplit

from lepton.core.errors import Unavailable, error_from_code

TIMEOUT_S = 30.0


def ask(url: str, secret: str, body: bytes, *, trusted: str = "") -> bytes:
    """Post a JSON body to a replica and return its answer.

    Args:
        url: Where.
        secret: What the control plane shows as its token.
        body: JSON.
        trusted: File of the replica's certificate chain, for HTTPS.

    Raises:
        LeptonError: the error that the replica answered with, rebuilt.
        Unavailable: if it does not answer within 30 s.
    """
    parts = urlsplit(url)
    where = parts.hostname or "127.0.0.1"
    connection = http.client.HTTPConnection(where, parts.port, timeout=TIMEOUT_S)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(where, parts.port, timeout=TIMEOUT_S, context=_only(trusted))
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


def _only(certificate: str) -> ssl.SSLContext:
    """Trust this very certificate and no other, whatever name it is for: the address is our own replica's."""
    context = ssl.create_default_context(cafile=certificate or None)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context

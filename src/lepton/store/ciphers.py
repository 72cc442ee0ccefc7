"""The two primitives everything encrypted here is made of: AES-256-GCM with a random nonce, and HKDF-SHA256.

Formats built on them live with their owners: ``keys.py`` (wrapped keys, sealed documents), ``segments.py`` (files).
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_FORMAT = b"\x01"


def new_key() -> bytes:
    """Return 256 fresh random bits."""
    return os.urandom(KEY_BYTES)


def derive(key: bytes, purpose: bytes, *, salt: bytes | None = None) -> bytes:
    """Derive a key for one purpose, so that no key is ever used in two ways (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=purpose).derive(key)


def encrypt(key: bytes, plain: bytes, bound_to: bytes) -> bytes:
    """Return format byte, nonce, ciphertext and tag; readable only with the same `key` and `bound_to`."""
    nonce = os.urandom(_NONCE_BYTES)
    return _FORMAT + nonce + AESGCM(key).encrypt(nonce, plain, _FORMAT + bound_to)


def decrypt(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """Return what `encrypt` was given.

    Raises:
        cryptography.exceptions.InvalidTag: if the bytes, the key or `bound_to` are not those of `encrypt`.
    """
    if sealed[:1] != _FORMAT or len(sealed) < 1 + _NONCE_BYTES + _TAG_BYTES:
        raise InvalidTag
    return AESGCM(key).decrypt(sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], _FORMAT + bound_to)

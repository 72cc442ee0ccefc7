"""Two processes on two machines that know each other's certificates: nobody else is spoken to, and nobody reads along.

Each makes a certificate of its own for its life; the other is told of it on a way that cannot be forged. No authority
signs anything, and names do not matter.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

LIFE = timedelta(days=3650)
"""Longer than any process; it ends with the process that holds the key."""


@dataclass(frozen=True)
class Identity:
    """A certificate that its holder signed itself, and the key that proves it, both PEM."""

    certificate: str
    key: str = field(repr=False)

    @classmethod
    def new(cls, name: str = "lepton") -> Identity:
        """Make a fresh one; an Ed25519 key (RFC 8410).

        Args:
            name: Common name and DNS name of the certificate; nobody checks it here.
        """
        # Loaded only by who speaks across machines: 20 ms and 10 MB.
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.x509.oid import NameOID

        key = Ed25519PrivateKey.generate()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))  # clocks of two machines differ
            .not_valid_after(now + LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key, None)
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return cls(certificate.public_bytes(serialization.Encoding.PEM).decode(), pem.decode())

    def server(self, caller: str) -> ssl.SSLContext:
        """Return what accepts connections of exactly the holder of a certificate, and nobody else's.

        Args:
            caller: Its certificate, PEM.
        """
        return self._context(ssl.PROTOCOL_TLS_SERVER, caller)

    def client(self, called: str) -> ssl.SSLContext:
        """Return what connects to exactly the holder of a certificate.

        Args:
            called: Its certificate, PEM.
        """
        return self._context(ssl.PROTOCOL_TLS_CLIENT, called)

    def _context(self, side: ssl._SSLMethod, other: str) -> ssl.SSLContext:
        context = ssl.SSLContext(side)
        context.check_hostname = False  # the certificate itself is what is checked
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=other)
        # The ssl module takes keys from files only.
        with _in_memory(self.certificate + self.key) as path:
            context.load_cert_chain(path)
        return context


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """Have a file of this process alone, on no disk, for as long as the block goes on."""
    fd = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        os.write(fd, text.encode())
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)

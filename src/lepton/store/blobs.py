"""Encrypted files by id: uploads, models, whatever is not a table. The format of one is in ``segments.py``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lepton.core.errors import NotFound, TooLarge
from lepton.core.ids import new_id
from lepton.store.keys import Keyring
from lepton.store.scratch import publish, scratch
from lepton.store.segments import SegmentWriter, open_segments

_ID = re.compile(r"[0-9A-Z]{26}")


@dataclass(frozen=True)
class Blob:
    """A stored file.

    Attributes:
        id: Its name in the store.
        size_bytes: Size of what was stored, before encryption.
        sha256: Digest of what was stored, before encryption; hexadecimal.
    """

    id: str
    size_bytes: int
    sha256: str


class BlobStore:
    """Stores files encrypted under ``root/blobs``.

    Args:
        root: Folder of all objects, shared with the tables.
        keyring: Where the keys come from.
    """

    def __init__(self, root: Path, keyring: Keyring) -> None:
        self._root = root
        self._keyring = keyring

    def put(
        self,
        project: str,
        scope: str,
        chunks: Iterable[bytes],
        *,
        blob_id: str | None = None,
        max_bytes: int | None = None,
    ) -> Blob:
        """Store the chunks as one file; it is on the disk when this returns, and nothing is when this raises.

        Args:
            project: The project's id.
            scope: Whose key encrypts it; made if missing.
            chunks: The content, in pieces of any size; held in memory one at a time.
            blob_id: Its id, a ULID that no other has; None makes one. One that is part of the scope lets whoever
                finds the key find the file.
            max_bytes: Largest size; None is no limit.

        Raises:
            TooLarge: if there is more than `max_bytes`.
            StorageFull: if the disk is full.
        """
        self._keyring.create(project, scope)
        key = self._keyring.get(project, scope)
        blob_id, digest, size_bytes = blob_id or new_id(), hashlib.sha256(), 0
        with scratch(self._root) as folder:
            made = folder / blob_id
            with made.open("xb") as file:
                writer = SegmentWriter(file, key, blob_id)
                for chunk in chunks:
                    size_bytes += len(chunk)
                    if max_bytes is not None and size_bytes > max_bytes:
                        raise TooLarge(f"The file has more than the allowed {max_bytes:,} bytes. Store a smaller one.")
                    digest.update(chunk)
                    writer.write(chunk)
                writer.finish()
            publish(made, self.path(blob_id))
        return Blob(blob_id, size_bytes, digest.hexdigest())

    def open(self, project: str, scope: str, blob_id: str) -> BinaryIO:
        """Open a file for reading from anywhere in it; close it after use.

        Raises:
            NotFound: if there is no such file, or its key was shredded.
            Internal: if the file was changed; reading raises it too.
        """
        return open_segments(self.path(blob_id), self._keyring.get(project, scope), blob_id)

    def read(self, project: str, scope: str, blob_id: str) -> bytes:
        """Return the whole content; raises what `open` raises."""
        with self.open(project, scope, blob_id) as file:
            return file.read()

    def path(self, blob_id: str) -> Path:
        """Return where the encrypted file is.

        Raises:
            NotFound: if `blob_id` cannot be the id of a file.
        """
        if not _ID.fullmatch(blob_id):
            raise NotFound("There is no such stored file: its id is malformed.")
        return self._root / "blobs" / blob_id

    def delete(self, blob_id: str) -> None:
        """Remove the file, if it is there. Its key is shredded apart, by scope."""
        self.path(blob_id).unlink(missing_ok=True)

"""The one place that knows how Polars encrypts Parquet (marked unstable there: the version is pinned).

Every file is encrypted as a whole, footer included, with one key and an AAD prefix of its own; statistics and
dictionaries in it too. Never per-column keys: Polars and pyarrow write columns without a key in plaintext.
Format: https://parquet.apache.org/docs/file-format/data-pages/encryption/
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from lepton.core.errors import Internal
from lepton.store.ciphers import derive
from lepton.store.scratch import mapped_full_disk, storage_full

ROW_GROUP_ROWS = 65_536
_ENCRYPTED_FOOTER = b"PARE"


def write_encrypted(frame: pl.DataFrame, path: Path, key: bytes, aad: str) -> None:
    """Write a frame as one encrypted Parquet file.

    Args:
        frame: Any number of rows, none included.
        path: Where to; must not exist.
        key: 32 bytes.
        aad: Name of the file; reading needs the same, so that files cannot be exchanged.

    Raises:
        StorageFull: if the disk is full.
    """
    properties = pl.ParquetEncryptionProperties(footer_key=_file_key(key), aad_prefix=aad.encode())
    with mapped_errors():
        frame.write_parquet(path, compression="zstd", row_group_size=ROW_GROUP_ROWS, encryption=properties)


def scan_encrypted(path: Path, key: bytes, aad: str) -> pl.LazyFrame:
    """Return a plan that reads an encrypted Parquet file.

    Projection, slices and predicates reach into the file. Collecting raises Polars's errors: see `mapped_errors`.

    Raises:
        Internal: if the file is missing, or is not an encrypted one.
    """
    _check_encrypted(path)
    properties = pl.ParquetDecryptionProperties(footer_key=_file_key(key), aad_prefix=aad.encode())
    return pl.scan_parquet(path, glob=False, hive_partitioning=False, decryption=properties)


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Raise Polars's failures to read or write as errors of ours; their own text may quote data, so it is dropped."""
    try:
        with mapped_full_disk():
            yield
    except FileNotFoundError:
        raise _missing() from None
    except PolarsError as error:
        text = str(error).lower()
        if "os error 28" in text or "os error 122" in text:  # ENOSPC, EDQUOT: Polars wraps them
            raise storage_full() from None
        if "encryption error" in text:
            raise _damaged() from None
        raise Internal(f"A table could not be read or written ({type(error).__name__}).") from None


def _check_encrypted(path: Path) -> None:
    # Polars reads a plaintext file without complaint even if it is given keys, so one put in the place of ours would
    # be believed. With this magic at its end the footer can only be read with the key.
    try:
        with path.open("rb") as file:
            file.seek(-len(_ENCRYPTED_FOOTER), os.SEEK_END)
            magic = file.read()
    except FileNotFoundError:
        raise _missing() from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # shorter than the magic
            raise _damaged() from None
        raise
    if magic != _ENCRYPTED_FOOTER:
        raise _damaged()


def _missing() -> Internal:
    return Internal("A file of a stored table is missing. Restore it from a backup.")


def _damaged() -> Internal:
    return Internal("A stored table is damaged or was changed outside of Lepton. Restore it from a backup.")


def _file_key(key: bytes) -> bytes:
    return derive(key, b"lepton/parquet/1")

"""Files written once and kept: what is stored today must be readable by every later version.

Polars's encryption is marked unstable, so a drift of its format has to fail here first. Never write these files again
to make a test pass; `python tests/store/test_golden.py` is for a new format beside the old one.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from polars.testing import assert_frame_equal

from lepton.store.ciphers import decrypt, derive, encrypt
from lepton.store.parquet import scan_encrypted, write_encrypted
from lepton.store.segments import SEGMENT_BYTES, SegmentWriter, open_segments

FOLDER = Path(__file__).parent / "golden"
KEY = b"golden key of the tests, 32 byte"
AAD = "lepton/dataset/GOLDEN/000000-personal.parquet"
SEALED = b"a sealed document"
PLAIN = bytes(range(256)) * 300


def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "text": ["Ada", None, "Grace", "", "Ωmega"],
            "number": [0.5, -1e300, None, float("inf"), 3.0],
            "integer": [1, 2, 3, None, -(2**62)],
            "flag": [True, False, None, True, False],
            "day": pl.Series([0, 1, None, 20_000, -1], dtype=pl.Int32).cast(pl.Date),
            "moment": pl.Series([0, 1, None, 1_700_000_000_000_000, -1], dtype=pl.Int64).cast(pl.Datetime("us")),
        }
    )


def test_a_table_of_the_first_format_can_be_read() -> None:
    assert_frame_equal(scan_encrypted(FOLDER / "table.parquet", KEY, AAD).collect(), frame())


def test_a_file_of_the_first_format_can_be_read() -> None:
    with open_segments(FOLDER / "segments.bin", KEY, "GOLDEN") as file:
        assert file.seek(SEGMENT_BYTES - 3) == SEGMENT_BYTES - 3
        assert file.read(6) == PLAIN[SEGMENT_BYTES - 3 : SEGMENT_BYTES + 3]
        file.seek(0)
        assert file.read() == PLAIN


def test_a_document_of_the_first_format_can_be_read() -> None:
    assert decrypt(KEY, (FOLDER / "sealed.bin").read_bytes(), b"label") == SEALED


def test_derived_keys_stay_what_they_are() -> None:
    assert derive(KEY, b"purpose").hex() == (FOLDER / "derived.txt").read_text().strip()


def test_pyarrow_reads_a_table_with_the_key_itself() -> None:
    properties = pe.create_decryption_properties(footer_key=derive(KEY, b"lepton/parquet/1"), aad_prefix=AAD.encode())
    found = pq.read_table(FOLDER / "table.parquet", decryption_properties=properties)
    assert_frame_equal(pl.DataFrame(pl.from_arrow(found)), frame())


def test_we_read_a_table_that_pyarrow_encrypted(tmp_path: Path) -> None:
    properties = pe.create_encryption_properties(
        footer_key=derive(KEY, b"lepton/parquet/1"), aad_prefix=AAD.encode(), store_aad_prefix=False
    )
    table: pa.Table = frame().to_arrow()
    pq.write_table(table, tmp_path / "table.parquet", encryption_properties=properties)
    assert_frame_equal(scan_encrypted(tmp_path / "table.parquet", KEY, AAD).collect(), frame())


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    write_encrypted(frame(), FOLDER / "table.parquet", KEY, AAD)
    with (FOLDER / "segments.bin").open("wb") as file:
        writer = SegmentWriter(file, KEY, "GOLDEN")
        writer.write(PLAIN)
        writer.finish()
    (FOLDER / "sealed.bin").write_bytes(encrypt(KEY, SEALED, b"label"))
    (FOLDER / "derived.txt").write_text(derive(KEY, b"purpose").hex() + "\n")


if __name__ == "__main__":
    write()

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from lepton.core.columns import ColumnClass
from lepton.core.errors import Conflict, Internal, InvalidInput, NotFound, StorageFull
from lepton.core.ids import new_id
from lepton.core.settings import Settings
from lepton.store import tables as tables_module
from lepton.store.blobs import BlobStore
from lepton.store.keys import Keyring, open_keyring
from lepton.store.parquet import mapped_errors
from lepton.store.tables import Table, TableStore

PLAIN, PERSONAL, SECRET = ColumnClass.PLAIN, ColumnClass.PERSONAL, ColumnClass.SECRET
CLASSES = {"name": PERSONAL, "age": PLAIN, "iban": SECRET, "seen": PLAIN, "born": PERSONAL, "ok": PLAIN}


def people(rows: int, start: int = 0) -> pl.DataFrame:
    numbers = range(start, start + rows)
    return pl.DataFrame(
        {
            "name": [f"Lovelace-{n:06d}" if n % 7 else None for n in numbers],
            "age": [n % 90 + 0.5 for n in numbers],
            "iban": [f"DE{n:018d}" for n in numbers],
            "seen": [datetime(2026, 1, 1, n % 24) for n in numbers],
            "born": [date(1990, 1, 1 + n % 28) for n in numbers],
            "ok": [n % 3 == 0 for n in numbers],
        },
        schema={
            "name": pl.String, "age": pl.Float64, "iban": pl.String,
            "seen": pl.Datetime("us"), "born": pl.Date, "ok": pl.Boolean,
        },
    )  # fmt: skip


@pytest.fixture
def tables(embedded: Settings, keyring: Keyring) -> TableStore:
    return TableStore(embedded.objects, keyring)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables_module, "PART_ROWS", 100)


def stored(settings: Settings) -> list[Path]:
    return [path for path in settings.objects.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("small_parts")
def test_a_table_comes_back_as_it_was(tables: TableStore) -> None:
    frames = [people(30, 0), people(0), people(250, 30), people(5, 280)]
    table = tables.write("default", "T", frames, CLASSES)
    assert [part.rows for part in table.parts] == [100, 100, 85]
    assert (table.rows, table.columns) == (285, tuple(CLASSES.items()))
    assert_frame_equal(tables.scan("default", table).collect(), pl.concat(frames))


@pytest.mark.usefixtures("small_parts")
def test_wanted_columns_come_in_the_wanted_order(tables: TableStore) -> None:
    table = tables.write("default", "T", [people(250)], CLASSES)
    wanted = ["iban", "age", "name"]
    assert_frame_equal(tables.scan("default", table, wanted).collect(), people(250).select(wanted))


@pytest.mark.parametrize("frames", [[people(0)], [people(0), people(0)]])
def test_a_table_without_rows_keeps_its_schema(tables: TableStore, frames: list[pl.DataFrame]) -> None:
    table = tables.write("default", "T", frames, CLASSES)
    assert table.rows == 0
    assert_frame_equal(tables.scan("default", table).collect(), people(0))
    assert_frame_equal(tables.read_slice("default", table, columns=None, offset=0, length=5), people(0))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offset=st.integers(0, 300), length=st.integers(0, 300), columns=st.sampled_from([None, ["age"], ["ok", "name"]]))
@pytest.mark.usefixtures("small_parts")
def test_a_slice_is_the_same_rows_wherever_parts_begin(
    sliced: tuple[TableStore, Table, pl.DataFrame], offset: int, length: int, columns: list[str] | None
) -> None:
    store, table, whole = sliced
    found = store.read_slice("default", table, columns=columns, offset=offset, length=length)
    assert_frame_equal(found, whole.select(columns or whole.columns).slice(offset, length))
    assert_frame_equal(store.scan("default", table, columns, rows=(offset, offset + length)).collect(), found)


@pytest.mark.usefixtures("small_parts")
def test_a_range_of_rows_opens_only_the_files_that_hold_it(tables: TableStore, embedded: Settings) -> None:
    table = tables.write("default", "T", [people(250)], CLASSES)
    for part in (table.parts[0], table.parts[2]):
        for _, name in part.files:
            next(embedded.objects.rglob(name)).unlink()
    found = tables.scan("default", table, ["age"], rows=(120, 180)).collect(engine="streaming")
    assert_frame_equal(found, people(250).select("age").slice(120, 60))


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TableStore, Table, pl.DataFrame]]:
    home = Settings(home=tmp_path_factory.mktemp("sliced"))
    keyring = open_keyring(home)
    store = TableStore(home.objects, keyring)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables_module, "PART_ROWS", 100)
        yield store, store.write("default", "T", [people(250)], CLASSES), people(250)
    keyring.close()


def test_negative_positions_are_refused(tables: TableStore) -> None:
    table = tables.write("default", "T", [people(5)], CLASSES)
    for offset, length in ((-1, 1), (0, -1)):
        with pytest.raises(InvalidInput, match="negative"):
            tables.read_slice("default", table, columns=None, offset=offset, length=length)


def test_only_the_keys_of_the_wanted_columns_are_needed(tables: TableStore, keyring: Keyring) -> None:
    table = tables.write("default", "T", [people(50)], CLASSES)
    keyring.shred("default", "dataset/T/personal")
    assert_frame_equal(tables.scan("default", table, ["age", "iban"]).collect(), people(50).select("age", "iban"))
    with pytest.raises(NotFound):
        tables.scan("default", table, ["age", "name"])
    keyring.shred("default", "dataset/T")
    with pytest.raises(NotFound):
        tables.scan("default", table, ["age"])


def test_only_the_files_of_the_wanted_classes_are_opened(tables: TableStore, embedded: Settings) -> None:
    table = tables.write("default", "T", [people(50)], CLASSES)
    for path in stored(embedded):
        if "plain" not in path.name:
            path.unlink()
    assert_frame_equal(tables.scan("default", table, ["age"]).collect(), people(50).select("age"))
    with pytest.raises(Internal, match="missing"):
        tables.scan("default", table, ["age", "name"])


def test_no_value_no_column_name_is_on_the_disk(tables: TableStore, embedded: Settings) -> None:
    tables.write("default", "T", [people(500)], CLASSES)
    for path in (path for path in embedded.home.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for planted in (b"Lovelace", b"DE0000000", *(name.encode() for name in ("name", "iban", "born", "seen"))):
            # Two letters can occur by chance in encrypted bytes; four do about once in 4 GB.
            assert planted not in content, f"{planted!r} in {path.name}"


def test_the_manifest_survives_being_written(tables: TableStore) -> None:
    frame = pl.DataFrame({"größe €": [1], 'quo"te': ["x"]})
    table = tables.write("default", "T", [frame], {"größe €": PLAIN, 'quo"te': SECRET})
    again = Table.from_json(table.to_json())
    assert again == table
    assert_frame_equal(tables.scan("default", again).collect(), frame)


def test_size_counts_what_is_on_the_disk(tables: TableStore, embedded: Settings) -> None:
    table = tables.write("default", "T", [people(50)], CLASSES)
    assert table.size_bytes == sum(path.stat().st_size for path in stored(embedded)) > 0


def test_a_file_that_disappears_while_it_is_read_is_said_so(tables: TableStore, embedded: Settings) -> None:
    table = tables.write("default", "T", [people(50)], CLASSES)
    plan = tables.scan("default", table)
    for path in stored(embedded):
        path.unlink()
    with pytest.raises(Internal, match="missing"), mapped_errors():
        plan.collect()


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    "damage", ["flip", "cut", "other part", "other table", "other class", "gone", "empty", "plaintext"]
)
def test_a_damaged_table_is_noticed(tables: TableStore, embedded: Settings, damage: str) -> None:
    table = tables.write("default", "T", [people(250)], CLASSES)
    tables.write("default", "U", [people(250)], CLASSES)
    folder = embedded.objects / "tables"
    target = folder / "T" / "000001-personal.parquet"
    content = target.read_bytes()
    if damage == "flip":
        target.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif damage == "cut":
        target.write_bytes(content[:-50])
    elif damage == "gone":
        target.unlink()
    elif damage == "empty":
        target.write_bytes(b"")
    elif damage == "plaintext":
        people(100).select("name", "born").write_parquet(target)
    else:
        source = {
            "other part": "T/000000-personal.parquet",
            "other table": "U/000001-personal.parquet",
            "other class": "T/000001-plain.parquet",
        }[damage]
        target.write_bytes((folder / source).read_bytes())
    with pytest.raises(Internal) as caught:
        tables.read_slice("default", table, columns=None, offset=0, length=250)
    assert "Lovelace" not in caught.value.message


def test_every_flipped_byte_of_a_small_table_is_noticed_or_harmless(tables: TableStore, embedded: Settings) -> None:
    table = tables.write("default", "T", [people(20)], CLASSES)
    target = embedded.objects / "tables" / "T" / "000000-plain.parquet"
    content = target.read_bytes()
    for position in random.Random(0).sample(range(len(content)), 150):
        target.write_bytes(content[:position] + bytes([content[position] ^ 255]) + content[position + 1 :])
        try:
            found = tables.read_slice("default", table, columns=["age", "ok"], offset=0, length=20)
        except Internal:
            continue
        assert_frame_equal(found, people(20).select("age", "ok"))


def test_a_writer_that_fails_leaves_nothing(tables: TableStore, embedded: Settings, small_parts: None) -> None:
    def frames() -> Iterator[pl.DataFrame]:
        yield people(250)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        tables.write("default", "T", frames(), CLASSES)
    assert stored(embedded) == []
    tables.write("default", "T", [people(5)], CLASSES)


def test_a_full_disk_is_said_so_and_leaves_nothing(small_disk: Path, keyring: Keyring) -> None:
    tables = TableStore(small_disk, keyring)
    table = tables.write("default", "T", [people(100)], CLASSES)
    before = [path for path in small_disk.rglob("*") if path.is_file()]
    noise = pl.DataFrame({"x": pl.int_range(400_000, eager=True).hash()})
    with pytest.raises(StorageFull, match="nothing was kept"):
        tables.write("default", "U", [noise], {"x": PLAIN})
    assert [path for path in small_disk.rglob("*") if path.is_file()] == before
    assert_frame_equal(tables.scan("default", table).collect(), people(100))


def test_a_table_is_written_while_its_frames_arrive(tables: TableStore, embedded: Settings, small_parts: None) -> None:
    def frames() -> Iterator[pl.DataFrame]:
        for number in range(10):
            # Memory is bounded: all but the last two hundred rows are on the disk by now.
            assert len(stored(embedded)) >= 3 * (number - 2)
            yield people(100, number * 100)

    assert tables.write("default", "T", frames(), CLASSES).rows == 1000


def test_wide_frames_make_parts_of_fewer_rows(tables: TableStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables_module, "PART_BYTES", 1_000)
    table = tables.write("default", "T", (people(20, n * 20) for n in range(5)), CLASSES)
    assert len(table.parts) > 1
    assert_frame_equal(tables.scan("default", table).collect(), people(100))


def test_a_table_is_never_overwritten(tables: TableStore) -> None:
    table = tables.write("default", "T", [people(5)], CLASSES)
    with pytest.raises(Conflict):
        tables.write("default", "T", [people(7)], CLASSES)
    assert_frame_equal(tables.scan("default", table).collect(), people(5))


def test_frames_that_differ_are_refused(tables: TableStore, embedded: Settings) -> None:
    with pytest.raises(Internal, match="differ"):
        tables.write("default", "T", [people(5), people(5).with_columns(age=pl.lit(1))], CLASSES)
    assert stored(embedded) == []


@pytest.mark.parametrize("frames", [[], [pl.DataFrame()]])
def test_a_table_needs_a_column(tables: TableStore, frames: list[pl.DataFrame]) -> None:
    with pytest.raises(InvalidInput, match="at least one column"):
        tables.write("default", "T", frames, {})


def test_an_unknown_column_is_named_with_those_there_are(tables: TableStore) -> None:
    table = tables.write("default", "T", [people(5)], CLASSES)
    with pytest.raises(InvalidInput, match=r"no column 'agee'.*name, age, iban"):
        tables.scan("default", table, ["agee"])
    with pytest.raises(InvalidInput, match="At least one"):
        tables.scan("default", table, [])


def test_predicates_and_sums_work_over_the_joined_classes(tables: TableStore, small_parts: None) -> None:
    table = tables.write("default", "T", [people(250)], CLASSES)
    query = pl.col("ok") & pl.col("name").is_not_null()
    found = tables.scan("default", table).filter(query).select("iban", "age").collect(engine="streaming")
    assert_frame_equal(found, people(250).filter(query).select("iban", "age"))
    assert tables.scan("default", table).select(pl.len()).collect().item() == 250


def test_a_deleted_table_is_gone_and_deleting_it_again_is_fine(tables: TableStore, embedded: Settings) -> None:
    tables.write("default", "T", [people(5)], CLASSES)
    tables.delete("T")
    tables.delete("T")
    assert stored(embedded) == []


@pytest.mark.parametrize("table_id", ["", "..", "../x", "a/b", ".", "a\n"])
def test_an_id_never_leads_out_of_the_folder(tables: TableStore, table_id: str) -> None:
    with pytest.raises(NotFound):
        tables.delete(table_id)


def test_sweeping_covers_tables_and_blobs_and_spares_what_is_stored(
    tables: TableStore, embedded: Settings, keyring: Keyring
) -> None:
    table = tables.write("default", "T", [people(5)], CLASSES)
    blob = BlobStore(embedded.objects, keyring).put("default", "upload/1", [b"x"])
    dead = embedded.objects / "writing" / new_id()
    dead.mkdir()
    (dead / "half.parquet").write_bytes(b"x")
    assert tables.sweep() == 1
    assert not dead.exists()
    assert tables.scan("default", table).collect().height == 5
    assert BlobStore(embedded.objects, keyring).read("default", "upload/1", blob.id) == b"x"

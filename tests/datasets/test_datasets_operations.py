"""The verbs of datasets over real stores: versions, masks, deletion, and nothing half-done."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from datetime import date
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from datasets.warehouse import EDITOR, OWNER, STEWARD, STRANGER, VIEWER, Warehouse

from lepton.access.records import Actor
from lepton.core.clock import Clock
from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.errors import Conflict, Forbidden, InvalidInput, LeptonError, NotFound, TooLarge, Unauthenticated
from lepton.core.ids import new_id
from lepton.core.refs import Ref, parse_ref
from lepton.core.settings import Settings
from lepton.datasets import exports, reading
from lepton.datasets.recipe import parse_recipe
from lepton.datasets.records import ImportOptions
from lepton.datasets.schema import Column, Schema
from lepton.datasets.steps import Recipe
from lepton.runs.records import Run
from lepton.store.blobs import BlobStore

PEOPLE = "name,age,ssn,joined\n" + "".join(
    f"n{i},{20 + i % 40},{100000 + i},2026-01-{1 + i % 28:02d}\n" for i in range(40)
)
DIRTY = "city,size\n" + "Bern,1\nbern,2\nBERN ,3\nRome,4\nRome,\n" * 8 + "Rome,4\n" * 3


def recipe(*steps: dict[str, object]) -> Recipe:
    return parse_recipe({"steps": list(steps)})  # type: ignore[dict-item]


def test_an_import_makes_a_version(warehouse: Warehouse, clock: Clock) -> None:
    assert warehouse.add(PEOPLE) == "people@1"
    detail = warehouse.datasets.get(VIEWER, Ref("people"))
    assert (detail.version.rows, detail.version.columns, detail.version.made_by) == (40, 4, "import")
    assert (detail.version.created_by, detail.version.created_at) == ("oli", clock())
    assert [(c.name, c.type, c.nulls, c.distinct) for c in detail.schema] == [
        ("name", ColumnType.TEXT, 0, 40),
        ("age", ColumnType.INTEGER, 0, 40),
        ("ssn", ColumnType.INTEGER, 0, 40),
        ("joined", ColumnType.DATE, 0, 28),
    ]
    assert detail.version.size_bytes > 0


def test_rows_come_in_order_and_in_pages(warehouse: Warehouse) -> None:
    warehouse.add(PEOPLE)
    page = warehouse.datasets.rows(VIEWER, Ref("people"), offset=38, limit=5)
    assert page.columns == ("name", "age", "ssn", "joined")
    assert page.rows == [["n38", 58, 100038, "2026-01-11"], ["n39", 59, 100039, "2026-01-12"]]
    assert page.total == 40
    assert warehouse.datasets.rows(VIEWER, Ref("people"), offset=40).rows == []
    with pytest.raises(InvalidInput, match="limit from 0 to 1000"):
        warehouse.datasets.rows(VIEWER, Ref("people"), limit=1001)


def test_the_report_tells_every_rejected_row_and_what_was_detected(warehouse: Warehouse) -> None:
    warehouse.add("a;b\n1;x\n2\n3;y\n4;z\n")
    report = warehouse.datasets.report(VIEWER, Ref("people"))
    assert [(row.line, row.reason) for row in report.rejected] == [(3, "it has 1 fields, not 2")]
    assert report.rejected_total == 1
    assert report.detected is not None
    assert report.detected.separator == ";"
    assert (report.recipe, report.steps) == (None, ())


def test_more_rejected_rows_than_a_report_lists_are_counted(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "REPORTED_ROWS", 3)
    warehouse.add("a,b\n" + "1,2\n1\n" * 5 + "1,2\n")
    report = warehouse.datasets.report(VIEWER, Ref("people"))
    assert ([row.line for row in report.rejected], report.rejected_total) == ([3, 5, 7], 5)


def test_versions_count_up_and_each_stays(warehouse: Warehouse) -> None:
    assert [warehouse.add(f"a\n{i}\n{i}\n", header=True) for i in range(3)] == ["people@1", "people@2", "people@3"]
    assert warehouse.values("people@1") == [[0], [0]]
    assert warehouse.values("people") == [[2], [2]]
    (summary,) = warehouse.datasets.list(VIEWER)
    assert (summary.name, summary.latest) == ("people", 3)
    assert [version.version for version in summary.versions] == [3, 2, 1]


def test_imports_at_the_same_time_get_numbers_of_their_own(warehouse: Warehouse) -> None:
    runs = [
        warehouse.datasets.import_(OWNER, [b"a\n1\n2\n"], options=ImportOptions("people", header=True))
        for _ in range(4)
    ]
    refs: list[str] = []
    threads = [threading.Thread(target=lambda r=run: refs.extend(warehouse.work(r).outputs)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(refs) == [f"dataset:people@{number}" for number in range(1, 5)]


def test_an_unknown_version_says_which_there_is(warehouse: Warehouse) -> None:
    warehouse.add(PEOPLE)
    with pytest.raises(NotFound, match=r"Dataset 'people' has no version 7; the latest is 1\."):
        warehouse.datasets.get(VIEWER, Ref("people", 7))
    with pytest.raises(NotFound, match="There is no dataset 'nobody'"):
        warehouse.datasets.rows(VIEWER, Ref("nobody"))


# --- bad imports


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"name": "No Good"}, "cannot name a dataset"),
        ({"name": "x", "format": "xls"}, "There is no format 'xls'"),
        ({"name": "x", "separator": ",,"}, "separator must be one character"),
    ],
)
def test_what_is_wrong_with_the_options_is_said_at_once(
    warehouse: Warehouse, options: dict[str, str], match: str
) -> None:
    with pytest.raises(InvalidInput, match=match):
        warehouse.datasets.import_(OWNER, [b"a,b\n1,2\n"], options=ImportOptions(**options))  # type: ignore[arg-type]
    assert warehouse.files() == []


def test_an_empty_upload_is_refused_and_leaves_nothing(warehouse: Warehouse) -> None:
    with pytest.raises(InvalidInput, match="The file is empty"):
        warehouse.datasets.import_(OWNER, [b"", b""], options=ImportOptions("x"))
    assert warehouse.files() == []


def test_too_large_an_upload_is_refused_and_leaves_nothing(settings: Settings, clock: Clock) -> None:
    small = Settings(home=settings.home, catalog=settings.catalog, max_upload_bytes=100)
    warehouse = Warehouse(small, clock)
    with pytest.raises(TooLarge):
        warehouse.datasets.import_(OWNER, [b"x" * 60, b"x" * 60], options=ImportOptions("x"))
    assert warehouse.files() == []
    warehouse.close()


def test_nobody_uploads_in_vain(warehouse: Warehouse) -> None:
    def chunks() -> object:
        raise AssertionError("the file was read")

    for actor, error in ((VIEWER, Forbidden), (STRANGER, NotFound)):
        with pytest.raises(error):
            warehouse.datasets.import_(actor, iter(chunks, None), options=ImportOptions("x"))  # type: ignore[arg-type]


def test_a_failed_import_leaves_only_the_encrypted_upload(warehouse: Warehouse) -> None:
    run = warehouse.datasets.import_(OWNER, [b"a,b,c\n1,2\n1,2\n"], options=ImportOptions("x"))
    uploads = warehouse.files()
    with pytest.raises(InvalidInput, match="2 of 2 rows cannot be read"):
        warehouse.work(run)
    assert warehouse.files() == uploads
    assert warehouse.datasets.list(VIEWER) == []


def test_a_column_to_protect_must_exist(warehouse: Warehouse) -> None:
    with pytest.raises(InvalidInput, match="no column 'snn' to protect. Did you mean 'ssn'?"):
        warehouse.add(PEOPLE, personal=("snn",))
    with pytest.raises(InvalidInput, match="both personal and secret"):
        warehouse.add(PEOPLE, personal=("ssn",), secret=("ssn",))


def test_a_cancelled_run_commits_nothing(warehouse: Warehouse) -> None:
    run = warehouse.datasets.import_(OWNER, [PEOPLE.encode()], options=ImportOptions("x"))
    uploads = warehouse.files()
    with pytest.raises(Conflict, match="cancelled"):
        warehouse.work(run, is_stopping=True)
    assert warehouse.files() == uploads


def test_a_run_that_has_ended_meanwhile_commits_nothing(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    run = warehouse.datasets.import_(OWNER, [PEOPLE.encode()], options=ImportOptions("x"))
    uploads = warehouse.files()
    commit = warehouse.datasets.commit

    def late(*args: object, **kwargs: object) -> object:
        warehouse.runs.fail(run.id, InvalidInput("Given up."))
        return commit(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(warehouse.datasets, "commit", late)
    with pytest.raises(Conflict):
        warehouse.work(run)
    assert warehouse.files() == uploads
    assert warehouse.datasets.list(VIEWER) == []


# --- personal and secret columns


def test_a_masked_column_shows_its_name_and_nothing_else(warehouse: Warehouse) -> None:
    warehouse.add(PEOPLE, personal=("name",), secret=("ssn",))
    for actor, masked in ((VIEWER, ("name", "ssn")), (EDITOR, ("name", "ssn")), (STEWARD, ("ssn",)), (OWNER, ())):
        page = warehouse.datasets.rows(actor, Ref("people"), limit=1)
        assert page.masked == masked
        assert [cell is None for cell in page.rows[0]] == [name in masked for name in page.columns]
        for column in warehouse.datasets.get(actor, Ref("people")).schema:
            assert column.masked == (column.name in masked)
            assert (column.nulls is None) == (column.distinct is None) == column.masked
        for profile in warehouse.datasets.profile(actor, Ref("people")).columns:
            assert (profile.top_values is None and profile.mean is None and profile.nulls is None) == profile.masked


def test_classes_are_inherited_by_clean_and_split(warehouse: Warehouse) -> None:
    warehouse.add(PEOPLE, personal=("name",), secret=("ssn",))
    warehouse.work(warehouse.datasets.clean(OWNER, Ref("people"), recipe=recipe({"step": "drop_duplicates"})))
    warehouse.work(warehouse.datasets.split(OWNER, Ref("people"), fractions={"a": 0.5, "b": 0.5}))
    for name in ("people", "people-a", "people-b"):
        classes = [column.column_class for column in warehouse.datasets.get(OWNER, Ref(name)).schema]
        assert classes == [ColumnClass.PERSONAL, ColumnClass.PLAIN, ColumnClass.SECRET, ColumnClass.PLAIN]


def test_who_cannot_read_a_column_makes_no_dataset_of_it(warehouse: Warehouse) -> None:
    warehouse.add(PEOPLE, personal=("name",))
    with pytest.raises(Forbidden, match="columns you may not read \\('name'\\)"):
        warehouse.datasets.clean(EDITOR, Ref("people"))
    with pytest.raises(Forbidden, match="columns you may not read"):
        warehouse.datasets.split(EDITOR, Ref("people"), fractions={"a": 0.5, "b": 0.5})


def test_opening_gives_only_what_may_be_read(warehouse: Warehouse) -> None:
    warehouse.add(PEOPLE, personal=("name",), secret=("ssn",))
    opened = warehouse.datasets.open(STEWARD, Ref("people"))
    assert opened.scan().collect().columns == ["name", "age", "joined"]
    assert opened.scan(["joined", "age"]).collect().row(0) == (date(2026, 1, 1), 20)
    with pytest.raises(Forbidden, match="Column 'ssn' is secret"):
        opened.scan(["ssn"])
    with pytest.raises(InvalidInput, match="There is no column 'agee'. Did you mean 'age'?"):
        opened.scan(["agee"])


def test_values_of_a_recipe_on_a_masked_column_are_masked_in_the_report(warehouse: Warehouse) -> None:
    warehouse.add("ssn,age\n1,\n,2\n3,3\n", secret=("ssn",))
    steps = recipe(
        {"step": "fill_missing", "columns": ["ssn"], "strategy": "constant", "value": 4711},
        {"step": "fill_missing", "columns": ["age"], "strategy": "mean"},
    )
    warehouse.work(warehouse.datasets.clean(OWNER, Ref("people"), recipe=steps))
    seen = warehouse.datasets.report(OWNER, Ref("people"))
    assert seen.recipe == steps
    assert [(step.summary, step.fitted) for step in seen.steps] == [
        ("1 cell filled", {"ssn": {"constant": 4711}}),
        ("1 cell filled", {"age": {"mean": 2}}),
    ]
    masked = warehouse.datasets.report(STEWARD, Ref("people"))
    assert masked.recipe is not None
    assert "4711" not in str(masked)
    assert [(step.cells_changed, dict(step.fitted)) for step in masked.steps] == [(0, {}), (1, {"age": {"mean": 2}})]


# --- clean and split


def test_the_suggested_recipe_is_done_if_none_is_given(warehouse: Warehouse) -> None:
    warehouse.add(DIRTY)
    suggested = warehouse.datasets.profile(EDITOR, Ref("people")).suggested_recipe
    assert [step.name for step in suggested.steps] == ["normalize_labels", "drop_duplicates", "fill_missing"]
    done = warehouse.work(warehouse.datasets.clean(EDITOR, Ref("people")), EDITOR)
    assert (done.inputs, done.outputs) == (("dataset:people@1",), ("dataset:people@2",))
    detail = warehouse.datasets.get(VIEWER, Ref("people"))
    assert (detail.version.parent, detail.version.made_by) == ("people@1", "clean")
    assert warehouse.values("people") == [["Bern", 1], ["Bern", 2], ["Bern", 3], ["Rome", 4], ["Rome", 2]]
    report = warehouse.datasets.report(VIEWER, Ref("people"))
    assert [(step.step, step.rows_before, step.rows_after) for step in report.steps] == [
        ("normalize_labels", 43, 43),
        ("drop_duplicates", 43, 5),
        ("fill_missing", 5, 5),
    ]


def test_a_dataset_that_is_clean_can_be_cleaned(warehouse: Warehouse) -> None:
    warehouse.add(PEOPLE)
    warehouse.work(warehouse.datasets.clean(EDITOR, Ref("people")), EDITOR)
    assert warehouse.values("people@2") == warehouse.values("people@1")


def test_a_recipe_that_does_not_fit_is_refused_before_a_run(warehouse: Warehouse) -> None:
    warehouse.add(PEOPLE)
    with pytest.raises(InvalidInput, match=r"Step 1 \(drop_missing\) names column 'agge'.* Did you mean 'age'\?"):
        warehouse.datasets.clean(EDITOR, Ref("people"), recipe=recipe({"step": "drop_missing", "columns": ["agge"]}))
    with pytest.raises(InvalidInput, match="There is no column 'y'"):
        warehouse.datasets.clean(EDITOR, Ref("people"), target="y")


def test_a_split_makes_a_dataset_of_each_part(warehouse: Warehouse) -> None:
    warehouse.add("k,v\n" + "".join(f"{'ab'[i % 4 == 0]},{i}\n" for i in range(100)))
    fractions = {"train": 0.8, "test": 0.2}
    run = warehouse.datasets.split(EDITOR, Ref("people"), fractions=fractions, seed=3, stratify="k")
    assert warehouse.work(run, EDITOR).outputs == ("dataset:people-train@1", "dataset:people-test@1")
    train, test = warehouse.values("people-train"), warehouse.values("people-test")
    assert sorted(v for _, v in train + test) == list(range(100))
    assert [sum(k == label for k, _ in test) for label in "ab"] == [15, 5]
    assert warehouse.datasets.report(VIEWER, Ref("people-test")).steps[0].summary == "20 of 100 rows taken"
    again = warehouse.datasets.split(EDITOR, Ref("people", 1), fractions=fractions, seed=3, stratify="k")
    warehouse.work(again, EDITOR)
    assert warehouse.values("people-test@2") == test


def test_a_part_without_rows_is_refused_and_leaves_nothing(warehouse: Warehouse) -> None:
    warehouse.add("a,b\n1,2\n3,4\n")
    files = warehouse.files()
    run = warehouse.datasets.split(EDITOR, Ref("people"), fractions={"train": 0.9, "test": 0.1})
    with pytest.raises(InvalidInput, match="Part 'test' would have no rows"):
        warehouse.work(run, EDITOR)
    assert warehouse.files() == files


def test_the_name_of_a_part_must_fit_into_a_name(warehouse: Warehouse) -> None:
    warehouse.add("a,b\n1,2\n3,4\n")
    with pytest.raises(InvalidInput, match="cannot name a dataset"):
        warehouse.datasets.split(EDITOR, Ref("people"), fractions={"No good": 0.5, "b": 0.5})


# --- export and delete


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_what_is_exported_can_be_imported_again(
    warehouse: Warehouse, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "BATCH_ROWS", 2)
    text = (
        "n,t,b,d,w\n"
        '1,"x, ""y""\nz",true,2026-01-01,2026-01-01T12:00:00.5\n'
        ",é,,,\n"
        "-5,a,false,2026-02-28,2026-01-01 10:00\n"
    )
    warehouse.add(text)
    export = warehouse.datasets.export(EDITOR, Ref("people"), format=kind)
    assert (export.file_name, export.left_out) == (f"people-1.{kind}", ())
    warehouse.add(b"".join(export.chunks), name="again", file_name=export.file_name)
    assert warehouse.values("again") == warehouse.values("people")
    types = [[column.type for column in warehouse.datasets.get(OWNER, Ref(n)).schema] for n in ("people", "again")]
    if kind != "jsonl":
        assert types[0] == types[1]


def test_missing_values_of_an_only_column_are_exported_as_rows(warehouse: Warehouse) -> None:
    warehouse.add("a\nx\n?\ny\n")
    warehouse.add(b"".join(warehouse.datasets.export(EDITOR, Ref("people")).chunks), name="again")
    assert warehouse.values("again") == [["x"], [None], ["y"]]


def test_an_export_leaves_out_what_one_may_not_read(warehouse: Warehouse) -> None:
    warehouse.add(PEOPLE, personal=("name",), secret=("ssn",))
    export = warehouse.datasets.export(EDITOR, Ref("people"), format="parquet")
    assert export.left_out == ("name", "ssn")
    assert pl.read_parquet(io.BytesIO(b"".join(export.chunks))).columns == ["age", "joined"]
    warehouse.add("a,b\n1,2\n3,4\n", name="hidden", secret=("a", "b"))
    with pytest.raises(Forbidden, match="You may read no column"):
        warehouse.datasets.export(EDITOR, Ref("hidden"))
    with pytest.raises(InvalidInput, match="There is no export format 'xlsx'"):
        warehouse.datasets.export(EDITOR, Ref("people"), format="xlsx")


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_an_arrow_stream_holds_the_rows_whatever_the_size_of_its_batches(
    warehouse: Warehouse, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "BATCH_ROWS", batch)
    warehouse.add("n,t,b,d\n1,x,true,2026-01-01\n,é,,\n-5,a,false,2026-02-28\n7,b,true,\n9,c,,2026-03-01\n")
    stream = b"".join(warehouse.datasets.export(EDITOR, Ref("people"), format="arrow").chunks)
    ours = pl.read_ipc_stream(io.BytesIO(stream))
    theirs = pa.ipc.open_stream(stream).read_all()
    table = b"".join(warehouse.datasets.export(EDITOR, Ref("people"), format="parquet").chunks)
    assert ours.equals(pl.read_parquet(io.BytesIO(table)))
    assert theirs.to_pylist() == ours.to_dicts()


def test_an_arrow_stream_of_no_rows_has_the_columns(warehouse: Warehouse) -> None:
    warehouse.add(PEOPLE)
    stream = b"".join(warehouse.datasets.export(EDITOR, Ref("people"), format="arrow", rows=(0, 0)).chunks)
    assert pl.read_ipc_stream(io.BytesIO(stream)).shape == (0, 4)


def test_a_range_of_rows_is_what_a_slice_would_be(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "BATCH_ROWS", 3)
    warehouse.add("a,b\n" + "".join(f"{number},x{number}\n" for number in range(10)))
    for first, end in ((0, 10), (0, 1), (4, 9), (9, 10), (8, 99), (10, 10), (12, 20)):
        export = warehouse.datasets.export(EDITOR, Ref("people"), format="arrow", columns=["b", "a"], rows=(first, end))
        frame = pl.read_ipc_stream(io.BytesIO(b"".join(export.chunks)))
        assert frame.columns == ["b", "a"]
        assert frame["a"].to_list() == list(range(10))[first:end]


def test_a_column_that_one_may_not_read_is_not_exported_by_its_name(warehouse: Warehouse) -> None:
    warehouse.add(PEOPLE, personal=("name",))
    with pytest.raises(Forbidden, match="You may not read column 'name'"):
        warehouse.datasets.export(EDITOR, Ref("people"), format="arrow", columns=["age", "name"])
    with pytest.raises(InvalidInput, match="no column 'agee'"):
        warehouse.datasets.export(EDITOR, Ref("people"), format="arrow", columns=["agee"])
    with pytest.raises(InvalidInput, match="There is no range of rows from 3 to 2"):
        warehouse.datasets.export(EDITOR, Ref("people"), format="arrow", rows=(3, 2))


def test_a_deleted_version_is_gone_and_its_number_stays_taken(warehouse: Warehouse) -> None:
    for _ in range(2):
        warehouse.add(PEOPLE)
    warehouse.datasets.delete(EDITOR, Ref("people", 2))
    with pytest.raises(NotFound, match="Version 2 of dataset 'people' was deleted; the latest is 1"):
        warehouse.datasets.get(VIEWER, Ref("people", 2))
    assert warehouse.datasets.get(VIEWER, Ref("people")).version.version == 1
    assert warehouse.add(PEOPLE) == "people@3"


def test_a_deleted_dataset_leaves_neither_files_nor_keys(warehouse: Warehouse) -> None:
    for _ in range(2):
        warehouse.add(PEOPLE, personal=("name",))
    ids = [version.id for version in warehouse.datasets.list(VIEWER)[0].versions]
    warehouse.datasets.delete(EDITOR, Ref("people"))
    assert warehouse.files() == []
    for version_id in ids:
        for group in ColumnClass:
            with pytest.raises(NotFound):
                warehouse.keyring.get("default", f"dataset/{version_id}/{group.value}")
    assert warehouse.datasets.list(VIEWER) == []
    with pytest.raises(NotFound, match="There is no dataset 'people'"):
        warehouse.datasets.delete(EDITOR, Ref("people"))
    assert warehouse.add(PEOPLE) == "people@3"


def test_a_table_that_a_dead_worker_left_is_swept_and_no_other(warehouse: Warehouse) -> None:
    warehouse.add(PEOPLE)
    frame = pl.DataFrame({"a": [1, 2]})
    lost = warehouse.datasets.store("default", [frame], Schema((Column("a", ColumnType.INTEGER),)))
    assert len(warehouse.files()) > 1
    with warehouse.database.read() as tx:
        assert warehouse.datasets.sweep(tx) == 1
        assert warehouse.datasets.sweep(tx) == 0
    assert not any(lost.id in str(file) for file in warehouse.files())
    assert len(warehouse.datasets.rows(EDITOR, Ref("people")).rows) > 0


def test_the_keys_of_a_table_that_was_never_made_are_swept_too(warehouse: Warehouse) -> None:
    warehouse.add(PEOPLE)
    kept = warehouse.keyring.scopes("dataset")
    warehouse.keyring.create("default", f"dataset/{'0' * 26}/plain")
    with warehouse.database.read() as tx:
        warehouse.datasets.sweep(tx)
    assert warehouse.keyring.scopes("dataset") == kept


def failed_import(warehouse: Warehouse) -> Run:
    run = warehouse.datasets.import_(OWNER, [b"a,b,c\n1,2\n1,2\n"], options=ImportOptions("x"))
    with pytest.raises(InvalidInput):
        warehouse.work(run)
    warehouse.runs.fail(run.id, InvalidInput("No row can be read."))
    return run


def test_the_file_of_a_failed_import_is_kept_a_week_for_a_retry_and_then_removed(
    warehouse: Warehouse, clock: Any
) -> None:
    run = failed_import(warehouse)
    uploads = warehouse.files()
    clock.advance(days=6, hours=23)
    with warehouse.database.read() as tx:
        assert warehouse.datasets.sweep(tx) == 0
    assert warehouse.files() == uploads
    again = warehouse.runs.retry(OWNER, run.id)
    clock.advance(days=30)
    with warehouse.database.read() as tx:
        assert warehouse.datasets.sweep(tx) == 0, "a retry waits for it"
    warehouse.runs.cancel(OWNER, again.id)
    clock.advance(days=7, hours=1)
    with warehouse.database.read() as tx:
        assert warehouse.datasets.sweep(tx) == 1
    assert warehouse.files() == []
    assert warehouse.keyring.scopes("upload") == []
    late = warehouse.runs.retry(OWNER, run.id)
    with pytest.raises(NotFound, match=r"kept for 7 days. Import it again"):
        warehouse.work(late)


def test_the_next_import_removes_old_files_too_and_spares_those_of_versions(warehouse: Warehouse, clock: Any) -> None:
    ref = warehouse.add(PEOPLE)
    whole = warehouse.files()
    failed_import(warehouse)
    clock.advance(days=8)
    assert len(warehouse.files()) == len(whole) + 1
    second = warehouse.add(PEOPLE)
    warehouse.datasets.delete(EDITOR, parse_ref(second))
    assert warehouse.files() == whole
    assert ref == "people@1"


def test_a_file_that_no_run_was_made_of_is_swept(warehouse: Warehouse, settings: Settings) -> None:
    upload_id = new_id()
    BlobStore(settings.objects, warehouse.keyring).put("default", f"upload/{upload_id}", [b"a"], blob_id=upload_id)
    with warehouse.database.read() as tx:
        assert warehouse.datasets.sweep(tx) == 1
        assert warehouse.datasets.sweep(tx) == 0
    assert warehouse.files() == []
    assert warehouse.keyring.scopes("upload") == []


def test_a_file_that_is_coming_in_is_not_swept(warehouse: Warehouse) -> None:
    def pieces() -> Iterator[bytes]:
        yield PEOPLE.encode()
        with warehouse.database.read() as tx:
            assert warehouse.datasets.sweep(tx) == 0

    warehouse.work(warehouse.datasets.import_(OWNER, pieces(), options=ImportOptions("people")))


def test_who_was_locked_out_while_sending_gets_no_import(warehouse: Warehouse) -> None:
    def nobody() -> Actor:
        raise Unauthenticated("This token is unknown or was deleted.")

    for again, error in ((nobody, Unauthenticated), (lambda: VIEWER, Forbidden)):
        with pytest.raises(error):
            warehouse.datasets.import_(OWNER, [b"a\n1\n"], options=ImportOptions("x"), again=again)
    assert warehouse.files() == []
    assert warehouse.runs.list(OWNER) == []


def test_planted_values_are_on_no_disk(warehouse: Warehouse) -> None:
    canaries = [f"canary{i:04d}x" for i in range(50)]
    header = "secretcolumn,plaincolumn,label\n"
    text = header + "".join(f"{value},{value}p,{'AB'[i % 2]}{value}\n" for i, value in enumerate(canaries))
    warehouse.add(text, secret=("secretcolumn",))
    steps = recipe({"step": "normalize_labels", "columns": ["label"], "mapping": {"Acanary0000x": "canarymapped"}})
    warehouse.work(warehouse.datasets.clean(OWNER, Ref("people"), recipe=steps))
    with pytest.raises(LeptonError) as caught:
        warehouse.add("a,b\ncanary1\ncanary2\ncanary3,1\n", header=True)
    assert "canary" not in caught.value.message
    assert "canary" not in "".join(warehouse.log)
    for path in warehouse.settings.home.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"canary" not in data, path
            assert b"secretcolumn" not in data, path


def test_refs_are_exact_where_work_is_submitted(warehouse: Warehouse) -> None:
    """A run on the latest version works on what was the latest when it was submitted."""
    warehouse.add("a,b\n1,2\n3,4\n")
    run = warehouse.datasets.clean(EDITOR, parse_ref("people"))
    warehouse.add("a,b\n5,6\n7,8\n")
    assert warehouse.work(run, EDITOR).outputs == ("dataset:people@3",)
    assert warehouse.values("people@3") == [[1, 2], [3, 4]]

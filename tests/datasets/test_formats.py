"""Files of all sorts come in whole: what is taken, what is rejected and why, and what is refused."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.datasets import delimited, encodings
from lepton.datasets.formats import open_file
from lepton.datasets.reading import Detected, ReadOptions


@dataclass
class Table:
    """All that came out of a file."""

    frame: pl.DataFrame
    types: dict[str, ColumnType]
    rejected: list[tuple[int, str]]
    detected: Detected

    @property
    def rows(self) -> list[tuple[object, ...]]:
        return self.frame.rows()


def read(data: bytes | str, **options: object) -> Table:
    raw = data.encode() if isinstance(data, str) else data
    reading = open_file(io.BytesIO(raw), ReadOptions(**options))  # type: ignore[arg-type]
    frames = list(reading.frames())
    rejected = [(row.line, row.reason) for row in reading.rejections.rows]
    assert len(rejected) == reading.rejections.total
    return Table(pl.concat(frames), reading.types, rejected, reading.detected)


def refused(data: bytes | str, **options: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        read(data, **options)
    return caught.value.message


# --- CSV: what is detected


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "^", "~"])
def test_the_separator_is_detected(separator: str) -> None:
    text = separator.join(["name", "age"]) + "\n" + "".join(f"n{i}{separator}{i}\n" for i in range(5))
    table = read(text)
    assert table.detected.separator == separator
    assert table.frame.columns == ["name", "age"]
    assert table.types == {"name": ColumnType.TEXT, "age": ColumnType.INTEGER}


def test_a_decimal_comma_is_not_a_separator() -> None:
    table = read("a;b\n1,5;2,25\n3,5;4\n")
    assert table.detected.separator == ";"
    assert table.rows == [(1.5, 2.25), (3.5, 4.0)]


def test_quoted_headers_with_dots_are_kept() -> None:
    table = read('"age";"emp.rate"\n30;-1.8\n31;1.1\n')
    assert table.frame.columns == ["age", "emp.rate"]
    assert table.detected == Detected("csv", ";", "utf-8", header=True, quote='"')


def test_a_file_without_header_keeps_its_first_row() -> None:
    table = read("ham\tOk lar\nspam\tFree entry\nham\tFine, then\n")
    assert table.frame.columns == ["column_1", "column_2"]
    assert table.rows[0] == ("ham", "Ok lar")
    assert table.detected.header is False


def test_numbers_in_the_first_row_are_no_header() -> None:
    assert read("1,x\n2,y\n3,z\n").rows[0] == (1, "x")


def test_the_user_has_the_last_word_on_the_header() -> None:
    assert read("1,x\n2,y\n", header=True).frame.columns == ["1", "x"]
    assert read("a,b\n1,2\n", header=False).rows[0] == ("a", "b")


def test_stray_quotes_are_part_of_the_text() -> None:
    text = 'ham\t"Hello there\nspam\tsay "yes" now\nham\tfive" pipe\nham\tok\n' * 3
    table = read(text)
    assert table.detected.quote is None
    assert table.rows[:3] == [("ham", '"Hello there'), ("spam", 'say "yes" now'), ("ham", 'five" pipe')]
    assert len(table.rows) == 12


def test_single_quotes_are_detected() -> None:
    table = read("'a','b'\n'1,5','x'\n'2','it''s'\n")
    assert table.detected.quote == "'"
    assert table.rows[1] == ("2", "it's")


def test_a_space_before_a_quote_is_skipped() -> None:
    table = read('a, b\n"1", "x, y"\n"2", "z"\n')
    assert table.rows == [(1, "x, y"), (2, "z")]


def test_one_column_of_text_is_one_column() -> None:
    table = read("comment\nfine, thanks\nno\nyes, and no, and so on\nwell\nhm\n")
    assert table.frame.columns == ["comment"]
    assert table.detected.separator is None
    assert len(table.rows) == 5


def test_empty_and_repeated_names_are_made_unique() -> None:
    assert read("a,,a,a_2,a\n1,2,3,4,5\n").frame.columns == ["a", "column_2", "a_3", "a_2", "a_4"]


def test_a_header_may_lack_the_name_of_the_row_names() -> None:
    assert read("a,b\nx,1,2\ny,3,4\n").rows == [("x", 1, 2), ("y", 3, 4)]


def test_separators_at_the_end_of_rows_make_an_empty_column() -> None:
    table = read("a,b\n1,2,\n3,4,\n")
    assert table.frame.columns == ["a", "b", "column_3"]
    assert table.rows == [(1, 2, None), (3, 4, None)]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_any_line_end_will_do(line_end: str) -> None:
    assert read(f"a,b{line_end}1,2{line_end}3,4").rows == [(1, 2), (3, 4)]


# --- CSV: encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_the_encoding_is_detected(encoding: str) -> None:
    table = read("name,city\nJosé,Zürich\nRené,Genève\n".encode(encoding))
    assert table.frame.columns == ["name", "city"]
    assert table.rows == [("José", "Zürich"), ("René", "Genève")]


def test_bytes_that_cp1252_lacks_make_it_latin_1() -> None:
    assert read(b"a,b\n\xe9\x81,1\nx,2\n").detected.encoding == "latin-1"


def test_an_encoding_can_be_named() -> None:
    assert read("名,値\n東京,1\n京都,2\n".encode("shift_jis"), encoding="shift_jis").rows[0] == ("東京", 1)


def test_a_wrong_encoding_names_the_place() -> None:
    message = refused("a,b\n1,2\né,3\n".encode("cp1252"), encoding="utf-8")
    assert "byte 8 of the file, on line 3" in message
    assert "not in utf-8" in message


def test_an_unknown_encoding_is_refused() -> None:
    assert "There is no character encoding 'utf-9'" in refused("a,b\n1,2\n", encoding="utf-9")
    assert "There is no character encoding 'base64'" in refused("a,b\n1,2\n", encoding="base64")


def test_utf_16_that_is_none_is_refused() -> None:
    assert "not in utf-16" in refused("a,b\n1,2\n", encoding="utf-16")


def test_a_row_of_other_bytes_is_rejected_alone() -> None:
    rows = "".join(f"é{i},{i}\n" for i in range(50)).encode()
    table = read(b"name,n\n" + rows + b"\xe9,50\nx,51\n")
    assert table.detected.encoding == "utf-8"
    assert table.rejected == [(52, "it holds bytes that are not utf-8")]
    assert len(table.rows) == 51


# --- CSV: rejected rows


def test_rows_of_another_length_are_rejected_with_their_line() -> None:
    table = read("a,b,c\n1,2,3\n4,5\n6,7,8\n9,10,11,12\n13,14,15\n")
    assert table.rejected == [(3, "it has 2 fields, not 3"), (5, "it has 4 fields, not 3")]
    assert table.rows == [(1, 2, 3), (6, 7, 8), (13, 14, 15)]


def test_an_open_quote_costs_its_own_line_only() -> None:
    lines = [f'{i},"text {i}"' for i in range(20)]
    lines[7] = '7,"text 7'
    table = read("n,t\n" + "\n".join(lines) + "\n")
    assert [line for line, _ in table.rejected] == [9]
    assert len(table.rows) == 19


def test_an_open_quote_in_the_last_row_is_reported() -> None:
    table = read('n,t\n1,"a"\n2,"b"\n3,"c"\n4,"never closed\n')
    assert table.rejected == [(5, "a quote is opened and never closed")]


def test_line_numbers_count_line_ends_inside_of_quotes() -> None:
    table = read('a,b\n"x\ny",1\n"z",2\nbad\n"w",3\n')
    assert table.rejected == [(5, "it has 1 fields, not 2")]
    assert table.rows[0] == ("x\ny", 1)


def test_a_value_of_another_type_rejects_its_row_and_is_not_quoted() -> None:
    text = "id,age\n" + "".join(f"{i},{20 + i}\n" for i in range(30)) + "31,s3cret\n"
    table = read(text)
    assert table.types["age"] is ColumnType.INTEGER
    assert table.rejected == [(32, "column 'age' holds what is not a whole number")]


def test_few_values_set_a_type_only_together() -> None:
    assert read("a,b\n1,x\n2,x\nthree,x\n").types["a"] is ColumnType.TEXT


def test_a_file_that_is_mostly_broken_is_refused() -> None:
    message = refused("a,b,c\n1,2\n1,2\n1,2,3\n1\n")
    assert "3 of 4 rows cannot be read, the first on line 2: it has 2 fields, not 3" in message


def test_the_wrong_separator_is_one_column() -> None:
    assert read("a,b\n1,2\n", separator=";").frame.columns == ["a,b"]


# --- what is refused


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b"  \n"])
def test_an_empty_file_is_refused(data: bytes) -> None:
    assert "empty" in refused(data)


def test_a_header_alone_is_refused() -> None:
    assert "header but no rows" in refused("a,b,c\n")
    assert "no rows" in refused("a,b\n\n\n", header=True)


def test_binary_data_is_refused() -> None:
    assert "binary data" in refused(bytes(range(256)) * 10)


@pytest.mark.parametrize("magic", [b"PK\x03\x04", b"\x1f\x8b\x08", b"SQLite format 3\0", b"%PDF-1.7"])
def test_other_formats_are_named(magic: bytes) -> None:
    assert re.search(r"Excel|gzip|SQLite|PDF", refused(magic + b"x" * 100))


def test_an_unknown_format_is_refused() -> None:
    assert "There is no format 'cvs'. Did you mean 'csv'?" in refused("a,b\n1,2\n", format="cvs")


def test_a_separator_must_be_one_character() -> None:
    assert "separator must be one character" in refused("a,b\n1,2\n", separator="ab")
    assert read("a\tb\n1\t2\n", separator="\\t").rows == [(1, 2)]


# --- types


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["1", "-2", "+3"], ColumnType.INTEGER, [1, -2, 3]),
        (["1", "2.5", "1e5", ".5"], ColumnType.NUMBER, [1.0, 2.5, 1e5, 0.5]),
        (["true", "False", "TRUE"], ColumnType.BOOLEAN, [True, False, True]),
        (["yes", "no", "yes"], ColumnType.TEXT, ["yes", "no", "yes"]),
        (["2026-01-31", "2025-02-28"], ColumnType.DATE, [date(2026, 1, 31), date(2025, 2, 28)]),
        (
            ["2026-01-31T12:00:00Z", "2026-01-31 12:00:00.25", "2026-01-31T12:00+02:00", "2026-01-31"],
            ColumnType.DATETIME,
            [
                datetime(2026, 1, 31, 12),
                datetime(2026, 1, 31, 12, 0, 0, 250_000),
                datetime(2026, 1, 31, 10),
                datetime(2026, 1, 31),
            ],
        ),
        (["007", "123", "456"], ColumnType.TEXT, ["007", "123", "456"]),
        (["12345678901234567890", "1"], ColumnType.TEXT, ["12345678901234567890", "1"]),
        (["1", "inf"], ColumnType.TEXT, ["1", "inf"]),
        (["2026-02-30", "2026-01-01"], ColumnType.TEXT, ["2026-02-30", "2026-01-01"]),
        (["1", "", "NA", "n/a", "NaN", "null", "None", "?", " - "], ColumnType.INTEGER, [1] + [None] * 8),
        (["", "?", "NA"], ColumnType.TEXT, [None, None, None]),
    ],
)
def test_types_are_found_in_text(values: list[str], kind: ColumnType, expected: list[object]) -> None:
    table = read("row,value\n" + "".join(f"{i},{value}\n" for i, value in enumerate(values)))
    assert table.types["value"] is kind
    assert table.frame["value"].to_list() == expected


def test_text_keeps_its_blanks() -> None:
    assert read("a,b\n x ,1\ny,2\n").rows[0] == (" x ", 1)


# --- JSON lines


def test_json_lines_take_the_union_of_keys() -> None:
    table = read('{"a": 1, "b": "x"}\n{"a": 2.5}\n\n{"b": "y", "c": true}\n')
    assert table.detected == Detected("jsonl", encoding="utf-8")
    assert table.frame.columns == ["a", "b", "c"]
    assert table.rows == [(1.0, "x", None), (2.5, None, None), (None, "y", True)]


def test_texts_of_digits_stay_text_in_json_lines() -> None:
    assert read('{"zip": "94110"}\n{"zip": "94111"}\n').rows == [("94110",), ("94111",)]


def test_bad_json_lines_are_rejected_with_a_reason() -> None:
    good = "".join(f'{{"a": {i}}}\n' for i in range(5))
    table = read(good + '{"a": \n[1]\n{"a": {"b": 1}}\n')
    assert table.rejected == [
        (6, "it is not valid JSON"),
        (7, "it is not a JSON object"),
        (8, "column 'a' holds a list or an object, not a single value"),
    ]


def test_a_json_array_is_refused() -> None:
    assert "JSON array" in refused('[{"a": 1}]')


# --- Parquet


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def test_parquet_types_are_mapped_to_ours() -> None:
    frame = pl.DataFrame(
        {
            "i": pl.Series([1, 2], dtype=pl.Int8),
            "d": pl.Series(["1.5", None]).str.to_decimal(scale=1),
            "c": pl.Series(["a", ""], dtype=pl.Categorical),
            "b": [True, None],
            "day": [date(2026, 1, 1), None],
            "t": pl.Series([datetime(2026, 1, 1), None]).dt.replace_time_zone("Europe/Berlin"),
            "f": pl.Series([float("nan"), 0.5], dtype=pl.Float32),
        }
    )
    table = read(parquet(frame))
    assert [kind.value for kind in table.types.values()] == [
        "integer",
        "number",
        "text",
        "boolean",
        "date",
        "datetime",
        "number",
    ]
    assert table.rows == [
        (1, 1.5, "a", True, date(2026, 1, 1), datetime(2025, 12, 31, 23), None),
        (2, None, None, None, None, None, 0.5),
    ]


def test_nested_parquet_columns_are_refused_by_name() -> None:
    assert "Column 'tags' holds list values" in refused(parquet(pl.DataFrame({"tags": [[1], [2]]})))


def test_numbers_beyond_ours_reject_their_row_in_parquet() -> None:
    frame = pl.DataFrame({"n": pl.Series([1, 2**63, 3], dtype=pl.UInt64), "x": [1.0, 2.0, float("inf")]})
    table = read(parquet(pl.concat([frame.head(1)] * 3 + [frame])))
    assert table.rejected == [
        (5, "column 'n' holds a number that is infinite or too large"),
        (6, "column 'x' holds a number that is infinite or too large"),
    ]


def test_damaged_parquet_is_refused() -> None:
    data = parquet(pl.DataFrame({"a": list(range(1000))}))
    assert "cannot be read as Parquet" in refused(data[:-20])
    assert "cannot be read as Parquet" in refused(b"a,b\n1,2\n", format="parquet")
    assert "no rows" in refused(parquet(pl.DataFrame({"a": [1]}).clear()))


# --- properties


cells = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=12)
tables = st.integers(2, 5).flatmap(
    lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=12)
)


@given(
    rows=tables,
    separator=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    chunk_bytes=st.sampled_from([7, 64, 1 << 20]),
)
@hypothesis_settings(max_examples=100, deadline=None)
def test_what_a_csv_writer_wrote_is_read_back_whole(
    rows: list[list[str]], separator: str, quoting: int, line_end: str, chunk_bytes: int
) -> None:
    """Fields may hold separators, quotes and line ends; only missing markers and numbers read differently."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=line_end)  # type: ignore[arg-type]
    names = [f"c{index}" for index in range(len(rows[0]))]
    writer.writerows([names, *[["x" + cell + "x" for cell in row] for row in rows]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "CHUNK_BYTES", chunk_bytes)
        table = read(text.getvalue(), separator=separator, header=True)
    assert table.rejected == []
    assert table.frame.columns == names
    assert [list(row) for row in table.rows] == [["x" + cell + "x" for cell in row] for row in rows]


@given(
    data=st.text(st.sampled_from("ab1,;\"\n\t \r'é"), min_size=1, max_size=120),
    chunk_bytes=st.sampled_from([5, 1 << 20]),
    header=st.sampled_from([None, True, False]),
)
@hypothesis_settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_refused_and_each_road_reads_the_same(
    data: str, chunk_bytes: int, header: bool | None
) -> None:
    def outcome(*, is_exact: bool) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encodings, "CHUNK_BYTES", chunk_bytes)
            if is_exact:
                patch.setattr(delimited, "_regular_shape", lambda *_: None)
            try:
                table = read(data, header=header)
            except InvalidInput as error:
                return error.message
        return table.rows, table.rejected, table.types

    assert outcome(is_exact=False) == outcome(is_exact=True)

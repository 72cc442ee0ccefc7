"""``client.datasets``: versioned tables, brought in, looked at, cleaned, split, exported. And ``client.labels``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypedDict, Unpack, overload

from lepton.client.answers import Items, decode, decode_items
from lepton.client.arrow import frames
from lepton.client.dataset_records import Dataset, DatasetDetail, Profile, Recipe, Report, Rows
from lepton.client.files import Export, Frame, open_source, save
from lepton.client.runs import OnProgress, Run, Runs
from lepton.client.transport import Transport, path_of

if TYPE_CHECKING:
    import polars as pl

OnUpload = Callable[[int, int | None], None]
"""Called while a file is sent, with the bytes sent so far and the size of the whole, None if that is unknown."""


class ImportOptions(TypedDict, total=False):
    """How to read a file, where it should not be detected.

    Attributes:
        name: Name of the dataset; made from the file's name if absent.
        format: ``csv``, ``parquet`` or ``jsonl``.
        separator: What stands between the fields of a CSV.
        encoding: Such as ``utf-8`` or ``latin-1``.
        header: Whether the first row holds the names of the columns.
        personal: Columns that only stewards and owners may read.
        secret: Columns that only owners may read.
        on_upload: Called while the file is sent.
    """

    name: str
    format: str | None
    separator: str | None
    encoding: str | None
    header: bool | None
    personal: Sequence[str]
    secret: Sequence[str]
    on_upload: OnUpload | None


class Datasets:
    """The verbs on datasets."""

    def __init__(self, transport: Transport, runs: Runs) -> None:
        self._transport = transport
        self._runs = runs

    def list(self) -> Items[Dataset]:
        """List the datasets of the project."""
        return decode_items(Dataset, self._transport.get(path_of("datasets")))

    def get(self, ref: str) -> DatasetDetail:
        """Return one version, or the latest, with its schema."""
        return decode(DatasetDetail, self._transport.get(path_of("datasets", ref)))

    def profile(self, ref: str, *, target: str | None = None) -> Profile:
        """Return statistics of every column and a suggested recipe; `target` is left unfilled by it."""
        return decode(Profile, self._transport.get(path_of("datasets", ref, "profile"), {"target": target}))

    def rows(self, ref: str, *, offset: int = 0, limit: int = 50) -> Rows:
        """Return `limit` rows from the one numbered `offset`."""
        query = {"offset": offset, "limit": limit}
        return decode(Rows, self._transport.get(path_of("datasets", ref, "rows"), query))

    def report(self, ref: str) -> Report:
        """Return how a version was made: what each step changed, which rows of the file were rejected and why."""
        return decode(Report, self._transport.get(path_of("datasets", ref, "report")))

    @overload
    def import_(
        self, source: str | Path | BinaryIO | Frame, *, wait: Literal[True] = True,
        on_progress: OnProgress | None = None, **options: Unpack[ImportOptions],
    ) -> DatasetDetail: ...  # fmt: skip
    @overload
    def import_(
        self, source: str | Path | BinaryIO | Frame, *, wait: Literal[False],
        on_progress: OnProgress | None = None, **options: Unpack[ImportOptions],
    ) -> Run: ...  # fmt: skip
    def import_(
        self, source: str | Path | BinaryIO | Frame, *, wait: bool = True,
        on_progress: OnProgress | None = None, **options: Unpack[ImportOptions],
    ) -> DatasetDetail | Run:  # fmt: skip
        """Make a dataset, or a new version of it, from a file or a data frame.

        Args:
            source: Path of a CSV, TSV, Parquet or JSON lines file; a file opened for reading bytes; or a pandas or
                Polars frame. It is sent in pieces, never read into memory whole.
            wait: Whether to return only when it is done.
            on_progress: Called with the run while waiting.
            options: See `ImportOptions`; what is absent is detected.

        Returns:
            The version that was made, or the run if `wait` is False.

        Raises:
            InvalidInput: if the file cannot be opened or read.
            RunFailed: if the import failed; the message says why.
        """
        with open_source(source, options.get("on_upload")) as upload:
            query = {
                "name": options.get("name") or upload.name,
                "format": options.get("format") or upload.format,
                "separator": options.get("separator"),
                "encoding": options.get("encoding"),
                "header": options.get("header"),
                "file_name": upload.file_name,
                "personal": tuple(options.get("personal", ())),
                "secret": tuple(options.get("secret", ())),
            }
            body = self._transport.upload(
                path_of("datasets", "import"), upload.chunks, query=query, size_bytes=upload.size_bytes
            )
        run = decode(Run, body)
        return self._made(run, on_progress)[0] if wait else run

    @overload
    def clean(
        self, ref: str, recipe: Recipe | Mapping[str, object] | None = None, *, target: str | None = None,
        wait: Literal[True] = True, on_progress: OnProgress | None = None,
    ) -> DatasetDetail: ...  # fmt: skip
    @overload
    def clean(
        self, ref: str, recipe: Recipe | Mapping[str, object] | None = None, *, target: str | None = None,
        wait: Literal[False], on_progress: OnProgress | None = None,
    ) -> Run: ...  # fmt: skip
    def clean(
        self, ref: str, recipe: Recipe | Mapping[str, object] | None = None, *, target: str | None = None,
        wait: bool = True, on_progress: OnProgress | None = None,
    ) -> DatasetDetail | Run:  # fmt: skip
        """Make a new version by cleaning steps.

        Args:
            ref: The version to clean.
            recipe: ``{"steps": […]}``; None takes the one that the profile suggests.
            target: Column that will be predicted; the suggestion drops rows that lack it.
            wait: Whether to return only when it is done.
            on_progress: Called with the run while waiting.

        Returns:
            The version that was made, or the run if `wait` is False.
        """
        steps = {"steps": list(recipe.steps)} if isinstance(recipe, Recipe) else recipe
        run = self._submit(path_of("datasets", ref, "clean"), {"recipe": steps, "target": target})
        return self._made(run, on_progress)[0] if wait else run

    @overload
    def split(
        self, ref: str, fractions: Mapping[str, float] | None = None, *, seed: int = 0, stratify: str | None = None,
        wait: Literal[True] = True, on_progress: OnProgress | None = None,
    ) -> Sequence[DatasetDetail]: ...  # fmt: skip
    @overload
    def split(
        self, ref: str, fractions: Mapping[str, float] | None = None, *, seed: int = 0, stratify: str | None = None,
        wait: Literal[False], on_progress: OnProgress | None = None,
    ) -> Run: ...  # fmt: skip
    def split(
        self, ref: str, fractions: Mapping[str, float] | None = None, *, seed: int = 0, stratify: str | None = None,
        wait: bool = True, on_progress: OnProgress | None = None,
    ) -> Sequence[DatasetDetail] | Run:  # fmt: skip
        """Make one dataset of each share of the rows, such as ``cancer-train`` and ``cancer-test``.

        Args:
            ref: The version to split.
            fractions: Share of each part, adding up to 1; None means ``{"train": 0.8, "test": 0.2}``.
            seed: The same seed gives the same parts.
            stratify: Column whose values are spread evenly over the parts.
            wait: Whether to return only when it is done.
            on_progress: Called with the run while waiting.

        Returns:
            The versions that were made, in the order of `fractions`, or the run if `wait` is False.
        """
        shares = dict(fractions or {"train": 0.8, "test": 0.2})
        run = self._submit(path_of("datasets", ref, "split"), {"fractions": shares, "seed": seed, "stratify": stratify})
        return self._made(run, on_progress) if wait else run

    def export(
        self,
        ref: str,
        to: str | Path | BinaryIO,
        *,
        format: str = "csv",  # noqa: A002 - the word of the interface
        columns: Sequence[str] | None = None,
        rows: tuple[int, int] | None = None,
    ) -> Export:
        """Write a version to a file, without the columns hidden from you.

        Args:
            ref: The version.
            to: Where.
            format: ``csv``, ``parquet``, ``jsonl`` or ``arrow`` (a stream of record batches).
            columns: Which columns, in which order; None: all.
            rows: The first row and the one behind the last; None: all.
        """
        with self._transport.download(path_of("datasets", ref, "export"), _asked(format, columns, rows)) as download:
            return save(download, to)

    def read(
        self, ref: str, *, columns: Sequence[str] | None = None, rows: tuple[int, int] | None = None
    ) -> pl.DataFrame:
        """Return rows of a version as a Polars frame, in memory.

        Args:
            ref: The version.
            columns: Which columns, in which order; None: all that you may read.
            rows: The first row and the one behind the last; None: all.
        """
        import polars as pl

        with self._transport.download(path_of("datasets", ref, "export"), _asked("arrow", columns, rows)) as download:
            return pl.read_ipc_stream(b"".join(download.chunks))

    def blocks(
        self, ref: str, *, columns: Sequence[str] | None = None, rows: tuple[int, int] | None = None
    ) -> Iterator[pl.DataFrame]:
        """Read rows of a version as they arrive, about a megabyte at a time; a table larger than memory can be read so.

        Args:
            ref: The version.
            columns: Which columns, in which order; None: all that you may read.
            rows: The first row and the one behind the last; None: all.

        Yields:
            Polars frames, in the order of the rows.
        """
        with self._transport.download(path_of("datasets", ref, "export"), _asked("arrow", columns, rows)) as download:
            yield from frames(download.chunks)

    def delete(self, ref: str) -> None:
        """Delete a version (``name@version``) or all versions (``name``) for good."""
        self._transport.send("DELETE", path_of("datasets", ref))

    def _submit(self, path: str, body: Mapping[str, object]) -> Run:
        return decode(Run, self._transport.send("POST", path, json=body))

    def _made(self, run: Run, on_progress: OnProgress | None) -> Sequence[DatasetDetail]:
        return [self.get(ref) for ref in self._runs.wait(run.id, on_progress=on_progress).made("dataset")]


def _asked(
    format: str,  # noqa: A002 - the word of the interface
    columns: Sequence[str] | None,
    rows: tuple[int, int] | None,
) -> dict[str, str | tuple[str, ...] | None]:
    first, end = (None, None) if rows is None else (str(rows[0]), str(rows[1]))
    return {"format": format, "column": None if columns is None else tuple(columns), "first": first, "end": end}


class Labels:
    """The verbs on labels: a list that is empty until labelling begins."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Items[object]:
        """List the labels of the project."""
        return decode_items(object, self._transport.get(path_of("labels")))

"""``lepton datasets`` and ``lepton labels``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lepton.cli.door import Detach, Door, Ref, Yes, group, verb

DATASETS = group("datasets", "Versioned tables: bring in, look at, clean, split, export.")
LABELS = group("labels", "Answers that people add to data.")
GROUPS = (DATASETS, LABELS)

Target = Annotated[str | None, typer.Option(help="The column that will be predicted.", metavar="COLUMN")]


@verb(
    DATASETS,
    "lepton datasets import houses.csv",
    "lepton datasets import patients.tsv --name patients --personal name --personal phone",
    "lepton datasets import --separator ';' --no-header data.txt",
    name="import",
)
def import_(  # noqa: PLR0913 - a command's parameters are its options
    door: Door,
    file: Annotated[Path, typer.Argument(help="A CSV, TSV, Parquet or JSON lines file; - reads standard input.")],
    *,
    name: Annotated[str | None, typer.Option(help="Name of the dataset; made from the file's name if absent.")] = None,
    format: Annotated[str | None, typer.Option(help="csv, tsv, parquet or jsonl; detected if absent.")] = None,  # noqa: A002
    separator: Annotated[str | None, typer.Option(help="Between the fields; 'tab' for a tab.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Such as utf-8 or latin-1; detected if absent.")] = None,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="Whether the first row holds the column names.")
    ] = None,
    personal: Annotated[
        list[str] | None, typer.Option(help="A column that only stewards and owners may read.", metavar="COLUMN")
    ] = None,
    secret: Annotated[
        list[str] | None, typer.Option(help="A column that only owners may read.", metavar="COLUMN")
    ] = None,
    detach: Detach = False,
) -> None:
    """Make a dataset, or a new version of it, from a file."""
    import sys

    from lepton.cli import dataset_pages, waiting
    from lepton.client.datasets import ImportOptions

    with waiting.upload_bar(door, file.name) as on_upload:
        options = ImportOptions(
            format=format,
            separator="\t" if separator in ("tab", "\\t") else separator,
            encoding=encoding,
            header=header,
            personal=personal or (),
            secret=secret or (),
            on_upload=on_upload,
        )
        if name:
            options["name"] = name
        source = sys.stdin.buffer if str(file) == "-" else file
        run = door.client.datasets.import_(source, wait=False, **options)
    if ended := waiting.finish(door, run, detach=detach):
        door.answer(ended.body, *([] if door.json else dataset_pages.made(door.client, ended)))


@verb(DATASETS, "lepton datasets list", name="list")
def list_(door: Door) -> None:
    """List the datasets."""
    from lepton.cli import tables

    items = door.client.datasets.list()
    door.answer(items.body, tables.datasets(items))


@verb(DATASETS, "lepton datasets get houses", "lepton datasets get houses@1 --json")
def get(door: Door, ref: Ref) -> None:
    """Show one version with its schema."""
    from lepton.cli import dataset_pages

    detail = door.client.datasets.get(ref)
    door.answer(detail.body, *dataset_pages.dataset(detail))


@verb(DATASETS, "lepton datasets profile houses --target price")
def profile(door: Door, ref: Ref, target: Target = None) -> None:
    """Show what is in each column, what is wrong with it, and a recipe that would clean it."""
    from lepton.cli import dataset_pages

    found = door.client.datasets.profile(ref, target=target)
    door.answer(found.body, *dataset_pages.profile(found))


@verb(DATASETS, "lepton datasets rows houses --limit 5")
def rows(
    door: Door,
    ref: Ref,
    offset: Annotated[int, typer.Option(help="How many rows to pass over.", min=0)] = 0,
    limit: Annotated[int, typer.Option(help="How many rows to show.", min=1, max=1000)] = 20,
) -> None:
    """Show some rows."""
    from lepton.cli import dataset_pages

    found = door.client.datasets.rows(ref, offset=offset, limit=limit)
    door.answer(found.body, *dataset_pages.rows(found, offset))


@verb(DATASETS, "lepton datasets report houses")
def report(door: Door, ref: Ref) -> None:
    """Show how a version was made: what each step changed, and which rows of the file were rejected."""
    from lepton.cli import dataset_pages

    found = door.client.datasets.report(ref)
    door.answer(found.body, *dataset_pages.report(found))


@verb(
    DATASETS,
    "lepton datasets clean houses --target price",
    "lepton datasets clean houses --recipe steps.yaml",
)
def clean(
    door: Door,
    ref: Ref,
    recipe: Annotated[
        Path | None, typer.Option(help="Steps in YAML or JSON; without it, what `profile` suggests is done.")
    ] = None,
    target: Target = None,
    detach: Detach = False,
) -> None:
    """Make a new version by cleaning steps, and show what each changed."""
    from lepton.cli import dataset_pages, values, waiting

    steps = values.recipe(recipe) if recipe is not None else None
    run = door.client.datasets.clean(ref, steps, target=target, wait=False)
    if ended := waiting.finish(door, run, detach=detach):
        door.answer(ended.body, *([] if door.json else dataset_pages.cleaned(door.client, ended)))


@verb(
    DATASETS,
    "lepton datasets split houses --seed 7",
    "lepton datasets split churn --part train=0.7 --part test=0.3 --stratify left",
)
def split(
    door: Door,
    ref: Ref,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="A part and its share, adding up to 1; train=0.8 and test=0.2 if absent.", metavar="NAME=SHARE"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same parts.")] = 0,
    stratify: Annotated[
        str | None, typer.Option(help="Spread the values of this column evenly.", metavar="COLUMN")
    ] = None,
    detach: Detach = False,
) -> None:
    """Make one dataset of each share of the rows."""
    from lepton.cli import dataset_pages, values, waiting

    fractions = values.shares(part) if part else None
    run = door.client.datasets.split(ref, fractions, seed=seed, stratify=stratify, wait=False)
    if ended := waiting.finish(door, run, detach=detach):
        door.answer(ended.body, *([] if door.json else dataset_pages.made(door.client, ended)))


@verb(
    DATASETS,
    "lepton datasets export houses@2 --to houses-clean.csv",
    "lepton datasets export houses --format jsonl --to - | head",
)
def export(
    door: Door,
    ref: Ref,
    to: Annotated[Path | None, typer.Option(help="File to write; - for standard output; REF.FORMAT if absent.")] = None,
    format: Annotated[str, typer.Option(help="csv, parquet, jsonl or arrow.")] = "csv",  # noqa: A002
) -> None:
    """Write a version to a file, without the columns hidden from you."""
    import sys

    path = to or Path(f"{ref}.{format}")
    written = door.client.datasets.export(ref, sys.stdout.buffer if str(path) == "-" else path, format=format)
    from lepton.cli.words import size

    if str(path) != "-":
        door.say(f"Wrote {path} ({size(written.size_bytes)}).")
    if written.left_out:
        door.err.print(f"Left out, as you may not read them: {', '.join(written.left_out)}.", markup=False)


@verb(DATASETS, "lepton datasets delete houses@1", "lepton datasets delete houses --yes")
def delete(door: Door, ref: Ref, yes: Yes = False) -> None:
    """Delete a version, or all versions, for good: its keys are destroyed."""
    what = ref if "@" in ref else f"all versions of {ref}"
    door.confirm(f"Delete {what} for good?", yes=yes)
    door.client.datasets.delete(ref)
    door.say(f"Deleted {what}.")


@verb(LABELS, "lepton labels list", name="list")
def list_labels(door: Door) -> None:
    """List the labels."""
    items = door.client.labels.list()
    door.answer(items.body, f"{len(items)} labels." if items else "No labels yet.")

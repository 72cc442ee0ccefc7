"""Where a benchmark writes what it printed: between two marks of a page."""

from __future__ import annotations

from pathlib import Path


def write(page: Path | None, name: str, text: str) -> None:
    """Put a text between ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``; None: nowhere."""
    if page is None:
        return
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    before, _, rest = page.read_text().partition(begin)
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")

"""Write the pages that follow from the code: ``python docs/generate.py``. A test fails when they are behind it.

cli.md from the command line's own help, rest.md from the OpenAPI document, catalog.mmd from the tables.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "src" / "lepton"


def pages() -> dict[str, str]:
    """Return the content of every generated page by file name."""
    return {"cli.md": cli(), "rest.md": rest(), "catalog.mmd": catalog()}


def cli() -> str:
    """One heading for each command, with its arguments and options."""
    import typer

    from lepton.cli import app

    lines = [
        "# Command line",
        "",
        "Every command takes `--help`, which has examples. `--json` prints exactly the REST body. Exit codes: 0 done, "
        "1 refused or failed, 2 wrong usage.",
    ]
    for path, command in _commands(typer.main.get_command(app), "lepton"):
        lines += ["", f"## {path}", "", _first_paragraph(command.help)]
        rows = [_parameter(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
        rows = [row for row in rows if not row.startswith("| `--help`")]
        if rows:
            lines += ["", "| | |", "|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        if not child.hidden:
            yield from _commands(child, f"{path} {name}")


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split()).replace("\b", "")


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = f"`{(parameter.metavar or parameter.name).upper()}`"
    else:
        name = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
    text = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
    return f"| {name} | {text} |"


def rest() -> str:
    """One heading for each route, with its operation, parameters, body and answers."""
    from lepton.core.settings import Settings
    from lepton.platform import Platform
    from lepton.server.app import create_app

    with tempfile.TemporaryDirectory() as home:
        platform = Platform(Settings(home=Path(home), port=0))
        document = create_app(platform).openapi()
        platform.close()
    lines = [
        "# REST",
        "",
        "JSON over HTTP, under `/v1`. Show a token: `Authorization: Bearer lpt_…`. Slow verbs answer 202 with a run; "
        "look at it until it has ended. `?project=` chooses the project, `default` if absent. "
        "Every error has one shape:",
        "",
        "```json",
        '{"error": {"code": "not_found", "message": "One sentence.", "request_id": "01J…"}}',
        "```",
        "",
        "The OpenAPI document is at `/v1/openapi.json`.",
    ]
    for path, methods in sorted(document["paths"].items()):
        for method, route in methods.items():
            lines += ["", f"## {method.upper()} {path}", "", f"`{route['operationId']}` · {_about(route)}"]
            query = [p for p in route.get("parameters", []) if p["in"] == "query" and p["name"] != "project"]
            if query:
                lines += ["", "Query: " + ", ".join(f"`{p['name']}`" for p in query) + "."]
            body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            fields = _fields(body, document)
            if fields:
                lines += ["", "Body: " + ", ".join(f"`{name}`" for name in fields) + "."]
    return "\n".join(lines) + "\n"


def _about(route: dict[str, Any]) -> str:
    return " ".join((route.get("description") or route.get("summary") or "").split())


def _fields(schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    reference = schema.get("$ref")
    if reference:
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    return list(schema.get("properties", {}))


def catalog() -> str:
    """The tables of the catalog and how they refer to each other, as a Mermaid diagram."""
    from lepton.store.database import metadata

    for file in sorted(PACKAGE.glob("*/*.py")):
        if "sa.Table(" in file.read_text(encoding="utf-8"):
            importlib.import_module(f"lepton.{file.parent.name}.{file.stem}")
    lines = ["erDiagram"]
    for table in sorted(metadata.tables.values(), key=lambda table: table.name):
        lines.append(f"    {table.name} {{")
        for column in table.columns:
            kind = str(column.type).split("(")[0].lower().replace(" ", "_")
            lines.append(f"        {kind} {column.name}{' PK' if column.primary_key else ''}")
        lines.append("    }")
        for key in sorted(table.foreign_keys, key=lambda key: key.target_fullname):
            lines.append(f"    {key.column.table.name} ||--o{{ {table.name} : {key.parent.name}")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write every generated page."""
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""One noun is one package, one collection, one attribute, one group of commands, one page: the same word everywhere."""

from __future__ import annotations

import importlib
from collections import defaultdict
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
from fastapi.routing import APIRoute

import lepton
from lepton.access.actions import ACTIONS
from lepton.cli import app as terminal
from lepton.server.routes import ROUTERS

ROOT = Path(__file__).parents[2]
NOUNS = ("datasets", "labels", "runs", "models", "endpoints")
ACCESS = ("projects", "users", "tokens", "audit")
SHOWN_WITH_ANOTHER = {"runs.metrics": "runs.get", "runs.tracked": "runs.get"}
"""What the terminal shows as part of another command."""
FOR_PROGRAMS = {
    "runs.put_artifact",
    "runs.create",
    "runs.track",
    "runs.end",
    "models.read_journal",
    "models.append_journal",
}
"""What a program tells the platform while it works; nobody would type it."""
ON_THIS_MACHINE = {"runs.sync", "runs.import-mlflow", "models.template"}
"""Commands about files of the one who types, not about the platform."""
READS_AS = {
    "datasets.report": "datasets.get",
    "runs.metrics": "runs.get",
    "runs.put_artifact": "runs.track",
    "runs.end": "runs.track",
    "runs.tracked": "runs.get",
    "runs.download": "runs.artifacts",
    "models.lineage": "models.get",
    "models.studies": "models.list",
    "models.study": "models.get",
    "models.forget": "models.delete",
    "models.read_journal": "models.get",
    "models.append_journal": "models.tune",
    "models.propose": "models.get",
    "models.scorecard": "models.get",
    "endpoints.metrics": "endpoints.get",
}
"""Operations that are allowed by the action of another: different views of the same thing."""


def rest() -> dict[str, set[str]]:
    """The verbs of each noun in the REST interface."""
    found: dict[str, set[str]] = defaultdict(set)
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            noun, _, verb = str(route.operation_id).partition(".")
            if noun in NOUNS + ACCESS:
                assert route.path.split("/")[2] == noun, f"{route.operation_id} lives at {route.path}"
                found[noun].add(verb)
    return found


def sdk() -> dict[str, Any]:
    """The object behind each attribute of a client."""
    with lepton.Client("http://127.0.0.1:1", None) as client:
        return {noun: getattr(client, noun) for noun in NOUNS + ACCESS}


def public(operations: object) -> set[str]:
    """Names of the methods of an object, without the underscore that keeps `import_` apart from the keyword."""
    return {
        name.rstrip("_") for name in dir(operations) if not name.startswith("_") and callable(getattr(operations, name))
    }


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_is_one_package_with_records_and_operations(noun: str) -> None:
    records = importlib.import_module(f"lepton.{noun}.records")
    own = [value for value in vars(records).values() if is_dataclass(value) and isinstance(value, type)]
    assert own
    assert all(value.__dataclass_params__.frozen for value in own if value.__module__ == records.__name__)  # type: ignore[attr-defined]
    operations = importlib.import_module(f"lepton.{noun}.operations")
    assert "list" in public(getattr(operations, noun.capitalize()))


@pytest.mark.parametrize("noun", NOUNS)
def test_every_verb_of_the_rest_interface_is_one_of_the_operations(noun: str) -> None:
    operations = getattr(importlib.import_module(f"lepton.{noun}.operations"), noun.capitalize())
    assert rest()[noun] <= public(operations)


@pytest.mark.parametrize("noun", ACCESS)
def test_every_verb_on_people_and_tokens_is_one_of_the_operations_of_access(noun: str) -> None:
    from lepton.access.operations import Access

    plural, singular = noun, noun.removesuffix("s")
    for verb in rest()[noun]:
        assert {f"{verb}_{plural}", f"{verb}_{singular}"} & public(Access)


@pytest.mark.parametrize("noun", NOUNS + ACCESS)
def test_the_sdk_has_the_same_words_as_the_rest_interface(noun: str) -> None:
    wanted = rest()[noun]
    helping = {"wait", "evaluation", "signature", "get_artifact", "read", "blocks", "template", "templates"}
    assert wanted <= public(sdk()[noun])
    assert public(sdk()[noun]) - wanted <= helping


@pytest.mark.parametrize("noun", NOUNS + ACCESS)
def test_the_terminal_has_the_same_words_as_the_sdk(noun: str) -> None:
    group: Any = typer.main.get_command(terminal)
    commands = set(group.commands[noun].commands)
    elsewhere = set(SHOWN_WITH_ANOTHER) | FOR_PROGRAMS
    at_home = {verb for which, verb in (name.split(".") for name in ON_THIS_MACHINE) if which == noun}
    assert commands - at_home == {verb for verb in rest()[noun] if f"{noun}.{verb}" not in elsewhere}


def test_every_operation_is_allowed_by_the_action_of_its_own_name() -> None:
    operations = {f"{noun}.{verb}" for noun, verbs in rest().items() for verb in verbs}
    assert {READS_AS.get(name, name) for name in operations} == {
        action for action in ACTIONS if not action.startswith("datasets.read_")
    }


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_has_one_page_one_page_of_documentation_and_one_folder_of_tests(noun: str) -> None:
    assert (ROOT / "docs" / f"{noun}.md").read_text().startswith("# ")
    assert list((ROOT / "tests" / noun).glob("test_*.py"))
    assert (ROOT / "ui" / "src" / noun).is_dir()


def test_the_nouns_come_in_the_same_order_wherever_they_are_listed() -> None:
    group: Any = typer.main.get_command(terminal)
    assert [name for name in group.commands if name in NOUNS] == list(NOUNS)
    tags = [router.tags[0] for router in ROUTERS if router.tags and router.tags[0] in NOUNS]
    assert tags == list(NOUNS)

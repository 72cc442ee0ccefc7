"""Every operation that an actor can ask for opens the guard."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from lepton.access.actions import ACTIONS, READ_ACTIONS

SOURCE = Path(__file__).parents[2] / "src" / "lepton"
NOUNS = ("datasets", "labels", "runs", "models", "endpoints", "access")


INHERITED = {"runs": ("tracking.py", "Tracking"), "models": ("tuning.py", "Tuning")}
"""Verbs of a noun that live in a second file, in a class that its own one extends."""


def methods(noun: str) -> dict[str, ast.FunctionDef]:
    found: dict[str, ast.FunctionDef] = {}
    files = [("operations.py", noun.capitalize()), *([INHERITED[noun]] if noun in INHERITED else [])]
    for file, name in files:
        tree = ast.parse((SOURCE / noun / file).read_text())
        operations = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
        found |= {node.name: node for node in operations.body if isinstance(node, ast.FunctionDef)}
    return found


def test_a_class_that_verbs_are_inherited_from_is_the_only_one() -> None:
    for noun in NOUNS:
        tree = ast.parse((SOURCE / noun / "operations.py").read_text())
        own = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == noun.capitalize())
        assert [ast.unparse(b) for b in own.bases] == ([INHERITED[noun][1]] if noun in INHERITED else [])


def test_every_verb_of_commands_opens_the_guard_or_is_for_the_run_itself() -> None:
    tree = ast.parse((SOURCE / "runs" / "scripts.py").read_text())
    scripts = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Scripts")
    known = {node.name: node for node in scripts.body if isinstance(node, ast.FunctionDef)}
    asked = {name for name, method in known.items() if name[0] != "_" and "actor" in arguments(method)}
    for name in asked:
        assert opens_guard(name, known) or "self._itself(actor, run_id)" in ast.unparse(known[name]), name
    assert asked == {"submit", "like", "assignment", "bundle", "progress", "give_up"}


@pytest.mark.parametrize(
    ("file", "name", "verbs_at_least"),
    [
        ("runs/experiments.py", "Experiments", 6),
        ("models/registry.py", "Registry", 6),
        ("models/deliveries.py", "Deliveries", 1),
    ],
)
def test_every_verb_that_lives_in_a_class_of_its_own_opens_the_guard(file: str, name: str, verbs_at_least: int) -> None:
    tree = ast.parse((SOURCE / file).read_text())
    verbs = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    known = {node.name: node for node in verbs.body if isinstance(node, ast.FunctionDef)}
    asked = [verb for verb, method in known.items() if verb[0] != "_" and "actor" in arguments(method)]
    assert len(asked) >= verbs_at_least
    assert [verb for verb in asked if not opens_guard(verb, known)] == []


def arguments(method: ast.FunctionDef) -> set[str]:
    return {argument.arg for argument in (*method.args.args, *method.args.kwonlyargs)}


def opens_guard(name: str, known: dict[str, ast.FunctionDef], seen: frozenset[str] = frozenset()) -> bool:
    """Whether a method calls `guard.allow`, itself or in a method of the same class that it calls."""
    for node in ast.walk(known[name]):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        called = ast.unparse(node.func)
        if called == "self._guard.allow":
            return True
        inner = node.func.attr
        further = called == f"self.{inner}" and inner in known and inner not in seen | {name}
        if further and opens_guard(inner, known, seen | {name}):
            return True
    return False


@pytest.mark.parametrize("noun", NOUNS)
def test_every_public_operation_of_an_actor_opens_the_guard(noun: str) -> None:
    known = methods(noun)
    # A method that takes a transaction runs inside one that the guard has opened.
    asked = [
        name
        for name, method in known.items()
        if not name.startswith("_") and "actor" in arguments(method) and "tx" not in arguments(method)
    ]
    assert asked
    assert [name for name in asked if not opens_guard(name, known)] == []


def test_every_action_that_is_asked_for_is_in_the_table_and_every_one_in_the_table_is_asked_for() -> None:
    asked = set(READ_ACTIONS.values())  # the guard itself asks for these, by the class of a column
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("allow", "may")
            ):
                asked |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    assert asked <= set(ACTIONS)
    assert set(ACTIONS) - asked == set(), "an action that nothing asks for"


def test_only_access_makes_actors() -> None:
    makers = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Actor", "records.Actor")
    ]
    assert {maker.split("/")[0] for maker in makers} == {"access"}

"""What is said about models: titles become names, files become versions that nothing opens, who may say what."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models.test_adopted import graph
from models.workshop import EDITOR, Workshop

from lepton.access.records import Actor, Role
from lepton.core.clock import utc_now
from lepton.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from lepton.core.refs import Ref
from lepton.models import inert, registry_rows
from lepton.models.registry import Registry, Source
from lepton.store.database import metadata

STEWARD = Actor("stew-id", "stew", {"default": Role.STEWARD, "lab": Role.STEWARD})
VIEWER = Actor("eve-id", "eve", {"default": Role.VIEWER})
FLAVORS = "flavors:\n  onnx:\n    data: model.onnx\n  python_function:\n    loader_module: mlflow.onnx\n"


@pytest.fixture
def registry(workshop: Workshop) -> Registry:
    with workshop.database.begin() as tx:
        metadata.create_all(tx, tables=[registry_rows.registered_models, registry_rows.registered_versions])
    return Registry(guard=workshop.guard, models=workshop.models, runs=workshop.runs, clock=utc_now)


def logged(workshop: Workshop, files: dict[str, bytes], path: str = "model") -> Source:
    """A run with files in a folder."""
    run = workshop.runs.create(STEWARD)
    for name, content in files.items():
        workshop.runs.put_artifact(STEWARD, run.id, f"{path}/{name}", [content])
    return Source(f"runs:/{run.id}/{path}", run.id, path)


def test_two_titles_with_one_name_become_two_models(registry: Registry) -> None:
    titles = ["My Model", "my model", "my-model", "模型", "型号"]
    names = [registry.create(STEWARD, title).about.name for title in titles]
    assert names[:3] == ["my-model", "my-model-2", "my-model-3"]
    assert len(set(names)) == len(names)
    assert sorted(one.about.title for one in registry.list(VIEWER)) == sorted(titles)
    with pytest.raises(Conflict):
        registry.create(STEWARD, "My Model")
    with pytest.raises(Conflict):
        registry.update(STEWARD, "My Model", new_title="my-model")


def test_of_many_who_make_one_model_at_once_one_succeeds(registry: Registry) -> None:
    def make(title: str) -> bool:
        try:
            registry.create(STEWARD, title)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, ["m"] * 8 + ["My M"] * 8))
    assert (sum(made[:8]), sum(made[8:])) == (1, 1)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: registry.update(STEWARD, "m", tags={str(n): "1"}), range(8)))
    assert len(registry.get(VIEWER, "m").about.tags) == 8


def test_files_become_a_version_that_nothing_opens(workshop: Workshop, registry: Registry) -> None:
    registry.create(STEWARD, "Churn")
    made = registry.add(STEWARD, "Churn", logged(workshop, {"model.pkl": b"hostile", "MLmodel": b"flavors: {}"}))
    assert (made.version.ref, made.version.recipe, made.version.size_bytes, made.is_files) == (
        "churn@1", "files", 7 + 11, True,
    )  # fmt: skip
    ref = Ref("churn", 1)
    assert {file.path: file.size_bytes for file in workshop.models.files(VIEWER, ref)} == {
        "model.pkl": 7,
        "MLmodel": 11,
    }
    for use in (
        lambda: workshop.models.artifact(STEWARD, ref),
        lambda: workshop.models.export(STEWARD, ref),
        lambda: workshop.models.evaluate(STEWARD, ref, dataset=Ref("x")),
    ):
        with pytest.raises((InvalidInput, NotFound)) as error:
            use()
        assert "Files only" in str(error.value) or "dataset" in str(error.value)


def test_a_plain_graph_becomes_a_model_and_one_that_is_none_stays_files(workshop: Workshop, registry: Registry) -> None:
    registry.create(STEWARD, "g")
    whole = {"MLmodel": FLAVORS.encode(), "model.onnx": graph().SerializeToString()}
    assert registry.add(STEWARD, "g", logged(workshop, whole)).version.recipe == "onnx"
    assert workshop.models.artifact(STEWARD, Ref("g", 1)).signature.classes == (0, 1, 2)
    broken = registry.add(STEWARD, "g", logged(workshop, {**whole, "model.onnx": b"no graph"}))
    assert broken.is_files
    notes = workshop.models.get(VIEWER, Ref("g", 2)).notes
    assert any("not a valid ONNX model" in note for note in notes)


def test_a_version_says_so_when_its_files_are_others_now(workshop: Workshop, registry: Registry) -> None:
    registry.create(STEWARD, "m")
    source = logged(workshop, {"a.pkl": b"one"})
    registry.add(STEWARD, "m", source)
    workshop.runs.put_artifact(STEWARD, source.run_id, "model/b.txt", [b"more is no matter"])
    assert registry.source(VIEWER, "m", 1) == source
    workshop.runs.put_artifact(STEWARD, source.run_id, "model/a.pkl", [b"two"])
    with pytest.raises(Conflict, match="replaced or removed"):
        registry.source(VIEWER, "m", 1)


def test_words_tags_and_aliases_are_kept_and_go_with_their_version(workshop: Workshop, registry: Registry) -> None:
    registry.create(STEWARD, "m", description="d", tags={"a": "1"})
    source = logged(workshop, {"a.pkl": b"one"})
    for _ in range(2):
        registry.add(STEWARD, "m", source, tags={"v": "1"})
    registry.update(STEWARD, "m", tags={"a": None, "b": "2"}, aliases={"best": 1, "new": 2})
    registry.describe(STEWARD, "m", 2, description="better", tags={"v": None})
    about = registry.get(VIEWER, "m").about
    assert (about.description, about.tags, about.aliases) == ("d", {"b": "2"}, {"best": 1, "new": 2})
    assert (registry.version(VIEWER, "m", 2).words.description, registry.version(VIEWER, "m", 2).words.tags) == (
        "better",
        {},
    )
    with pytest.raises(NotFound, match="no version 9"):
        registry.update(STEWARD, "m", aliases={"best": 9})
    registry.remove(STEWARD, "m", 1)
    assert registry.get(VIEWER, "m").about.aliases == {"new": 2}
    registry.delete(STEWARD, "m")
    with pytest.raises(NotFound):
        registry.get(VIEWER, "m")
    assert workshop.runs.artifacts(VIEWER, source.run_id)


def test_who_may_not_register_changes_nothing_and_another_project_gives_nothing(
    workshop: Workshop, registry: Registry
) -> None:
    registry.create(STEWARD, "m")
    source = logged(workshop, {"a.pkl": b"one"})
    for who in (EDITOR, VIEWER):
        for change in (
            lambda who: registry.create(who, "n"),
            lambda who: registry.add(who, "m", source),
            lambda who: registry.update(who, "m", description="x"),
        ):
            with pytest.raises(Forbidden):
                change(who)
    registry.create(STEWARD, "m", project="lab")
    with pytest.raises(NotFound):
        registry.add(STEWARD, "m", source, project="lab")


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_a_description_that_is_none_names_no_graph(text: bytes) -> None:
    found = inert.graph_of(text)
    assert found is None or isinstance(found, str)


@pytest.mark.parametrize(
    ("flavors", "expected"),
    [
        ({"onnx": {"data": "model.onnx"}}, "model.onnx"),
        ({"onnx": {"data": ["a"]}}, None),
        ({"onnx": None}, None),
        ({"python_function": {"data": "model.pkl"}}, None),
        (["onnx"], None),
    ],
)
def test_only_the_flavor_of_plain_graphs_names_one(flavors: object, expected: str | None) -> None:
    assert inert.graph_of(json.dumps({"flavors": flavors}).encode()) == expected


def test_a_description_cannot_make_objects() -> None:
    assert inert.graph_of(b"flavors: !!python/object/apply:os.system ['true']") is None

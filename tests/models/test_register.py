"""Code of a user's own as a model version: what is taken, what is refused, who may, and that nothing of it runs."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models.workshop import EDITOR, STEWARD, Workshop

from lepton.core.errors import Forbidden, InvalidInput, TooLarge
from lepton.core.refs import Ref
from lepton.models import bundle
from lepton.models.declared import read_signature
from lepton.models.documents import scope_of

SIGNATURE: dict[str, Any] = {
    "task": "classification", "target": "left", "classes": ["no", "yes"],
    "inputs": [{"name": "age", "type": "integer"}, {"name": "city", "type": "text", "values": ["Bern"]}],
}  # fmt: skip


def packed(code: str = "class Model: pass", signature: object = None, **files: bytes) -> bytes:
    declared = json.dumps(SIGNATURE if signature is None else signature).encode()
    return bundle.pack({"model.py": code.encode(), "signature.json": declared} | files)


def test_code_becomes_a_version_without_being_run(workshop: Workshop, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w').close()"
    made = workshop.models.register(STEWARD, [packed(code)], name="rules")
    assert (made.ref, made.recipe, made.dataset, made.run_id, made.created_by) == ("rules@1", "python", "", "", "sue")
    assert workshop.models.register(STEWARD, [packed(code)], name="rules").ref == "rules@2"
    detail = workshop.models.get(STEWARD, Ref("rules", 1))
    assert [column.name for column in detail.signature.inputs] == ["age", "city"]
    assert detail.signature.classes == ("no", "yes")
    assert [node.id for node in workshop.models.lineage(STEWARD, Ref("rules")).nodes] == ["model:rules@2"]
    artifact = workshop.models.artifact(STEWARD, Ref("rules", 1))
    stored = workshop.blobs.read("default", scope_of(artifact.version_id), artifact.blob_id)
    assert bundle.unpack(stored) == {"model.py": code.encode()}
    assert not mark.exists()


def test_an_address_becomes_a_version_that_needs_no_signature(workshop: Workshop) -> None:
    address = bundle.pack({"openai.json": b'{"base_url": "http://127.0.0.1:8000/v1"}'})
    made = workshop.models.register(STEWARD, [address], name="llm")
    assert (made.recipe, made.task, made.target) == ("openai", "generation", "text")
    detail = workshop.models.get(STEWARD, Ref("llm"))
    assert (detail.signature.inputs, detail.signature.classes) == ((), None)


def test_what_was_registered_lies_encrypted(workshop: Workshop) -> None:
    workshop.models.register(STEWARD, [packed("SECRET = 'planted-in-the-code'")], name="rules")
    for path in workshop.settings.home.rglob("*"):
        assert not path.is_file() or b"planted-in-the-code" not in path.read_bytes(), path


def test_only_stewards_and_owners_register(workshop: Workshop) -> None:
    with pytest.raises(Forbidden):
        workshop.models.register(EDITOR, [packed()], name="rules")
    assert workshop.models.list(EDITOR) == []


def test_who_lost_the_right_while_the_code_came_registers_nothing(workshop: Workshop) -> None:
    with pytest.raises(Forbidden):
        workshop.models.register(STEWARD, [packed()], name="rules", again=lambda: EDITOR)
    assert workshop.models.list(EDITOR) == []
    assert workshop.keyring.scopes("model") == []


def test_what_needs_a_graph_says_that_there_is_none(workshop: Workshop) -> None:
    workshop.models.register(STEWARD, [packed()], name="rules")
    with pytest.raises(InvalidInput, match="behind an endpoint only"):
        workshop.models.export(STEWARD, Ref("rules"))


def zipped(name: str, data: bytes = b"x", **options: Any) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data, **options)
        archive.writestr("model.py", b"")
    return made.getvalue()


@pytest.mark.parametrize("name", ["../model.py", "/etc/passwd", "a/../../b", "a\\b", "x" * 300])
def test_names_that_lead_out_of_the_archive_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="leads out of it"):
        bundle.unpack(zipped(name))


def test_an_archive_that_inflates_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAX_BYTES", 1 << 20)
    with pytest.raises(TooLarge):
        bundle.unpack(zipped("bomb", bytes(2 << 20)))
    with pytest.raises(TooLarge):
        bundle.receive(b"x" * (1 << 20) for _ in range(1 << 30))


def test_an_archive_without_the_class_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"model\.py"):
        bundle.unpack(bundle.pack({"other.py": b""}))


def test_an_archive_with_a_file_without_a_name_is_refused() -> None:
    nameless = packed().replace(b"model.py", b"\0odel.py")  # zipfile cuts a name at the first NUL
    with pytest.raises(InvalidInput, match="not a zip archive that can be read"):
        bundle.unpack(nameless)


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_any_bytes_are_a_bundle_or_one_sentence(data: bytes, at: int, byte: int) -> None:
    damaged = bytearray(packed())
    damaged[at % len(damaged)] = byte
    for candidate in (data, bytes(damaged)):
        with suppress(InvalidInput, TooLarge):
            assert "model.py" in bundle.unpack(candidate)


def test_a_folder_is_read_without_caches_and_links(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("a")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "weights.bin").write_bytes(b"b")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "model.pyc").write_bytes(b"c")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert bundle.read_code(tmp_path) == {"model.py": b"a", "part/weights.bin": b"b"}
    assert bundle.read_code(tmp_path / "part" / "weights.bin") == {"model.py": b"b"}
    with pytest.raises(InvalidInput):
        bundle.read_code(tmp_path / "nothing")


@pytest.mark.parametrize(("change", "why"), [
    ({"task": "guessing"}, "task"),
    ({"target": ""}, "target"),
    ({"classes": None}, "classes"),
    ({"classes": ["no"]}, "classes"),
    ({"classes": ["no", "no"]}, "differ"),
    ({"classes": ["no", 1]}, "differ"),
    ({"target_type": "integer"}, "target_type"),
    ({"task": "regression"}, "no classes"),
    ({"inputs": []}, "inputs"),
    ({"inputs": [{"name": "a", "type": "date"}]}, "type of input 1"),
    ({"inputs": [{"name": "a", "type": "number", "values": ["x"]}]}, "values of input 1"),
    ({"inputs": [{"name": "a", "type": "number", "nullable": 1}]}, "nullable"),
    ({"inputs": [{"name": "a", "type": "number"}] * 2}, "twice"),
    ({"inputs": [{"name": "a", "type": "number", "clas": 1}]}, "nothing else"),
])  # fmt: skip
def test_a_signature_that_is_not_possible_says_where(change: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read_signature(json.dumps(SIGNATURE | change).encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SIGNATURE, "name", "type"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*SIGNATURE, "target_type"]), json_values))
def test_any_json_is_a_signature_or_one_sentence(change: dict[str, Any]) -> None:
    with suppress(InvalidInput):
        assert read_signature(json.dumps(SIGNATURE | change).encode()).inputs

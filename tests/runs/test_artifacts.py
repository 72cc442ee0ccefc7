"""Files of a run: kept encrypted, replaced in one step, gone with the key of the run, and nothing left by a crash."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs.small_platform import Platform

from lepton.access.records import Actor, Role
from lepton.core.clock import utc_now
from lepton.core.errors import Conflict, Forbidden, InvalidInput, NotFound, TooLarge
from lepton.runs.artifacts import check_path
from lepton.runs.records import Run

ANN = Actor("ann-id", "ann", {"default": Role.EDITOR})
EVE = Actor("eve-id", "eve", {"default": Role.VIEWER})
STRANGER = Actor("sam-id", "sam", {"lab": Role.OWNER})


@pytest.fixture
def run(platform: Platform) -> Run:
    with platform.guard.allow(ANN, "models.train") as tx:
        return platform.runs.submit(ANN, tx, project="default", task="models.train", arguments={"do": "nothing"})


def read(platform: Platform, run: Run, path: str, actor: Actor = ANN) -> bytes:
    with platform.runs.download(actor, run.id, path)[1] as file:
        return file.read()


def files(platform: Platform) -> list[Path]:
    return [path for path in platform.settings.objects.rglob("*") if path.is_file()]


def test_a_file_comes_back_as_it_was_and_is_listed_by_path(platform: Platform, run: Run) -> None:
    made = platform.runs.put_artifact(ANN, run.id, "plots/loss.png", [b"abc", b"", b"def"])
    platform.runs.put_artifact(ANN, run.id, "model.bin", [b""])
    assert (made.path, made.size_bytes) == ("plots/loss.png", 6)
    assert made.sha256.startswith("bef57ec7f53a6d40beb640a780a639c8")
    assert [artifact.path for artifact in platform.runs.artifacts(EVE, run.id)] == ["model.bin", "plots/loss.png"]
    assert read(platform, run, "plots/loss.png", EVE) == b"abcdef"
    assert read(platform, run, "model.bin") == b""


def test_nothing_of_a_file_is_readable_on_the_disk(platform: Platform, run: Run) -> None:
    platform.runs.put_artifact(ANN, run.id, "notes.txt", [b"canary-91c2" * 1000])
    assert files(platform)
    assert not [path for path in files(platform) if b"canary-91c2" in path.read_bytes()]


def test_a_file_of_the_same_path_is_replaced_and_leaves_nothing(platform: Platform, run: Run) -> None:
    platform.runs.put_artifact(ANN, run.id, "best", [b"first"])
    platform.runs.put_artifact(ANN, run.id, "best", [b"second"])
    assert [artifact.size_bytes for artifact in platform.runs.artifacts(ANN, run.id)] == [6]
    assert read(platform, run, "best") == b"second"
    assert len(files(platform)) == 1


def test_two_who_write_one_path_at_once_leave_one_file(platform: Platform, run: Run) -> None:
    meet = threading.Barrier(4)

    def write(number: int) -> None:
        def chunks() -> Iterator[bytes]:
            meet.wait()
            yield bytes([number]) * 10

        platform.runs.put_artifact(ANN, run.id, "same", chunks())

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(platform.runs.artifacts(ANN, run.id)) == 1
    assert len(set(read(platform, run, "same"))) == 1
    assert len(files(platform)) == 1


def test_an_upload_that_breaks_off_leaves_the_file_that_was_there(platform: Platform, run: Run) -> None:
    platform.runs.put_artifact(ANN, run.id, "best", [b"first"])

    def broken() -> Iterator[bytes]:
        yield b"sec"
        raise InvalidInput("The upload broke off.")

    with pytest.raises(InvalidInput):
        platform.runs.put_artifact(ANN, run.id, "best", broken())
    assert read(platform, run, "best") == b"first"
    assert len(files(platform)) == 1


def test_a_file_over_the_limit_is_refused(platform: Platform, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform.runs, "_max_upload_bytes", 10)
    with pytest.raises(TooLarge):
        platform.runs.put_artifact(ANN, run.id, "large", [b"x" * 11])
    assert files(platform) == []


def test_who_was_locked_out_while_the_file_came_keeps_nothing(platform: Platform, run: Run) -> None:
    with pytest.raises(Forbidden):
        platform.runs.put_artifact(ANN, run.id, "late", [b"x"], again=lambda: EVE)
    assert platform.runs.artifacts(ANN, run.id) == []
    assert files(platform) == []


def test_viewers_read_editors_write_and_strangers_see_no_run(platform: Platform, run: Run) -> None:
    with pytest.raises(Forbidden):
        platform.runs.put_artifact(EVE, run.id, "x", [b"x"])
    for ask in (
        lambda: platform.runs.artifacts(STRANGER, run.id),
        lambda: platform.runs.put_artifact(STRANGER, run.id, "x", [b"x"]),
        lambda: platform.runs.download(STRANGER, run.id, "x"),
        lambda: platform.runs.download(ANN, run.id, "x"),
        lambda: platform.runs.artifacts(ANN, "no-run"),
    ):
        with pytest.raises(NotFound):
            ask()


def test_files_go_with_the_key_of_their_run_and_do_not_bring_it_back(platform: Platform, run: Run) -> None:
    platform.runs.put_artifact(ANN, run.id, "x", [b"x"])
    platform.keyring.shred("default", f"run/{run.id}")
    with pytest.raises(NotFound, match="deleted"):
        platform.runs.download(ANN, run.id, "x")
    with pytest.raises(NotFound, match="deleted"):
        platform.runs.put_artifact(ANN, run.id, "y", [b"y"])


def test_what_a_crash_left_is_swept_and_nothing_else(
    platform: Platform, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.runs.put_artifact(ANN, run.id, "kept", [b"kept"])
    with monkeypatch.context() as dying:  # between the file and its row, nothing can be cleaned up any more
        dying.setattr("lepton.runs.track_rows.finish_artifact", lambda *_: 1 / 0)
        dying.setattr(platform.runs, "_remove", lambda _: None)
        with pytest.raises(ZeroDivisionError):
            platform.runs.put_artifact(ANN, run.id, "lost", [b"lost"])
        dying.undo()
        dying.setattr(platform.runs, "_remove", lambda _: None)
        platform.runs.put_artifact(ANN, run.id, "kept", [b"kept again"])
    assert len(files(platform)) == 3
    assert platform.runs.sweep() == 0  # an upload may be under way
    monkeypatch.setattr(platform.runs, "_clock", lambda: utc_now() + timedelta(hours=7))
    assert platform.runs.sweep() == 2
    assert len(files(platform)) == 1
    assert read(platform, run, "kept") == b"kept again"


def test_an_upload_that_was_swept_under_way_is_told_so(
    platform: Platform, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"slow"
        with monkeypatch.context() as later:
            later.setattr(platform.runs, "_clock", lambda: utc_now() + timedelta(hours=7))
            assert platform.runs.sweep() == 1

    with pytest.raises(Conflict, match="Send it again"):
        platform.runs.put_artifact(ANN, run.id, "x", chunks())
    assert files(platform) == []


@pytest.mark.parametrize(
    "path",
    ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\\b", "a\nb", "a\0", "\ud800", "a" * 256, "a/" * 256 + "b"],
)
def test_a_path_that_is_none_is_refused_with_a_sentence(platform: Platform, run: Run, path: str) -> None:
    with pytest.raises(InvalidInput, match=r"plots/loss.png"):
        platform.runs.put_artifact(ANN, run.id, path, [b"x"])


@given(st.text(max_size=20))
def test_a_path_that_is_taken_stays_within_its_folder(path: str) -> None:
    try:
        check_path(path)
    except InvalidInput:
        return
    folder = Path("/folder")
    assert folder in (folder / path).parents
    assert str(Path(path)) == path


def test_over_rest_and_with_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lepton
    from lepton.cli.program import run as typed

    monkeypatch.delenv("LEPTON_CATALOG", raising=False)
    with lepton.open(tmp_path / "home") as client:
        client.datasets.import_(_file(tmp_path, "a,b\n1,2\n"), name="x")
        run_id = client.runs.list()[0].id
        large = b"0123456789abcdef" * (1 << 19) + b"end"  # more than other bodies may have
        made = client.runs.put_artifact(run_id, "deep/größe 1.bin", large)
        client.runs.put_artifact(run_id, "b.csv", tmp_path / "x.csv")
        assert (made.path, made.size_bytes) == ("deep/größe 1.bin", len(large))
        assert client.runs.get_artifact(run_id, "deep/größe 1.bin") == large
        assert [artifact.path for artifact in client.runs.artifacts(run_id)] == ["b.csv", "deep/größe 1.bin"]
        with client.transport.download(f"/v1/runs/{run_id}/artifacts/b.csv") as download:
            assert download.headers["content-type"] == "application/octet-stream"
            assert download.headers["content-disposition"] == "attachment; filename*=UTF-8''b.csv"
            assert download.headers["x-content-type-options"] == "nosniff"
        with pytest.raises(NotFound, match="lepton runs artifacts"):
            client.runs.get_artifact(run_id, "nothing")
        with pytest.raises(InvalidInput, match="leads elsewhere"):
            client.runs.download(run_id, "../x", tmp_path / "y")
        monkeypatch.setenv("LEPTON_URL", client.url)
        monkeypatch.setenv("LEPTON_TOKEN", _token(client))
        assert typed(["runs", "artifacts", run_id]) == 0
        assert typed(["runs", "download", run_id, "--to", str(tmp_path / "all")]) == 0
        assert (tmp_path / "all" / "deep" / "größe 1.bin").read_bytes() == large
        assert (tmp_path / "all" / "b.csv").read_text() == "a,b\n1,2\n"


def _file(folder: Path, text: str) -> Path:
    file = folder / "x.csv"
    file.write_text(text)
    return file


def _token(client: Any) -> str:
    return str(client.transport._http.headers["Authorization"]).removeprefix("Bearer ")

"""Optuna's own programs with the platform as their storage: unmodified but for where the study is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from platforms import in_a_process

import lepton
from lepton import local
from lepton.client.optuna_storage import JournalBackend
from lepton.core.errors import Forbidden, InvalidInput, Unavailable
from lepton.core.settings import Settings
from lepton.testing.engines import eventually

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A platform in a process of its own, that can be killed."""
    with in_a_process(tmp_path_factory.mktemp("optuna") / "home") as settings:
        yield settings


@pytest.fixture
def client(settings: Settings) -> Iterator[lepton.Client]:
    with local.client_of(settings) as client:
        yield client


def objective(trial: optuna.Trial) -> float:
    x, kind = trial.suggest_float("x", -5, 5), trial.suggest_categorical("kind", ["a", "b"])
    for step in range(3):
        trial.report((x - 2) ** 2 + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return (x - 2) ** 2 + (kind == "b")


def test_a_study_goes_on_where_another_program_left_it(client: lepton.Client) -> None:
    for expected in (8, 16):  # each time as a new program would
        study = optuna.create_study(
            storage=lepton.optuna_storage(client=client), study_name="bowl", load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=expected, n_startup_trials=4),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
        )  # fmt: skip
        study.optimize(objective, n_trials=8)
        assert len(study.trials) == expected
    states = {trial.state.name for trial in study.trials}
    assert states == {"COMPLETE", "PRUNED"}
    found = client.models.study("bowl")
    assert (found.best, found.best_value) == (study.best_trial.number, study.best_value)
    assert dict(found.best_params) == study.best_params
    assert found.journal == "optuna"
    assert [trial.state for trial in found.trials] == [trial.state.name.lower() for trial in study.trials]
    assert "lepton-contour" in found._repr_html_()
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        optuna.create_study(storage=lepton.optuna_storage(client=client), study_name="bowl")
    assert optuna.load_study(storage=lepton.optuna_storage(client=client), study_name="bowl").best_value < 5


SCRIPT = textwrap.dedent("""
    import sys
    import lepton, optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=lepton.optuna_storage("shared"), study_name="shared", load_if_exists=True)

    def objective(trial):
        print("trial", trial.number, flush=True)
        return (trial.suggest_float("x", -5, 5) - 2) ** 2

    study.optimize(objective, n_trials=25)
""")


def test_two_programs_work_on_one_study_and_a_platform_that_is_killed_costs_nothing(
    settings: Settings, client: lepton.Client, tmp_path: Path
) -> None:
    script = tmp_path / "search.py"
    script.write_text(SCRIPT)
    token = client.tokens.create("searcher").secret or ""
    environment = {**os.environ, "LEPTON_HOME": str(settings.home), "PYTHONWARNINGS": "ignore"}
    environment |= {"LEPTON_URL": client.url, "LEPTON_TOKEN": token}
    programs = [
        subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]

    def trials() -> int:
        found = [one for one in client.models.studies() if one.name == "shared"]
        return sum(found[0].counts.values()) if found else 0

    eventually(lambda: trials() >= 5, "they work", within_s=60)
    server = local.status(settings)
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    port = int(client.url.rpartition(":")[2])
    started = local.up(Settings(**{**vars(settings), "port": port}))
    assert started.server.url == client.url
    said = [program.communicate(timeout=120)[0].split() for program in programs]
    assert [program.returncode for program in programs] == [0, 0]
    with lepton.connect(client.url, token) as searcher:  # that of the fixture ended with the platform
        assert searcher.models.study("shared").counts == {"complete": 50}
    numbers = [int(number) for words in said for number in words[1::2]]
    assert sorted(numbers) == list(range(50)), "each trial was worked on once"


def test_a_batch_whose_answer_is_lost_is_written_once(client: lepton.Client) -> None:
    backend = JournalBackend(client, "lost", patience_s=30)
    sent = client.transport.send
    lost = []

    def lose(method: str, path: str, **rest: object) -> bytes:
        answer = sent(method, path, **rest)  # type: ignore[arg-type]
        if method == "POST" and not lost:
            lost.append(path)
            raise Unavailable("The connection broke before the answer was complete.")
        return answer

    client.transport.send = lose  # type: ignore[method-assign]
    client.transport.pause = lambda _: None
    backend.append_logs([{"op_code": 0, "worker_id": "w", "study_name": "s", "directions": [1]}, {"n": 2}])
    assert len(lost) == 1
    assert [one.get("n") for one in backend.read_logs(0)] == [None, 2]
    assert [one["n"] for one in backend.read_logs(1)] == [2]
    assert backend.read_logs(2) == []


def test_a_journal_gives_long_logs_in_parts_and_numbers_that_are_not_finite(client: lepton.Client) -> None:
    backend = JournalBackend(client, "long")
    backend.append_logs([{"n": number, "value": float("nan")} for number in range(1200)])
    found = JournalBackend(client, "long").read_logs(100)
    assert [one["n"] for one in found] == list(range(100, 1200))
    assert found[0]["value"] != found[0]["value"]


def test_a_study_among_others_is_forgotten_alone(client: lepton.Client) -> None:
    storage = lepton.optuna_storage("several", client=client)
    for name in ("one", "two"):
        optuna.create_study(storage=storage, study_name=name)
    client.models.forget("one")
    assert optuna.get_all_study_names(storage=lepton.optuna_storage("several", client=client)) == ["two"]
    client.models.forget("two")
    assert lepton.optuna_storage("several", client=client)._backend.read_logs(0) == []


def test_who_may_only_look_reads_a_study_and_writes_none(client: lepton.Client) -> None:
    storage = lepton.optuna_storage("closed", client=client)
    optuna.create_study(storage=storage, study_name="closed")
    client.users.create("vera", role="viewer", password="a long enough pass phrase")
    token = client.tokens.create("looks", scopes=["models.get", "models.list"]).secret
    with lepton.connect(client.url, token) as viewer:
        assert viewer.models.study("closed").name == "closed"
        with pytest.raises(Forbidden, match=r"models\.tune"):
            optuna.create_study(storage=lepton.optuna_storage("closed", client=viewer), study_name="other")


@pytest.mark.parametrize("entry", ["no json", "[]", "1", "{" * 100_000])
def test_what_is_no_entry_is_refused(client: lepton.Client, entry: str) -> None:
    with pytest.raises(InvalidInput, match="JSON object"):
        client.models.append_journal("odd", uuid.uuid4().hex, [entry])
    assert b'"total":0' in client.models.read_journal("odd")

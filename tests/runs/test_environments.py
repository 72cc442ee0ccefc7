"""Environments that commands declare, built by the real uv from wheels on this disk; and what commands leave."""

from __future__ import annotations

import base64
import hashlib
import shutil
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import lepton
from lepton.client.runs import Run
from lepton.core.errors import RunFailed
from lepton.launch import environment
from lepton.launch.environment import Declared, NoEnvironment
from lepton.testing.engines import eventually


def wheel(folder: Path, name: str, version: str, code: str) -> Path:
    """Write a wheel of one module."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).decode().rstrip("=")
        record += f"{path},sha256={digest},{len(content)}\n"
    made = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, content in {**files, f"{about}/RECORD": f"{record}{about}/RECORD,,\n"}.items():
            archive.writestr(path, content)
    return made


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lepton.Client]:
    ground = tmp_path_factory.mktemp("ground")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LEPTON_CATALOG", "LEPTON_URL", "LEPTON_TOKEN", "LEPTON_PROJECT"):
            patch.delenv(name, raising=False)
        patch.setenv("TMPDIR", str(ground))
        patch.setenv("UV_OFFLINE", "1")
        with lepton.open(tmp_path_factory.mktemp("environments") / "home") as opened:
            yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that declares a package that lies in it."""
    wheel(tmp_path / "wheels", "greeting", "1.0", "WORD = 'hello from a package'\n")
    (tmp_path / "requirements.txt").write_text("--no-index\n--find-links wheels\ngreeting==1.0\n")
    (tmp_path / "main.py").write_text(
        "import importlib.util, greeting, sys\n"
        "print(greeting.WORD, sys.prefix, importlib.util.find_spec('sqlalchemy'))\n"
    )
    return tmp_path


def lines(client: lepton.Client, run: Run) -> list[str]:
    return [line.text for line in client.runs.logs(run.id, follow=True) if not line.text.startswith("[")]


def test_an_environment_is_built_once_for_two_workers_and_the_next_run(client: lepton.Client, folder: Path) -> None:
    run = client.runs.submit(["python", "main.py"], folder=folder, workers=2, environment="requirements.txt")
    told = lines(client, run)
    assert client.runs.wait(run.id).state == "succeeded"
    said = [line for line in told if line.startswith("hello from a package ")]
    assert len(said) == 2
    assert len(set(said)) == 1
    assert said[0].endswith(" None")  # what the platform has is not in it
    assert len([line for line in told if "greeting==1.0" in line]) == 1
    again = client.runs.submit(["python", "main.py"], folder=folder, environment="requirements.txt")
    assert lines(client, again) == said[:1]


def test_an_environment_that_cannot_be_built_fails_the_run_with_what_uv_says(
    client: lepton.Client, folder: Path
) -> None:
    (folder / "requirements.txt").write_text("--no-index\n--find-links wheels\nmissing-package==9\n")
    run = client.runs.submit(["python", "main.py"], folder=folder, environment="requirements.txt")
    with pytest.raises(RunFailed, match="The environment could not be built; the log says why"):
        client.runs.wait(run.id)
    assert any("missing-package" in line for line in lines(client, run))


def test_a_file_that_does_not_go_along_is_told(client: lepton.Client, folder: Path) -> None:
    run = client.runs.submit(["python", "main.py"], folder=folder, environment="sub/requirements.txt")
    with pytest.raises(RunFailed, match="could not be built"):
        client.runs.wait(run.id)
    assert any("no file sub/requirements.txt" in line.text for line in client.runs.logs(run.id).lines)


def test_a_lock_of_uv_is_followed(client: lepton.Client, tmp_path: Path) -> None:
    made = wheel(tmp_path / "wheels", "greeting", "2.0", "WORD = 'locked'\n")
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["greeting"]\n'
        f'[tool.uv.sources]\ngreeting = {{ path = "wheels/{made.name}" }}\n'
    )
    (tmp_path / "uv.lock").write_text(
        'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n\n'
        f'[[package]]\nname = "greeting"\nversion = "2.0"\nsource = {{ path = "wheels/{made.name}" }}\n'
        f'wheels = [{{ filename = "{made.name}", hash = "sha256:{digest}" }}]\n\n'
        '[[package]]\nname = "mine"\nversion = "1"\nsource = { virtual = "." }\n'
        'dependencies = [{ name = "greeting" }]\n\n'
        f'[package.metadata]\nrequires-dist = [{{ name = "greeting", path = "wheels/{made.name}" }}]\n'
    )
    (tmp_path / "main.py").write_text("import greeting; print(greeting.WORD)\n")
    for file in ("uv.lock", "pyproject.toml"):
        run = client.runs.submit(["python", "main.py"], folder=tmp_path, environment=file)
        assert lines(client, run)[-1] == "locked"


def test_building_is_as_confined_as_running(client: lepton.Client, folder: Path, tmp_path_factory: object) -> None:
    (folder / "evil").mkdir()
    (folder / "evil" / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "evil"\nversion = "1"\n'
    )
    (folder / "evil" / "backend.py").write_text(
        "import os, sys\n"
        "def build_wheel(*args, **more):\n"
        "    names = sorted(name for name in os.environ if name.startswith('LEPTON'))\n"
        "    try:\n"
        "        found = os.listdir('/root')\n"
        "    except PermissionError:\n"
        "        found = 'refused'\n"
        "    sys.exit(f'saw {found} and {names}')\n"
    )
    (folder / "requirements.txt").write_text("--no-index\n./evil\n")
    run = client.runs.submit(
        ["python", "main.py"], folder=folder, environment="requirements.txt", secrets={"K": "secret-value"}
    )
    with pytest.raises(RunFailed):
        client.runs.wait(run.id)
    told = "\n".join(lines(client, run))
    assert "saw refused and ['LEPTON_NODE_ADDRESS', 'LEPTON_OUTPUTS']" in told


class FakeUv:
    """Stands in for uv where it is only counted how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.code = 0

    def __call__(self, argv: list[str], more: Mapping[str, str], path: Path) -> int:
        self.asked.append(argv)
        return self.code


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Declared:
    monkeypatch.setattr(environment, "ground", lambda: tmp_path)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "requirements.txt").write_text("a==1\n")
    return Declared(tmp_path / "work" / "requirements.txt", tmp_path / "work", "default")


def test_an_environment_of_which_the_building_was_killed_is_built_again(declared: Declared) -> None:
    uv, stop = FakeUv(), threading.Event()
    first = environment.build(declared, uv, user=None, stop=stop)
    count = len(uv.asked)
    assert environment.build(declared, uv, user=None, stop=stop) == first
    assert len(uv.asked) == count
    (first / environment.READY).unlink()
    (first / "half").touch()
    assert environment.build(declared, uv, user=None, stop=stop) == first
    assert len(uv.asked) == 2 * count
    assert not (first / "half").exists()


def test_nothing_is_left_of_an_environment_that_could_not_be_built(declared: Declared, tmp_path: Path) -> None:
    uv = FakeUv()
    uv.code = 2
    with pytest.raises(NoEnvironment, match="exit code 2"):
        environment.build(declared, uv, user=None, stop=threading.Event())
    assert [path.suffix for path in (tmp_path / "environments").iterdir()] == [".lock"]


def test_two_who_want_the_same_environment_at_once_get_one(declared: Declared) -> None:
    uv = FakeUv()
    found: list[Path] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(environment.build(declared, uv, user=None, stop=threading.Event()))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(uv.asked) == 2


def test_another_lock_project_or_local_file_is_another_environment(declared: Declared) -> None:
    keys = {declared.key(), Declared(declared.file, declared.work, "other").key()}
    (declared.work / "main.py").write_text("1")
    assert declared.key() in keys  # code is no package
    declared.file.write_text("a==2\n")
    keys.add(declared.key())
    declared.file.write_text("-e .\n")
    keys.add(declared.key())
    (declared.work / "main.py").write_text("2")
    keys.add(declared.key())
    assert len(keys) == 5


def test_without_uv_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(NoEnvironment, match=r"pip install 'lepton-platform\[uv\]'"):
        environment.find_uv()


def test_what_is_left_in_the_folder_of_outputs_and_what_patterns_name_is_kept_also_of_a_failure(
    client: lepton.Client, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text(
        "import os\n"
        "outputs = os.environ['LEPTON_OUTPUTS']\n"
        "os.makedirs(outputs + '/plots')\n"
        "open(outputs + '/plots/loss.txt', 'w').write('down ' + os.environ['RANK'])\n"
        "os.symlink('/etc/passwd', outputs + '/stolen')\n"
        "os.mkfifo(outputs + '/pipe')\n"
        "os.makedirs('results/deep')\n"
        "open('results/a.csv', 'w').write('a')\n"
        "open('results/deep/b.csv', 'w').write('b')\n"
        "os.symlink('/etc', 'results/link')\n"
        "open('other.csv', 'w').write('c')\n"
        "raise SystemExit(3 if os.environ['RANK'] == '0' else 0)\n"
    )
    (tmp_path / "results").mkdir()
    run = client.runs.submit(["python", "main.py"], folder=tmp_path, workers=2, outputs=["results", "*.txt"])
    eventually(lambda: client.runs.get(run.id).ended, "it has ended")
    assert client.runs.get(run.id).state == "failed"
    paths = [artifact.path for artifact in client.runs.artifacts(run.id)]
    assert paths == ["plots/loss.txt", "results/a.csv", "results/deep/b.csv"]
    assert [client.runs.get_artifact(run.id, path) for path in paths] == [b"down 0", b"a", b"b"]


def test_what_a_command_saves_when_it_is_told_to_end_is_kept(client: lepton.Client, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        "import os, signal, sys, time\n"
        "def save(*_):\n"
        "    open(os.environ['LEPTON_OUTPUTS'] + '/checkpoint', 'w').write('step 7')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "print('ready')\n"
        "time.sleep(60)\n"
    )
    run = client.runs.submit(["python", "main.py"], folder=tmp_path)
    assert next(line.text for line in client.runs.logs(run.id, follow=True) if line.text == "ready")
    client.runs.cancel(run.id)
    eventually(lambda: client.runs.get(run.id).ended, "it has ended")
    assert client.runs.get(run.id).state == "cancelled"
    assert client.runs.get_artifact(run.id, "checkpoint") == b"step 7"

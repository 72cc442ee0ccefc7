"""`lepton models template`: the networks that come with the package, copied by whoever wants to change one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lepton
from lepton.cli.program import run
from lepton.training.templates import TEMPLATES


@pytest.fixture(autouse=True)
def no_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEPTON_URL", raising=False)
    monkeypatch.setenv("LEPTON_HOME", str(tmp_path / "nothing"))


def test_a_template_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "template", "mlp"]) == 0
    assert capsys.readouterr() == (TEMPLATES["mlp"].source(), "")


def test_without_a_name_each_template_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "template"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [line[0] for line in lines if line[0] in TEMPLATES] == [*TEMPLATES]
    assert run(["models", "template", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["items"]
    assert listed == [{"name": name, "about": found.about} for name, found in TEMPLATES.items()]


def test_a_file_is_written_once_and_never_over_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = tmp_path / "net.py"
    assert run(["models", "template", "gru", "--to", str(net)]) == 0
    assert f"--model {net}:build" in capsys.readouterr().out
    assert net.read_text("utf-8") == TEMPLATES["gru"].source()
    assert run(["models", "template", "mlp", "--to", str(net)]) == 1
    assert capsys.readouterr() == (
        "",
        f"{net} is there already, and is left as it is. Choose another name: --to FILE\n",
    )
    assert net.read_text("utf-8") == TEMPLATES["gru"].source()
    assert run(["models", "template", "mlp", "--to", str(tmp_path / "no" / "net.py")]) == 1
    assert "No such file or directory. Choose another place: --to FILE" in capsys.readouterr().err


def test_as_json_a_template_comes_with_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "template", "tcn", "--json"]) == 0
    tcn = TEMPLATES["tcn"]
    assert json.loads(capsys.readouterr().out) == {"name": "tcn", "about": tcn.about, "source": tcn.source()}


def test_a_name_that_no_template_has_gets_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "template", "rnn"]) == 1
    told = "There is no template 'rnn'. Choose one of: mlp, cnn, resnet, transformer, gru, tcn.\n"
    assert capsys.readouterr() == ("", told)


def test_the_sdk_returns_the_text_and_asks_no_platform() -> None:
    with lepton.Client("http://127.0.0.1:1", None) as client:
        assert client.models.template("cnn") == TEMPLATES["cnn"].source()
        assert client.models.templates() == {name: found.about for name, found in TEMPLATES.items()}

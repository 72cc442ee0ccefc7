"""The documentation says what is."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def generated() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["cli.md", "rest.md", "catalog.mmd"])
def test_the_generated_pages_follow_the_code(name: str) -> None:
    written = (ROOT / "docs" / name).read_text()
    assert written == generated()[name], "Run: .venv/bin/python docs/generate.py"


def test_every_setting_has_a_heading() -> None:
    documented = set(re.findall(r"^## (LEPTON_\w+)$", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE))
    internal = {
        "LEPTON_CALLING",
        "LEPTON_LEADS",
        "LEPTON_MASTER_FD",
        "LEPTON_NODE_ADDRESS",
        "LEPTON_CALLER",
        "LEPTON_GRACE_S",
        "LEPTON_URL_FILE",
    }
    used = set()
    for file in [*(ROOT / "src").rglob("*.py"), ROOT / "hatch_build.py"]:
        used |= set(re.findall(r"\bLEPTON_[A-Z_]+[A-Z]\b", file.read_text()))
    assert used - internal - documented == set()


def test_the_readme_shows_the_eight_lines_that_are_tested() -> None:
    lines = (ROOT / "examples" / "eight_lines.py").read_text().strip()
    for readme in ("README.md", "README.zh-CN.md"):
        block = re.search(r"```python\n(.*?)```", (ROOT / readme).read_text(), re.DOTALL)
        assert block is not None
        code = [line.partition("#")[0].rstrip() for line in block[1].strip().splitlines()]
        assert code == [line.partition("#")[0].rstrip() for line in lines.splitlines()]


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_capability_names_a_test_command_or_page_that_exists() -> None:
    text = (ROOT / "docs" / "features.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) > 30
    for path in re.findall(r"`((?:tests|examples|benchmarks)/[\w./-]+\.py)`", text):
        assert (ROOT / path).exists(), path
    for path, name in re.findall(r"`((?:tests)/[\w./-]+\.py)::(\w+)`", text):
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"

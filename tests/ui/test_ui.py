"""The web page: its types, its own unit tests, its size, and the hook that builds it into the package."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
UI = ROOT / "ui"
MOST_JAVASCRIPT_BYTES = 250_000

pytestmark = pytest.mark.skipif(os.environ.get("LEPTON_SKIP_UI") == "1", reason="LEPTON_SKIP_UI=1")


def load_hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def hook() -> ModuleType:
    return load_hook()


@pytest.fixture(scope="session")
def ui(hook: ModuleType) -> Path:
    """The source folder of the page with the packages of its lockfile installed."""
    installed = UI / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (UI / "package-lock.json").stat().st_mtime:
        hook.install(UI)
    return UI


@pytest.fixture(scope="session")
def page(hook: ModuleType, ui: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as it would be shipped, built from the sources as they are."""
    folder = tmp_path_factory.mktemp("page") / "static"
    command = ["node_modules/vite/bin/vite.js", "build", "--logLevel", "warn", "--emptyOutDir", "--outDir", str(folder)]
    hook.run_node(ui, command, doing="build the page")
    return folder


def test_types_are_right(hook: ModuleType, ui: Path) -> None:
    hook.run_node(ui, ["node_modules/typescript/bin/tsc", "--noEmit"], doing="check the types of the page")


def test_unit_tests_of_the_page_pass(hook: ModuleType, ui: Path) -> None:
    hook.run_node(ui, ["node_modules/vitest/vitest.mjs", "run"], doing="run the unit tests of the page")


def test_what_loads_first_is_small(page: Path) -> None:
    first = (page / "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r'(?:src|href)="/([^"]+\.js)"', first)
    assert len(scripts) >= 2
    assert sum(len(gzip.compress((page / name).read_bytes())) for name in scripts) < MOST_JAVASCRIPT_BYTES


def test_the_page_asks_no_other_host_for_anything(page: Path) -> None:
    first = (page / "index.html").read_text(encoding="utf-8")
    assert "//" not in "".join(re.findall(r'(?:src|href)="([^"]+)"', first))
    for sheet in page.rglob("*.css"):
        addresses = re.findall(r"url\(([^)]*)\)|@import", sheet.read_text(encoding="utf-8"))
        assert not [address for address in addresses if "//" in address]


def test_the_page_runs_without_inline_scripts(page: Path) -> None:
    first = (page / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r"<script(?![^>]*\ssrc=)", first)
    assert not re.findall(r"\son\w+=", first)


def test_the_lockfile_names_no_registry() -> None:
    packages = json.loads((UI / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert len(packages) > 50
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert not [name for name, package in packages.items() if name and "integrity" not in package]


def test_versions_are_exact_and_all_mantine_packages_have_the_same() -> None:
    package = json.loads((UI / "package.json").read_text(encoding="utf-8"))
    wanted = package["dependencies"] | package["devDependencies"]
    assert not [name for name, version in wanted.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)]
    assert len({version for name, version in wanted.items() if name.startswith("@mantine/")}) == 1


@pytest.fixture
def small_ui(tmp_path: Path) -> Path:
    folder = tmp_path / "ui"
    (folder / "src").mkdir(parents=True)
    (folder / "package.json").write_text("{}")
    (folder / "src" / "main.ts").write_text("1")
    return folder


def test_the_fingerprint_follows_sources_and_nothing_else(hook: ModuleType, small_ui: Path) -> None:
    before = hook.fingerprint(small_ui)
    (small_ui / "node_modules" / "x").mkdir(parents=True)
    (small_ui / "node_modules" / "x" / "index.js").write_text("2")
    (small_ui / "README.md").write_text("words")
    assert hook.fingerprint(small_ui) == before
    (small_ui / "src" / "main.ts").write_text("2")
    changed = hook.fingerprint(small_ui)
    assert changed != before
    (small_ui / "src" / "main.ts").rename(small_ui / "src" / "other.ts")
    assert hook.fingerprint(small_ui) not in {before, changed}


def test_an_unchanged_page_is_not_built_again(
    hook: ModuleType, small_ui: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def pretend(ui: Path, arguments: list[str], *, doing: str) -> None:
        ran.append(arguments)
        (ui / "dist").mkdir(exist_ok=True)
        (ui / "dist" / "index.html").write_text(f"page {len(ran)}")

    monkeypatch.setattr(hook, "run_node", pretend)
    static = tmp_path / "package" / "static"
    assert hook.build(small_ui, static)
    assert not hook.build(small_ui, static)
    (small_ui / "src" / "main.ts").write_text("2")
    assert hook.build(small_ui, static)
    assert (static / "index.html").read_text() == "page 4"
    shutil.rmtree(static)
    assert hook.build(small_ui, static)


def test_a_registry_out_of_reach_is_said_in_a_sentence(
    hook: ModuleType, small_ui: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(UI / name, small_ui / name)
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")  # the discard port: nobody listens
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(hook.UiBuildError, match=r"the npm registry did not answer.*LEPTON_SKIP_UI=1"):
        hook.install(small_ui)


def test_a_failed_build_leaves_the_old_page_in_place(
    hook: ModuleType, small_ui: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    static = tmp_path / "static"
    static.mkdir()
    (static / "index.html").write_text("old")
    (small_ui / "fail.js").write_text("console.error('no such thing'); process.exit(3)")
    monkeypatch.setattr(hook, "install", lambda ui: hook.run_node(ui, ["fail.js"], doing="fail"))
    with pytest.raises(hook.UiBuildError, match=r"Could not fail \(exit 3\):\nno such thing"):
        hook.build(small_ui, static)
    assert (static / "index.html").read_text() == "old"

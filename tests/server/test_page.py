"""The web page, its headers, and what is answered before it is built."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from lepton.server.page import Page


@pytest.fixture
def catalog_url() -> str:
    """What is tested here never differs by catalog."""
    return "sqlite"


@pytest.fixture
def static(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>Lepton</title>")
    (tmp_path / "icon.svg").write_text("<svg/>")
    (tmp_path / "assets" / "index-1a2b.js").write_text("let x = 1")
    (tmp_path.parent / "outside.txt").write_text("not for you")
    return tmp_path


def served(folder: Path) -> TestClient:
    app = Starlette()
    app.router.default = Page(folder)
    return TestClient(app)


@pytest.mark.parametrize("path", ["/", "/sign-in?code=lpc_x", "/datasets/my.data@3", "/models/a/b/c"])
def test_every_address_of_the_page_is_answered_by_its_first_page(static: Path, path: str) -> None:
    response = served(static).get(path)
    assert (response.status_code, response.text) == (200, "<title>Lepton</title>")
    assert response.headers["cache-control"] == "no-cache"


def test_files_are_served_and_those_with_a_hash_in_their_name_are_kept_by_browsers(static: Path) -> None:
    client = served(static)
    assert client.get("/icon.svg").headers["cache-control"] == "no-cache"
    asset = client.get("/assets/index-1a2b.js")
    assert asset.text == "let x = 1"
    assert "immutable" in asset.headers["cache-control"]


@pytest.mark.parametrize("path", ["/assets/gone.js", "/v1/nothing", "/v1"])
def test_a_missing_asset_is_not_answered_by_a_page(static: Path, path: str) -> None:
    assert served(static).get(path).status_code == 404


@pytest.mark.parametrize("path", ["/../outside.txt", "/%2e%2e/outside.txt", "/assets/..%2f..%2foutside.txt", "/%00"])
def test_nothing_outside_of_the_built_page_is_served(static: Path, path: str) -> None:
    response = served(static).get(path)
    assert "not for you" not in response.text
    assert response.status_code in (200, 404)


def test_a_page_that_is_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    response = served(tmp_path / "nothing").get("/datasets")
    assert response.headers["content-type"].startswith("text/plain")
    assert "pip install -e ." in response.text


def test_the_page_is_for_everybody_and_lets_in_no_script_from_elsewhere(anonymous: TestClient) -> None:
    response = anonymous.get("/")
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe-eval" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"

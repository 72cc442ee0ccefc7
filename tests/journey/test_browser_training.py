"""Training with a framework by clicking: what fits is proposed, taken by a click, and ends as a version."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from journey.journeys import Live, start
from journey.test_browser import SLOW_MS, choose, chromium, click, page, quiet_page
from playwright.sync_api import Page, expect

__all__ = ["chromium", "page", "quiet_page"]

ROWS = 400


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A platform with a table of customers."""
    running = start(tmp_path_factory.mktemp("home") / "lepton", "sqlite")
    rng = np.random.default_rng(17)
    age, income = rng.uniform(18, 80, ROWS), rng.normal(40_000, 9_000, ROWS)
    bought = np.where(age + income / 2000 + rng.normal(0, 3, ROWS) > 69, "yes", "no")
    with running.client() as client:
        client.datasets.import_(pl.DataFrame({"age": age, "income": income, "bought": bought}), name="shoppers")
    yield running
    running.cli("down")


def shoot(page: Page, name: str) -> None:
    """Leave a picture for whoever wants to look: LEPTON_SCREENSHOTS says where."""
    if folder := os.environ.get("LEPTON_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_framework_is_proposed_chosen_and_trained(page: Page, live: Live) -> None:
    page.get_by_role("link", name="shoppers").first.click()
    click(page, "Train")
    choose(page, "Target column", "bought")
    dialog = page.get_by_role("dialog")
    proposals = dialog.get_by_role("group", name="Fits these columns")
    expect(proposals.get_by_role("button")).to_have_text(["Logistic regression", "scikit-learn", "Automatic"])
    shoot(page, "proposals")
    proposals.get_by_role("button", name="Automatic").click()
    expect(dialog.get_by_label("Time to look for the best, in minutes")).to_have_value("10")
    dialog.get_by_role("combobox", name="Recipe").click()
    page.get_by_role("option", name="XGBoost").click()
    click(page, "More options")
    dialog.get_by_label("Parameters").fill("rounds = 10\nmax_depth = 3")
    dialog.get_by_label("Workers").fill("1")
    dialog.get_by_label("Model name").fill("buyers")
    click(page, "Start training")
    page.get_by_role("main").get_by_role("link", name=re.compile("buyers@1")).first.click(timeout=SLOW_MS)
    expect(page.get_by_role("heading", name="Lineage")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("group", name="Held-out metrics")).to_contain_text("Accuracy")
    expect(page.get_by_role("main")).to_contain_text("XGBoost")
    shoot(page, "trained")


def test_a_parameter_that_nobody_knows_is_said_in_the_dialog(quiet_page: Page, live: Live) -> None:
    page = quiet_page
    page.get_by_role("link", name="shoppers").first.click()
    click(page, "Train")
    choose(page, "Target column", "bought")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Recipe").click()
    page.get_by_role("option", name="XGBoost").click()
    click(page, "More options")
    dialog.get_by_label("Parameters").fill("max_dept = 3")
    click(page, "Start training")
    expect(dialog).to_contain_text("There is no parameter 'max_dept' here. Did you mean max_depth?", timeout=SLOW_MS)


def test_a_search_is_started_by_clicking_and_its_study_opens(page: Page, live: Live) -> None:
    page.get_by_role("link", name="shoppers").first.click()
    click(page, "Train")
    choose(page, "Target column", "bought")
    dialog = page.get_by_role("dialog")
    choose(page, "Recipe", "Logistic regression")
    dialog.get_by_label("Model name").fill("found")
    dialog.get_by_role("switch", name="Search for the best settings").click()
    dialog.get_by_label("What is searched").fill("l2 = 0.1|10\nsolver = newton|lbfgs")
    dialog.get_by_label("Trials", exact=True).fill("2")
    choose(page, "How settings are chosen", "At random")
    shoot(page, "search")
    click(page, "Start search")
    expect(page.get_by_role("heading", name="found", level=1)).to_be_visible(timeout=SLOW_MS)
    expect(page).to_have_url(re.compile("/models/studies/found$"))
    with live.client() as client:
        run = next(one for one in client.runs.list() if one.verb == "models.tune")
        assert (run.params["study"], run.params["trials"]) == ("found", 2)
        client.runs.cancel(run.id)

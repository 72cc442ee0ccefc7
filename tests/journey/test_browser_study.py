"""A study in a real Chromium: found below the models, drawn five ways, and its trials with their runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import optuna
import pytest
from journey.journeys import Live, start
from journey.test_browser import chromium, page, quiet_page
from playwright.sync_api import Page, expect

import lepton

__all__ = ["chromium", "page", "quiet_page"]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A platform on SQLite only: what differs between catalogs is tested without a browser."""
    running = start(tmp_path_factory.mktemp("home") / "lepton", "sqlite")
    yield running
    running.cli("down")


@pytest.fixture(scope="module")
def study(live: Live) -> optuna.Study:
    """Twelve trials of Optuna's, one of which was tried by a run, one pruned and one failed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with live.client() as client:
        made = optuna.create_study(
            storage=lepton.optuna_storage(client=client), study_name="net", direction="maximize",
            sampler=optuna.samplers.RandomSampler(seed=3),
        )  # fmt: skip

        def objective(trial: optuna.Trial) -> float:
            rate, layers = trial.suggest_float("rate", 1e-4, 1, log=True), trial.suggest_int("layers", 1, 6)
            kind = trial.suggest_categorical("kind", ["adam", "sgd"])
            if trial.number == 4:
                raise optuna.TrialPruned
            if trial.number == 5:
                raise ValueError
            return layers - rate + (kind == "adam")

        made.optimize(objective, n_trials=12, catch=ValueError)
        run = client.runs.create(name="a trial")
        made.set_user_attr("lepton:importance", {"layers": 0.7, "kind": 0.2, "rate": 0.1})
        made.set_user_attr("lepton:metric", "score")
        tried = made.ask()
        made._storage.set_trial_user_attr(tried._trial_id, "lepton:run", run.id)
        tried.suggest_float("rate", 1e-4, 1, log=True)
        made.tell(tried, 0.5)
        trials = made.get_trials()
    assert len(trials) == 13
    made.kept = (trials, run.id)  # type: ignore[attr-defined] - the storage's client is closed now
    return made


def test_a_study_is_found_and_drawn(page: Page, live: Live, study: optuna.Study) -> None:
    trials, run_id = study.kept  # type: ignore[attr-defined]
    page.goto(f"{live.address['url']}/models")
    row = page.get_by_role("table", name="Studies").get_by_role("row", name="net")
    expect(row).to_contain_text("13")
    expect(row).to_contain_text("score, the highest")
    row.get_by_role("link", name="net").click()
    expect(page.get_by_role("heading", name="net", level=1)).to_be_visible()

    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    best = max(complete, key=lambda trial: trial.value)
    history = page.get_by_role("img", name="History")
    expect(history.locator("circle")).to_have_count(len(complete))
    heights = [float(y) for y in re.findall(r"[\d.]+ ([\d.]+)", history.locator("path").get_attribute("d") or "")]
    assert len(heights) == len(complete)
    assert heights == sorted(heights, reverse=True), "the best so far never gets worse"

    importance = page.get_by_role("img", name="Importance").locator("text")
    assert importance.all_text_contents()[::2] == ["layers", "kind", "rate"]
    for name, count in (("rate", len(complete)), ("layers", len(complete) - 1), ("kind", len(complete) - 1)):
        expect(page.get_by_role("img", name=f"Along {name}").locator("circle")).to_have_count(count)

    contour = page.get_by_role("img", name="Contour: layers, kind")
    expect(contour.locator("circle")).to_have_count(len(complete) - 1)
    assert contour.locator("rect").count() > 500
    page.get_by_role("combobox", name="Up").click()
    page.get_by_role("option", name="rate").click()
    expect(page.get_by_role("img", name="Contour: layers, rate")).to_be_visible()

    table = page.get_by_role("table", name="All trials")
    expect(table.get_by_role("row")).to_have_count(14)
    first = table.get_by_role("row").nth(1)
    expect(first.get_by_role("cell").first).to_have_text(str(best.number))
    expect(table.get_by_role("cell", name="ended early")).to_have_count(1)
    expect(table.get_by_role("cell", name="failed")).to_have_count(1)
    expect(table.get_by_role("link", name=run_id[-6:])).to_have_attribute("href", f"/runs/{run_id}")


def test_dragging_along_an_axis_keeps_the_trials_that_pass_there(page: Page, live: Live, study: optuna.Study) -> None:
    page.goto(f"{live.address['url']}/models/studies/net")
    lines = page.get_by_role("group", name="Parallel coordinates")
    expect(lines.locator("path[data-run]")).to_have_count(11)
    axis = lines.get_by_role("slider").nth(1)
    axis.scroll_into_view_if_needed()
    box = axis.bounding_box()
    assert box is not None
    x = box["x"] + box["width"] / 2
    page.mouse.move(x, box["y"] + 1)
    page.mouse.down()
    page.mouse.move(x, box["y"] + box["height"] * 0.45)
    page.mouse.up()
    kept = lines.locator("path[data-inside='true']").count()
    assert 0 < kept < 11
    expect(page.get_by_role("status").filter(has_text=" of 13")).to_have_text(f"{kept} of 13")
    expect(page.get_by_role("table", name="All trials").get_by_role("row")).to_have_count(kept + 1)


def test_the_page_speaks_chinese(page: Page, live: Live, study: optuna.Study) -> None:
    page.goto(f"{live.address['url']}/models/studies/net")
    page.evaluate("localStorage.setItem('lepton-language', 'zh')")
    page.reload()
    for title in ("历史", "重要性", "切片", "等值图", "平行坐标", "全部试验"):
        expect(page.get_by_role("heading", name=title)).to_be_visible()
    page.evaluate("localStorage.removeItem('lepton-language')")

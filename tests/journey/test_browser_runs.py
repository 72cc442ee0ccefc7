"""Runs in a real Chromium: found, compared, looked into and submitted again."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from journey.journeys import Live, start
from journey.test_browser import SLOW_MS, chromium, click, page, quiet_page
from playwright.sync_api import Locator, Page, expect

__all__ = ["chromium", "page", "quiet_page"]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A platform on SQLite only: what differs between catalogs is tested without a browser."""
    running = start(tmp_path_factory.mktemp("home") / "lepton", "sqlite")
    yield running
    running.cli("down")


MODELS = (("slow", "mlp", 0.001), ("quick", "mlp", 0.1), ("tree", "tree", 0.01))


@pytest.fixture(scope="module")
def recorded(live: Live) -> dict[str, str]:
    """Ids of three recorded runs by name, each with two curves; the loss of one has a peak of a single point."""
    found = {}
    with live.client() as client:
        for name, model, rate in MODELS:
            run = client.runs.create(name=name, params={"lr": str(rate), "model": model, "epochs": "3"})
            loss = [math.exp(-rate * step / 10) + (step % 2) / 10 for step in range(2000)]
            loss[1234] = 5.0 if name == "quick" else loss[1234]
            points = [{"key": "loss", "step": step, "value": value} for step, value in enumerate(loss)]
            points += [{"key": "accuracy", "step": 1999, "value": 1 - rate}]
            client.runs.track(run.id, {"client": "here", "batch": 1, "metrics": points})
            client.runs.end(run.id)
            found[name] = run.id
    return found


def drawn(chart: Locator, name: str, *, raw: bool = False) -> list[tuple[float, float]]:
    """The places of the line of a run, in pixels."""
    path = chart.locator(f"g[data-line='{name}'] path" + ("[data-raw]" if raw else ":not([data-raw])"))
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) (-?[\d.]+)", path.get_attribute("d") or "")]


def drag(page: Page, on: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag from one place of an element to another, both as shares of its size."""
    on.scroll_into_view_if_needed()
    box = on.bounding_box()
    assert box is not None
    (x0, y0), (x1, y1) = ((box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end))
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
    page.mouse.move(x1, y1)
    page.mouse.up()


def roughness(line: list[tuple[float, float]]) -> float:
    """How far a line goes up and down, in pixels a point."""
    return sum(abs(b - a) for (_, a), (_, b) in pairwise(line)) / max(len(line), 1)


def test_runs_that_are_chosen_in_the_list_are_compared(page: Page, live: Live, recorded: dict[str, str]) -> None:
    page.goto(f"{live.address['url']}/runs?filter=metrics.accuracy > 0")
    for name in ("slow", "quick"):
        page.get_by_role("checkbox", name=f"Choose {name}").check()
    click(page, "Compare (2)")
    expect(page.get_by_role("heading", name="Compare runs", level=1)).to_be_visible()
    chart = page.get_by_role("img", name="loss", exact=True)
    expect(chart.locator("g[data-line]")).to_have_count(2)
    tones = {
        chart.locator(f"g[data-line='{name}'] path").evaluate("e => getComputedStyle(e).stroke")
        for name in recorded
        if name != "tree"
    }
    assert len(tones) == 2
    table = page.get_by_role("table", name="Settings and results")
    rate = table.get_by_role("row", name="lr")
    expect(rate).to_have_attribute("data-differs", "true")
    expect(rate.get_by_role("img", name="differs")).to_be_visible()
    expect(rate).to_contain_text("0.001")
    expect(table.get_by_role("row", name="accuracy")).to_contain_text("0.999")
    expect(table.get_by_role("row", name="epochs")).to_have_attribute("data-differs", "false")
    page.get_by_role("switch", name="Only what differs").press("Space")
    expect(table.get_by_role("row", name="epochs")).to_have_count(0)
    page.get_by_role("button", name="Leave out slow").click()
    expect(chart.locator("g[data-line]")).to_have_count(1)
    assert recorded["quick"] in page.url
    assert recorded["slow"] not in page.url


def test_curves_are_zoomed_smoothed_and_read(page: Page, live: Live, recorded: dict[str, str]) -> None:
    page.goto(f"{live.address['url']}/runs/compare?ids={recorded['slow']},{recorded['quick']}")
    chart = page.get_by_role("img", name="loss", exact=True)
    expect(chart.locator("g[data-line]")).to_have_count(2)
    whole = drawn(chart, "quick")
    assert 400 < len(whole) <= 800  # of 2,000
    assert sum(y < 20 for _, y in whole) == 1  # the peak of one point is still there

    with page.expect_response(re.compile(r"metrics\?.*from_step=\d+.*to_step=\d+")):
        drag(page, chart, (0.5, 0.5), (0.6, 0.5))
    expect(chart).to_have_attribute("data-zoomed", "true")
    ticks = [
        int(text.replace(",", "")) for text in chart.locator("text").all_text_contents() if re.search(r"\d{3}$", text)
    ]
    assert ticks
    assert all(800 < tick < 1400 for tick in ticks)
    with page.expect_response(re.compile(r"from_step=1\d\d\d")):  # closer still, by keyboard
        chart.press("+")
    chart.dblclick()
    expect(chart).to_have_attribute("data-zoomed", "false")

    expect(chart.locator("path[data-raw]")).to_have_count(0)
    rough = roughness(drawn(chart, "slow"))
    slider = page.get_by_role("slider", name="Smoothing")
    slider.focus()
    for _ in range(90):
        slider.press("ArrowRight")
    expect(chart.locator("path[data-raw]")).to_have_count(2)
    assert roughness(drawn(chart, "slow")) < rough / 5
    assert roughness(drawn(chart, "slow", raw=True)) == rough

    chart.hover(position={"x": 200, "y": 100})
    values = page.get_by_role("status", name="Values")
    expect(values).to_contain_text("step")
    expect(values.get_by_role("listitem")).to_have_count(2)
    page.get_by_role("switch", name="Logarithmic").press("Space")
    expect(chart.get_by_text("e−").first).to_be_visible()  # down to what is left of the quick one
    page.get_by_text("Since the start", exact=True).click()
    expect(chart.locator("text").last).to_contain_text("s")


def test_a_brush_on_an_axis_keeps_the_runs_that_pass_there(page: Page, live: Live, recorded: dict[str, str]) -> None:
    page.goto(f"{live.address['url']}/runs/compare?ids={','.join(recorded.values())}")
    panel = page.get_by_role("region", name="Parallel coordinates")
    lines = panel.locator("path[data-run]")
    expect(lines).to_have_count(3)
    expect(panel.get_by_role("status")).to_have_text("3 of 3 runs")
    drag(page, panel.get_by_role("slider", name="Axis lr"), (0.5, 0.02), (0.5, 0.3))  # its highest third
    expect(panel.locator("path[data-inside='true']")).to_have_attribute("data-run", "quick")
    expect(panel.get_by_role("status")).to_contain_text("1 of 3 runs")
    expect(page.get_by_role("img", name="loss", exact=True).locator("g[data-line]")).to_have_count(1)
    expect(page.get_by_role("table", name="Settings and results").get_by_role("columnheader")).to_have_count(1)
    click(page, "Clear")
    expect(panel.get_by_role("status")).to_have_text("3 of 3 runs")
    axis = panel.get_by_role("slider", name="Axis model")
    for _ in range(2):
        axis.press("ArrowUp")  # by keyboard: without the lowest
    expect(panel.get_by_role("status")).to_contain_text("2 of 3 runs")
    panel.get_by_role("combobox", name="Color by").click()
    page.get_by_role("option", name="each run its own").click()
    assert lines.first.get_attribute("stroke") == "var(--run-2)"  # what lies outside is drawn first


def test_the_list_is_sorted_filtered_and_says_what_is_wrong(
    quiet_page: Page, live: Live, recorded: dict[str, str]
) -> None:
    page = quiet_page
    page.goto(f"{live.address['url']}/runs")
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("combobox", name="Columns").fill("acc")
    page.get_by_role("option", name="accuracy").click()
    page.get_by_role("combobox", name="Columns").fill("lr")
    page.get_by_role("option", name="lr").click()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    table = page.get_by_role("table", name="Runs")
    rows = table.get_by_role("row").filter(has_text=re.compile("slow|quick|tree"))
    table.get_by_role("button", name="accuracy").click()
    expect(rows).to_contain_text([r"slow", "tree", "quick"])
    expect(table.get_by_role("columnheader", name="accuracy")).to_have_attribute("aria-sort", "descending")
    table.get_by_role("button", name="accuracy").click()
    expect(rows).to_contain_text(["quick", "tree", "slow"])
    expect(rows.first).to_contain_text("0.9")
    search = page.get_by_role("textbox", name="Search")
    search.fill("params.lr < 0.05")
    search.press("Enter")
    expect(rows).to_contain_text(["tree", "slow"])
    search.fill("params.lr <")
    search.press("Enter")
    expect(page.get_by_text("The filter is wrong at character 12")).to_be_visible()
    page.reload()  # all of it is in the address
    expect(page.get_by_text("The filter is wrong at character 12")).to_be_visible()
    page.get_by_role("textbox", name="Search").fill("metrics.accuracy > 7")
    page.get_by_role("textbox", name="Search").press("Enter")
    expect(page.get_by_text("No run was found")).to_be_visible()


def test_of_many_runs_only_those_in_sight_are_drawn_and_asked_for(page: Page, live: Live) -> None:
    with live.client(project="default") as client:
        ids = [client.runs.create(params={"batch": "many", "n": str(n)}).id for n in range(130)]
        for run_id in ids:
            client.runs.end(run_id)
    page.goto(f"{live.address['url']}/runs?filter=params.batch = 'many'&order=params.n desc&columns=params.n")
    table, box = page.get_by_role("table", name="Runs"), page.get_by_role("region", name="Table of runs")
    expect(table.get_by_role("cell", name="129", exact=True)).to_be_visible()
    assert table.get_by_role("row").count() < 60
    box.evaluate("e => e.scrollTo(0, e.scrollHeight)")
    expect(table.get_by_role("cell", name="0", exact=True)).to_be_visible()
    expect(table.get_by_role("cell", name="129", exact=True)).to_have_count(0)
    assert table.get_by_role("row").count() < 60
    expect(table).to_have_attribute("aria-rowcount", "131")


def test_the_log_is_shown_for_one_worker_and_searched_and_the_run_is_cloned(
    page: Page, live: Live, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text(
        "import os, sys\nfor step in range(5):\n    print('step', step, 'by', os.environ['RANK'], *sys.argv[1:])\n"
    )
    with live.client() as client:
        run = client.runs.submit(["python", "main.py", "one two"], folder=tmp_path, workers=2, name="pair")
        client.runs.wait(run.id)
    page.goto(f"{live.address['url']}/runs/{run.id}")
    log = page.get_by_role("log")
    expect(log.get_by_text("step 4 by 0 one two")).to_be_visible()
    expect(log.get_by_text("step 4 by 1 one two")).to_be_visible()
    page.get_by_text("Worker 1", exact=True).click()
    expect(log.get_by_text("by 0")).to_have_count(0)
    expect(log.get_by_text("by 1")).to_have_count(5)
    page.get_by_role("textbox", name="Find in the log").fill("STEP 3")
    expect(log.locator("mark")).to_have_text(["step 3"])
    expect(page.get_by_text(re.compile(r"^.*1 of \d+ lines$"))).to_be_visible()

    click(page, "Clone")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Command")).to_have_value("python main.py 'one two'")
    dialog.get_by_label("Command").fill("python main.py 'three")
    expect(dialog.get_by_text("A quotation mark is not closed.")).to_be_visible()
    expect(dialog.get_by_role("button", name="Submit")).to_be_disabled()
    dialog.get_by_label("Command").fill("python main.py 'three four'")
    dialog.get_by_label("Workers").fill("1")
    dialog.get_by_label("Name").fill("alone")
    click(page, "Submit")
    expect(page.get_by_role("heading", name="alone", level=1)).to_be_visible(timeout=SLOW_MS)
    expect(log.get_by_text("step 4 by 0 three four")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("Succeeded", exact=True)).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("link", name=run.id)).to_be_visible()  # whose folder it has
    before = page.url
    click(page, "Run again")
    page.wait_for_url(lambda url: url != before)
    page.get_by_role("link", name="Compute").click()
    past = page.get_by_role("table", name="History").get_by_role("row").filter(has_text="pair")
    expect(past).to_contain_text("Succeeded")
    expect(past.get_by_role("img", name=re.compile(r"^waited .* s, worked .* s$"))).to_be_visible()
    with live.client() as client:
        same, other = client.runs.list(limit=2)
        for one in (same, other):
            client.runs.wait(one.id)
            assert (one.workers, one.params["command"]) == (1, "python main.py 'three four'")


RECORDING = """
import time
import lepton
from lepton.core.errors import NotFound

def kept(run):
    try:
        return {file.path for file in lepton.connect().runs.artifacts(run.id)}
    except NotFound:  # its first words are on their way
        return set()

with lepton.start_run(name="from a repository") as run:
    for step in range(20):
        run.metrics({"loss": 1 / (step + 1), "system/cpu_percent": step}, step)
    while not {"code.diff", "environment.txt"} <= kept(run):
        time.sleep(0.05)
    print(run.id)
"""


def test_what_was_changed_in_the_code_is_shown_and_never_run(page: Page, live: Live, tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(tmp_path)]
    (tmp_path / "page.html").write_text("<b>old</b>\n")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    (tmp_path / "page.html").write_text("<script>document.title = 'taken over'</script>\n")
    environment = {**os.environ, "LEPTON_URL": live.address["url"], "LEPTON_TOKEN": live.address["token"]}
    done = subprocess.run(
        [sys.executable, "-c", RECORDING], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    page.goto(f"{live.address['url']}/runs/{done.stdout.strip()}")
    expect(page.get_by_role("heading", name="from a repository", level=1)).to_be_visible()
    patch = page.get_by_role("region", name="Changes since the commit")
    expect(patch.locator("[data-kind='removed']")).to_have_text("-<b>old</b>")
    expect(patch.locator("[data-kind='added']")).to_have_text("+<script>document.title = 'taken over'</script>")
    assert "taken over" not in page.title()
    code = page.get_by_role("region", name="Code")
    expect(code).to_contain_text("main")
    packages = page.get_by_role("list", name="Packages")
    page.get_by_role("textbox", name="Find a package").fill("polars")
    expect(packages.get_by_role("listitem").first).to_contain_text("polars")
    expect(packages.get_by_text("mantine")).to_have_count(0)
    expect(page.get_by_role("region", name="System").get_by_role("figure", name="Processors, %")).to_be_visible()
    expect(page.get_by_role("log")).to_have_count(0)  # nobody wrote one


def test_comparing_speaks_chinese(page: Page, live: Live, recorded: dict[str, str]) -> None:
    page.goto(f"{live.address['url']}/runs/compare")
    expect(page.get_by_text("No runs to compare")).to_be_visible()
    page.evaluate("localStorage.setItem('lepton-language', 'zh')")
    page.goto(f"{live.address['url']}/runs/compare?ids={','.join(recorded.values())}")
    expect(page.get_by_role("heading", name="比较运行", level=1)).to_be_visible()
    expect(page.get_by_role("region", name="平行坐标")).to_contain_text("3 / 3 次运行")
    expect(page.get_by_role("slider", name="平滑")).to_be_visible()

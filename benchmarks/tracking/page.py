"""The page's table over many runs, in a real Chromium; a part of `make bench-tracking`.

Timed by the page's own clock: from the click, or from sending the filter, until the browser is about to draw a table
whose first row is another one. The server has one core, the browser the other.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping

from benchmarks.tracking.servers import Server
from playwright.sync_api import Browser, Page, sync_playwright

import lepton as sdk

SWITCHES = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
LONGEST_MS = 60_000
_UNTIL_DRAWN = """
([act, argument, longest]) => new Promise((found, failed) => {
  const first = () => document.querySelector('tr[aria-rowindex="2"]:not([aria-busy])')?.textContent ?? null;
  const before = first(), began = performance.now();
  const look = () => {
    const now = first(), taken = performance.now() - began;
    if (now !== null && now !== before) requestAnimationFrame(() => found(performance.now() - began));
    else if (taken > longest) failed(new Error(`nothing new after ${taken} ms`));
    else requestAnimationFrame(look);
  };
  if (act === 'send') document.querySelector('form input').form.requestSubmit();
  else [...document.querySelectorAll('thead button')].find((one) => one.title === argument).click();
  look();
})
"""


def of_lepton(server: Server, rounds: int) -> Mapping[str, list[float]]:
    """Milliseconds of each question, asked in a browser on the core of this process."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("Chromium is not there, so the page is not measured. On Debian: apt install chromium", flush=True)
        return {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        try:
            return _measure(browser, server, rounds)
        finally:
            browser.close()


def _measure(browser: Browser, server: Server, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each question."""
    address = f"http://127.0.0.1:{server.port}"
    page = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US").new_page()
    page.set_default_timeout(LONGEST_MS)
    with sdk.connect(address, server.token) as client:
        page.goto(client.create_sign_in_link().url)
    page.get_by_role("heading", name="Datasets", level=1).wait_for()
    columns = "%0A".join(f"metrics.m{n}" for n in range(4))

    def opened(query: str) -> None:
        page.goto(f"{address}/runs?columns={columns}{query}")
        page.locator('tr[aria-rowindex="2"]:not([aria-busy])').wait_for()

    opened("")
    questions: dict[str, Callable[[int], float]] = {
        "sort by a metric": lambda n: _click(page, f"m{n % 4}"),
        "filter by a metric and a param": lambda n: _send(
            page, f"metrics.m{4 + n % 46} < 0.01 and params.model = 'mlp'"
        ),
        "sort what is filtered": lambda n: _click(page, f"m{n % 4}"),
    }
    taken = {}
    for name, ask in questions.items():
        taken[name] = [ask(n) for n in range(rounds + 1)][1:]  # the first fills caches
    return taken


def _click(page: Page, column: str) -> float:
    return float(page.evaluate(_UNTIL_DRAWN, ["click", column, LONGEST_MS]))


def _send(page: Page, text: str) -> float:
    page.locator("form input").fill(text)
    return float(page.evaluate(_UNTIL_DRAWN, ["send", "", LONGEST_MS]))


def table(taken: Mapping[str, list[float]]) -> list[str]:
    """Lines of the table."""
    lines = ["| the page, over the same runs, ms | p50 | p95 |", "|---|---|---|"]
    for name, times in taken.items():
        ordered = sorted(times)
        lines.append(f"| {name} | {ordered[len(ordered) // 2]:.0f} | {ordered[int(len(ordered) * 0.95)]:.0f} |")
    return lines

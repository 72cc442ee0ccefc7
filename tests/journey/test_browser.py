"""From a CSV to a prediction by clicking, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey.journeys import CUSTOMER, Live, start
from playwright.sync_api import Browser, Page, expect, sync_playwright
from programs import CHROMIUM

SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SLOW_MS = 60_000
"""Runs take seconds; a busy machine several times that."""


@pytest.fixture(scope="module")  # not the session: its event loop would stay in this thread
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM.find(), args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, live: Live) -> Iterator[Page]:
    """A signed-in page; the test fails if the page logs an error or a request fails."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    with live.client() as client:
        page.goto(client.create_sign_in_link().url)
    expect(page.get_by_role("heading", name="Datasets", level=1)).to_be_visible()
    yield page
    context.close()
    assert wrong == []


def click(page: Page, name: str) -> None:
    """Click the one button of that name, in the dialog if one is open."""
    dialog = page.get_by_role("dialog")
    place = dialog if dialog.count() else page.get_by_role("main")
    place.get_by_role("button", name=name, exact=True).first.click()


def choose(page: Page, label: str, option: str) -> None:
    """Choose an option of a searchable select in the dialog."""
    field = page.get_by_role("dialog").get_by_role("combobox", name=label)
    field.click()
    page.get_by_role("option", name=option, exact=True).click()


def test_from_csv_to_prediction(page: Page, customers: Path) -> None:
    page.get_by_role("main").get_by_role("button", name="Import").first.click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("dialog").get_by_text("Drop a file here").click()
    chooser.value.set_files(customers)
    page.get_by_role("dialog").get_by_label("Name", exact=True).fill("clicked")
    click(page, "Import")
    expect(page.get_by_role("heading", name="clicked", level=1)).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("img", name="Histogram of income")).to_be_visible()

    click(page, "Clean")
    choose(page, "Column to predict later", "bought")
    click(page, "Start cleaning")
    expect(page.get_by_text("rows dropped that repeated an earlier one")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("combobox", name="Version")).to_have_value(re.compile("@2"))

    click(page, "Train")
    choose(page, "Target column", "bought")
    page.get_by_role("dialog").get_by_label("Workers").fill("2")
    click(page, "Start training")
    expect(page.get_by_text("held out").first).to_be_visible(timeout=SLOW_MS)  # the live log
    page.get_by_role("main").get_by_role("link", name=re.compile("clicked@1")).first.click(timeout=SLOW_MS)
    expect(page.get_by_role("heading", name="Lineage")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("group", name="Held-out metrics")).to_contain_text("ROC AUC")
    expect(page.get_by_role("heading", name="ROC curve")).to_be_visible()

    click(page, "Deploy")
    page.get_by_role("dialog").get_by_label("Endpoint name").fill("clicked")
    click(page, "Start endpoint")
    expect(page.get_by_text("Ready", exact=True).first).to_be_visible(timeout=SLOW_MS)
    page.get_by_label("age").fill(str(CUSTOMER["age"]))
    page.get_by_label("income").fill(str(CUSTOMER["income"]))
    click(page, "Predict")
    expect(page.get_by_role("status", name="Answer")).to_contain_text("yes")
    expect(page.get_by_role("group", name="How it does now")).to_contain_text("1 answered", timeout=SLOW_MS)
    expect(page.get_by_role("img", name="Requests a second")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("table", name="Drift")).to_contain_text("income", timeout=SLOW_MS)
    expect(page.get_by_text("Too few to judge: levels change from 500 rows on.")).to_be_visible()


def test_the_machines_of_an_endpoint_and_its_requests_are_on_its_page(
    chromium: Browser, customers: Path, tmp_path: Path
) -> None:
    live = start(
        tmp_path / "lepton", "sqlite", LEPTON_ENGINE="local://127.0.0.2,127.0.0.3", LEPTON_REQUEST_LOG_ONE_IN="1"
    )
    try:
        with live.client() as client:
            client.datasets.import_(customers, name="customers")
            client.models.train("buyers", dataset="customers", target="bought")
            live.cli("endpoints", "deploy", "shop", "--model", "buyers@1", "--replicas", "2")
            for _ in range(5):
                client.endpoints.predict("shop", CUSTOMER)
            shown = live.cli("endpoints", "get", "shop").stdout
            assert "Replicas: 2" in shown
            page = chromium.new_page(viewport={"width": 1280, "height": 900}, locale="en-US")
            page.goto(client.create_sign_in_link().url)
        expect(page.get_by_role("heading", name="Datasets", level=1)).to_be_visible()
        page.goto(f"{live.address['url']}/endpoints/shop")
        machines = page.get_by_role("table", name="Machines")
        for address in ("127.0.0.2", "127.0.0.3"):
            expect(machines.get_by_role("row", name=address)).to_contain_text("Ready", timeout=SLOW_MS)
        log = page.get_by_role("table", name="Requests")
        expect(page.get_by_role("group", name="How it does now")).to_contain_text("5 answered", timeout=SLOW_MS)
        click(page, "Look again")
        expect(log.get_by_role("row", name=re.compile("buyers@1")).first).to_contain_text(
            "income 88,000", timeout=SLOW_MS
        )
        page.screenshot(path=tmp_path / "endpoint.png", full_page=True)
        page.close()
    finally:
        live.cli("down")


def test_a_whole_dataset_is_predicted_by_clicking(page: Page, live: Live, customers: Path) -> None:
    with live.client() as client:
        client.datasets.import_(customers, name="many")
        client.models.train("buyers", dataset="many", target="bought")
    page.goto(f"{live.address['url']}/models/buyers")
    click(page, "Predict")
    choose(page, "Dataset", "many@1")
    click(page, "Start predicting")
    expect(page.get_by_role("heading", name="many-buyers", level=1)).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("article", name="prediction", exact=True)).to_be_visible()
    page.goto(f"{live.address['url']}/models/buyers")
    expect(page.get_by_role("link", name="Dataset many-buyers@1")).to_be_visible()


def test_a_dataset_is_split_and_its_model_evaluated_by_clicking(page: Page, live: Live, customers: Path) -> None:
    with live.client() as client:
        client.datasets.import_(customers, name="halves")
    page.goto(f"{live.address['url']}/datasets/halves")
    click(page, "Split")
    click(page, "Start splitting")
    expect(page.get_by_role("heading", name="halves-train", level=1)).to_be_visible(timeout=SLOW_MS)
    with live.client() as client:
        client.models.train("halved", dataset="halves-train", target="bought")
    page.goto(f"{live.address['url']}/models/halved")
    click(page, "Evaluate")
    choose(page, "Dataset", "halves-test@1")
    click(page, "Start evaluation")
    expect(page.get_by_role("table", name="Evaluations")).to_contain_text("halves-test@1", timeout=SLOW_MS)
    expect(page.get_by_role("heading", name="halved", level=1)).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_canary_is_started_promoted_and_taken_back_by_clicking(page: Page, live: Live, customers: Path) -> None:
    with live.client() as client:
        client.datasets.import_(customers, name="rolled")
        for seed in (1, 2):
            client.models.train("rolled", dataset="rolled", target="bought", seed=seed)
        client.endpoints.deploy("rolled", model="rolled@1")
    page.goto(f"{live.address['url']}/models/rolled@2")
    click(page, "Deploy")
    page.get_by_role("dialog").get_by_text("A share", exact=True).click()
    page.get_by_role("dialog").get_by_label("Percent of the requests").fill("25")
    click(page, "Start endpoint")
    rollout = page.get_by_role("table", name="Rollout")
    expect(rollout.get_by_role("img", name="rolled@2 answers 25% of the requests")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("Ready", exact=True).first).to_be_visible(timeout=SLOW_MS)
    click(page, "Promote rolled@2")
    expect(rollout.get_by_role("img", name="rolled@2 answers 100% of the requests")).to_be_visible(timeout=SLOW_MS)
    click(page, "Roll back to rolled@1")
    expect(page.get_by_role("region", name="Rollout")).to_be_hidden(timeout=SLOW_MS)
    with live.client() as client:
        assert client.endpoints.get("rolled").model == "rolled@1"


def test_personal_columns_are_masked_for_who_may_not_read_them(
    page: Page, chromium: Browser, live: Live, customers: Path
) -> None:
    with live.client() as client:
        client.datasets.import_(customers, name="private", personal=["city"])
        client.users.create("vera", role="viewer", password="correct horse battery staple")
    context = chromium.new_context(locale="en-US")
    viewer = context.new_page()
    viewer.goto(f"{live.address['url']}/sign-in")
    viewer.get_by_role("textbox", name="Name").fill("vera")
    viewer.get_by_role("textbox", name="Password").fill("correct horse battery staple")
    viewer.get_by_role("button", name="Sign in").click()
    expect(viewer.get_by_role("heading", name="Datasets", level=1)).to_be_visible()
    for person, sees in ((page, True), (viewer, False)):
        person.goto(f"{live.address['url']}/datasets/private?tab=rows")
        table = person.get_by_role("tabpanel").get_by_role("table")
        expect(table).to_be_visible()
        assert ("Porto" in table.inner_text()) is sees
    context.close()


def test_the_page_speaks_chinese_and_keeps_dark_and_language(page: Page) -> None:
    page.get_by_role("button", name="Account and preferences").click()
    page.get_by_text("简体中文").click()
    expect(page.get_by_role("heading", name="数据集", level=1)).to_be_visible()
    page.get_by_role("radio", name="深色").press("Space")
    page.reload()
    expect(page.get_by_role("heading", name="数据集", level=1)).to_be_visible()
    assert page.locator("html").get_attribute("data-mantine-color-scheme") == "dark"


def test_the_audit_log_is_filtered_to_the_line_that_matters(page: Page, live: Live) -> None:
    with live.client() as client:
        client.projects.create("attic")
        client.datasets.list()
    page.goto(f"{live.address['url']}/access?tab=audit")
    lines = page.get_by_role("table", name="Audit").get_by_role("row")
    expect(lines.filter(has_text="datasets.list").first).to_be_visible()
    page.get_by_role("switch", name="Only changes").press("Space")
    expect(lines.filter(has_text="datasets.list")).to_have_count(0)
    page.get_by_role("textbox", name="Did").fill("projects")
    expect(lines.filter(has_text="attic")).to_have_count(1)
    page.get_by_role("textbox", name="Who").fill("nobody")
    expect(page.get_by_text("No such lines")).to_be_visible()


def test_nobody_gets_in_without_signing_in(chromium: Browser, live: Live) -> None:
    context = chromium.new_context(locale="en-US")
    page = context.new_page()
    page.goto(f"{live.address['url']}/datasets")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.goto(f"{live.address['url']}/sign-in?code=lpc_wrong")
    expect(page.get_by_text(re.compile("link", re.IGNORECASE)).first).to_be_visible()
    context.close()

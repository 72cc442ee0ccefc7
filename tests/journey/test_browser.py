"""From a CSV to a prediction by clicking, in a real Chromium."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
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
def page(quiet_page: Page) -> Iterator[Page]:
    """A signed-in page; the test fails if the page logs an error or a request fails."""
    wrong: list[str] = []
    quiet_page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    yield quiet_page
    assert wrong == []


@pytest.fixture
def quiet_page(chromium: Browser, live: Live) -> Iterator[Page]:
    """A signed-in page on which the platform may refuse something."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
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
            client.datasets.import_(customers, name="customers", personal=["city"])
            seen = ["age", "income", "sex", "city"]
            client.models.train("buyers", dataset="customers", target="bought", features=seen)
            live.cli("endpoints", "deploy", "shop", "--model", "buyers@1")
            page = chromium.new_page(viewport={"width": 1280, "height": 900}, locale="en-US")
            page.goto(client.create_sign_in_link().url)
            expect(page.get_by_role("heading", name="Datasets", level=1)).to_be_visible()
            page.goto(f"{live.address['url']}/models/buyers")
            click(page, "Deploy")
            page.get_by_role("dialog").get_by_label("Endpoint name").fill("shop")
            page.get_by_role("dialog").get_by_label("Machines").fill("2")
            click(page, "Start endpoint")
            expect(page.get_by_role("table", name="Machines")).to_be_visible(timeout=SLOW_MS)
            for _ in range(5):
                client.endpoints.predict("shop", CUSTOMER)
            shown = live.cli("endpoints", "get", "shop").stdout
            assert "Replicas: 2" in shown
        machines = page.get_by_role("table", name="Machines")
        for address in ("127.0.0.2", "127.0.0.3"):
            expect(machines.get_by_role("row", name=address)).to_contain_text("Ready", timeout=SLOW_MS)
        log = page.get_by_role("table", name="Requests")
        expect(page.get_by_role("group", name="How it does now")).to_contain_text("5 answered", timeout=SLOW_MS)
        click(page, "Look again")
        kept = log.get_by_role("row", name=re.compile("buyers@1")).first
        expect(kept).to_contain_text("income 88,000", timeout=SLOW_MS)
        expect(kept.get_by_role("img", name="••••")).to_be_visible()
        kept.get_by_role("button", name=re.compile("The request of")).click()
        whole = log.get_by_role("row").filter(has_text="Answer · bought")
        expect(whole.get_by_role("definition")).to_have_count(5)
        expect(whole.get_by_role("img", name="••••")).to_have_count(1)
        assert str(CUSTOMER["city"]) not in log.inner_text()
        page.screenshot(path=tmp_path / "endpoint.png", full_page=True)
        page.goto(f"{live.address['url']}/models/buyers")
        click(page, "Deploy")
        page.get_by_role("dialog").get_by_label("Endpoint name").fill("guest")
        page.get_by_role("dialog").get_by_role("combobox", name="Replica").click()
        page.get_by_role("option", name="That of shop").click()
        expect(page.get_by_role("dialog").get_by_label("Machines")).to_have_count(0)
        click(page, "Start endpoint")
        expect(page.get_by_text("Shares the replica of")).to_be_visible(timeout=SLOW_MS)
        expect(page.get_by_text("Ready", exact=True).first).to_be_visible(timeout=SLOW_MS)
        page.close()
    finally:
        live.cli("down")


def test_a_request_log_without_requests_says_why_and_who_may_not_read_it_is_told(
    page: Page, chromium: Browser, live: Live, customers: Path
) -> None:
    with live.client() as client:
        client.datasets.import_(customers, name="asked")
        client.models.train("asked", dataset="asked", target="bought")
        client.endpoints.deploy("asked", model="asked@1")
        client.users.create("olga", role="viewer", password="correct horse battery staple")
    page.goto(f"{live.address['url']}/endpoints/asked")
    requests = page.get_by_role("region", name="Requests")
    expect(requests.get_by_text("No request was kept yet")).to_be_visible(timeout=SLOW_MS)
    expect(requests.get_by_text("LEPTON_REQUEST_LOG_ONE_IN in the platform's environment")).to_be_visible()
    viewer = chromium.new_context(locale="en-US").new_page()
    viewer.goto(f"{live.address['url']}/sign-in")
    viewer.get_by_role("textbox", name="Name").fill("olga")
    viewer.get_by_role("textbox", name="Password").fill("correct horse battery staple")
    viewer.get_by_role("button", name="Sign in").click()
    expect(viewer.get_by_role("heading", name="Datasets", level=1)).to_be_visible()
    viewer.goto(f"{live.address['url']}/endpoints/asked")
    expect(viewer.get_by_role("region", name="Requests")).to_contain_text("Your role does not read the requests")
    expect(viewer.get_by_role("alert")).to_have_count(0)
    viewer.goto(f"{live.address['url']}/models")
    expect(viewer.get_by_role("link", name="asked", exact=True)).to_be_visible()
    expect(viewer.get_by_role("button", name="Register")).to_have_count(0)
    viewer.context.close()


RULES = """
import numpy as np

class Model:
    def load(self, folder):
        self.rate = float(open(f"{folder}/rate.txt").read())

    def predict(self, batch):
        late = (batch["days_late"] > self.rate) * 1.0
        return np.column_stack([1 - late, late])
"""


def test_code_of_ones_own_is_registered_by_clicking_and_answers(quiet_page: Page, live: Live, tmp_path: Path) -> None:
    page = quiet_page
    (tmp_path / "rules.py").write_text(RULES)
    (tmp_path / "rate.txt").write_text("30")
    page.goto(f"{live.address['url']}/models")
    click(page, "Register")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("File", exact=True).set_input_files([tmp_path / "rules.py", tmp_path / "rate.txt"])
    expect(dialog.get_by_text("kept as model.py")).to_be_visible()
    expect(dialog.get_by_label("Model name")).to_have_value("rules")
    dialog.get_by_label("Target").fill("left")
    dialog.get_by_label("Columns").fill("days_late: number\ncity: place")
    click(page, "Register")
    expect(dialog.get_by_role("alert")).to_contain_text("names its 2 to 1,000 classes")
    for name in ("no", "yes"):
        dialog.get_by_role("combobox", name="Classes").fill(name)
        page.keyboard.press("Enter")
    click(page, "Register")
    expect(dialog.get_by_role("alert")).to_contain_text("The type of input 2 of the signature must be one of")
    dialog.get_by_label("Columns").fill("days_late: number\ncity: text")
    click(page, "Register")
    expect(page.get_by_role("heading", name="rules", level=1)).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("table", name="Signature")).to_contain_text("days_late")
    expect(page.get_by_role("button", name="Export ONNX")).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)
    click(page, "Deploy")
    page.get_by_role("dialog").get_by_label("Endpoint name").fill("rules")
    click(page, "Start endpoint")
    expect(page.get_by_text("Ready", exact=True).first).to_be_visible(timeout=SLOW_MS)
    page.get_by_label("days_late").fill("45")
    click(page, "Predict")
    expect(page.get_by_role("status", name="Answer")).to_contain_text("yes", timeout=SLOW_MS)


def test_a_server_with_the_openai_api_is_registered_by_clicking(page: Page, live: Live) -> None:
    page.goto(f"{live.address['url']}/models")
    click(page, "Register")
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("OpenAI server", exact=True).click()
    dialog.get_by_label("Address").fill("http://127.0.0.1:8000/v1")
    dialog.get_by_label("Key of the server").fill("planted-key")
    dialog.get_by_label("Model name").fill("chat")
    click(page, "Register")
    expect(page.get_by_role("heading", name="chat", level=1)).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("Server with the OpenAI API").first).to_be_visible()
    assert "planted-key" not in page.content()


def test_what_is_not_there_is_said_without_a_command_of_the_terminal(quiet_page: Page, live: Live) -> None:
    quiet_page.goto(f"{live.address['url']}/models/nobody")
    expect(quiet_page.get_by_role("alert")).to_contain_text("There is no model 'nobody' in project 'default'.")
    expect(quiet_page.get_by_role("alert")).not_to_contain_text("lepton models")


def test_a_wide_model_keeps_its_form_and_its_drift_short(page: Page, live: Live, tmp_path: Path) -> None:
    draw = random.Random(11)
    names = [f"sensor_{number:03}" for number in range(120)]
    rows = [[draw.gauss(0, 1) for _ in names] for _ in range(200)]
    lines = [",".join([*names, "power"]), *(",".join(f"{value:.3f}" for value in [*row, sum(row[:3])]) for row in rows)]
    (tmp_path / "wide.csv").write_text("\n".join(lines))
    with live.client() as client:
        client.datasets.import_(tmp_path / "wide.csv", name="wide")
        client.models.train("wide", dataset="wide", target="power")
        client.endpoints.deploy("wide", model="wide@1")
        client.endpoints.predict("wide", [dict(zip(names, row, strict=True)) for row in rows])
    page.goto(f"{live.address['url']}/endpoints/wide")
    form, drift = page.get_by_role("region", name="Try it"), page.get_by_role("region", name="Drift").first
    expect(form.get_by_placeholder("missing")).to_have_count(16)
    form.get_by_role("textbox", name="Find a column").fill("sensor_119")
    expect(form.get_by_placeholder("missing")).to_have_count(1)
    lines_of = drift.get_by_role("table").get_by_role("row")
    expect(lines_of).to_have_count(1 + 8, timeout=SLOW_MS)
    click(page, "Show all 120 columns")
    expect(lines_of).to_have_count(1 + 120)
    drift.get_by_role("textbox", name="Find a column").fill("SENSOR_07")
    expect(lines_of).to_have_count(1 + 10)
    above, below = form.bounding_box(), drift.bounding_box()
    assert above is not None
    assert below is not None
    assert above["y"] < below["y"]


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


def test_the_queue_says_why_a_run_waits_and_a_quota_is_changed_by_clicking(
    page: Page, live: Live, customers: Path
) -> None:
    with live.client() as client:
        client.projects.create("lab")
    with live.client(project="lab") as lab:
        lab.runs.limit(running=0, cpus=3)
        run = lab.datasets.import_(customers, wait=False)
        page.reload()
        page.get_by_role("link", name="Compute").click()
        row = page.get_by_role("table", name="Queue").get_by_role("row").filter(has_text=run.id)
        expect(row).to_contain_text("it asks for 1 runs and the project's quota is 0")
        project = page.get_by_role("table", name="Projects").get_by_role("row").filter(has_text="lab")
        expect(project).to_contain_text("0 / 0")
        expect(project).to_contain_text("0 / 3")
        project.get_by_role("button", name="Quota").click()
        page.get_by_role("dialog").get_by_role("textbox", name="Runs at a time").fill("")
        click(page, "Save")
        expect(project).not_to_contain_text("0 / 0")
        expect(page.get_by_text("No run waits.")).to_be_visible(timeout=SLOW_MS)
        lab.runs.wait(run.id)
        assert lab.runs.quota().running is None
        assert lab.runs.quota().cpus == 3

        lab.runs.schedule(run.id, "@daily")
        page.reload()
        page.get_by_role("combobox", name="Project").click()
        page.get_by_role("option", name="lab").click()
        schedules = page.get_by_role("table", name="Schedules")
        expect(schedules).to_contain_text("@daily")
        schedules.get_by_role("button", name="End the schedule @daily").click()
        click(page, "Delete")
        expect(schedules).to_have_count(0)
        assert lab.runs.schedules() == []


def test_a_run_that_was_recorded_elsewhere_is_found_and_shows_its_files(page: Page, live: Live) -> None:
    dot = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018"
        "dd8db00000000049454e44ae426082"
    )  # one red pixel as PNG
    with live.client() as client:
        run = client.runs.create(params={"lr": "0.5", "model": "mlp"}, tags={"team": "blue"})
        points = [{"key": "loss", "step": step, "value": 1 / step} for step in range(1, 9)]
        client.runs.track(run.id, {"client": "here", "batch": 1, "metrics": points})
        client.runs.put_artifact(run.id, "plots/a dot.png", dot)
        client.runs.put_artifact(run.id, "notes.txt", b"so it went")
        client.runs.end(run.id)
        other = client.runs.create(params={"model": "linear"})
        client.runs.end(other.id)
    page.goto(f"{live.address['url']}/runs")
    search = page.get_by_role("textbox", name="Search")
    search.fill("metrics.loss < 0.2 and params.model = 'mlp'")
    search.press("Enter")
    table = page.get_by_role("table", name="Runs")
    expect(table.get_by_role("row").filter(has_text=run.id)).to_be_visible()
    expect(table.get_by_role("row").filter(has_text=other.id)).to_have_count(0)
    table.get_by_role("link", name="Recorded run").click()
    expect(page.get_by_role("img", name="plots/a dot.png")).to_be_visible()
    expect(page.get_by_text("blue")).to_be_visible()
    with page.expect_download() as waited:
        page.get_by_role("button", name="Take out notes.txt").click()
    assert waited.value.path().read_bytes() == b"so it went"


def test_files_of_a_model_that_nothing_opens_are_called_so(page: Page, live: Live) -> None:
    url, token = live.address["url"], live.address["token"]
    with httpx2.Client(base_url=f"{url}/api/2.0", headers={"Authorization": f"Bearer {token}"}) as mlflow:
        run = mlflow.post("/mlflow/runs/create", json={"run_name": "iris"}).json()["run"]["info"]["run_id"]
        mlflow.put(f"/mlflow-artifacts/artifacts/{run}/model/model.pkl", content=b"never opened").raise_for_status()
        mlflow.post("/mlflow/registered-models/create", json={"name": "Iris Model"}).raise_for_status()
        source = {"name": "Iris Model", "source": f"runs:/{run}/model", "run_id": run}
        mlflow.post("/mlflow/model-versions/create", json=source).raise_for_status()
    page.goto(f"{url}/#/experiments/0/runs/{run}")  # as MLflow's client prints it
    expect(page).to_have_url(f"{url}/runs/{run}")
    expect(page.get_by_text("model/model.pkl")).to_be_visible()
    expect(page.get_by_text("never opened here")).to_be_visible()
    page.goto(f"{url}/models/iris-model@1")
    expect(page.get_by_text("This version cannot be deployed")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("button", name="Delete")).to_be_visible()
    for name in ("Deploy", "Evaluate", "Predict", "ONNX"):
        expect(page.get_by_role("main").get_by_role("button", name=name)).to_have_count(0)
    page.get_by_role("link", name="Models").first.click()
    expect(page.get_by_role("row").filter(has_text="iris-model")).to_contain_text("Files only")


def test_what_a_search_found_is_drawn_on_the_page_of_its_model(page: Page, live: Live, customers: Path) -> None:
    with live.client() as client:
        if "searched" not in {dataset.name for dataset in client.datasets.list()}:
            client.datasets.import_(customers, name="searched")
        few = {"candidates": "linear,products", "trials": 1, "folds": 3}
        seen = ["age", "income", "city"]
        client.models.train(
            "searched", dataset="searched", target="bought", recipe="auto", budget_s=300, params=few, features=seen
        )
    page.goto(f"{live.address['url']}/models/searched")
    expect(page.get_by_role("list", name="In words")).to_contain_text("of the answers were right", timeout=SLOW_MS)
    board = page.get_by_role("table", name="Candidates")
    expect(board.get_by_role("row")).to_have_count(3)
    expect(board).to_contain_text("100%")
    matters = page.get_by_role("list", name="What matters").get_by_role("listitem")
    expect(matters).to_have_count(3)
    expect(page.get_by_role("table", name="How sure")).to_contain_text("50% – 60%")
    expect(page.get_by_role("heading", name="Where it fails")).to_be_visible()

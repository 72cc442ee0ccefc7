"""Every verb of the SDK against the real platform: what it sends is understood, and so is what comes back."""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from endpoints.fake_openai import fake_openai

import lepton
from lepton.client.endpoints import Limits
from lepton.client.transport import Transport
from lepton.core.errors import Conflict, Forbidden, InvalidInput, NotFound, RunFailed, Unauthenticated

LINES = ["age;city;bought"] + [
    f"{age};{'Bern' if age % 3 else 'Graz'};{'yes' if age > 45 else 'no'}" for age in range(18, 78)
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verbs") / "home"


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[lepton.Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LEPTON_CATALOG", raising=False)
        with lepton.open(home) as opened:
            yield opened


@pytest.fixture(scope="module")
def people(client: lepton.Client) -> lepton.DatasetDetail:
    """A dataset of two versions: one as imported, with a broken line, one cleaned."""
    text = "\n".join([*LINES, "broken", "31;Bern;no"]) + "\n"
    client.datasets.import_(io.BytesIO(text.encode()), name="people", personal=["city"])
    return client.datasets.clean("people", {"steps": [{"step": "drop_duplicates"}]}, target="bought")


def test_who_one_is(client: lepton.Client) -> None:
    assert client.health().version == lepton.__version__
    me = client.me()
    assert (me.user.name, me.is_admin) == ("owner", True)
    assert "datasets.import" in me.projects[0].actions
    assert client.create_sign_in_link().url.startswith(client.url)


def test_users_tokens_projects_and_the_audit_log(client: lepton.Client) -> None:
    ada = client.users.create("ada", role="viewer", password="a long enough pass phrase")
    assert (ada.role, ada.has_password) == ("viewer", True)
    assert client.users.update("ada", role="editor").role == "editor"
    assert {user.name for user in client.users.list()} == {"owner", "ada"}
    client.users.delete("ada")
    with pytest.raises(NotFound):
        client.users.delete("ada")

    token = client.tokens.create("shop", scopes=["endpoints.predict"], expires_in_s=60)
    assert token.secret is not None
    assert token.secret.startswith(token.prefix)
    with lepton.connect(client.url, token.secret) as shop, pytest.raises(Forbidden):
        shop.datasets.list()
    listed = next(t for t in client.tokens.list() if t.id == token.id)
    assert (listed.scopes, listed.secret) == (("endpoints.predict",), None)
    client.tokens.delete(token.id)
    with lepton.connect(client.url, token.secret) as shop, pytest.raises(Unauthenticated):
        shop.me()

    assert client.projects.create("research").name == "research"
    assert {project.name for project in client.projects.list()} >= {"default", "research"}
    with lepton.connect(client.url, _token(client), project="research") as research:
        assert research.datasets.list() == []
    actions = [entry.action for entry in client.audit.list(limit=50)]
    assert {"users.create", "users.delete", "tokens.create", "projects.create"} <= set(actions)
    changed = {entry.action for entry in client.audit.list(actor="owner", changes=True)}
    assert "users.create" in changed
    assert not {"users.list", "audit.list"} & changed
    denied = client.audit.list(action="datasets", outcome="denied", limit=1)
    assert [(entry.action, entry.outcome) for entry in denied] == [("datasets.list", "denied")]


def test_datasets(client: lepton.Client, people: lepton.DatasetDetail, tmp_path: Path) -> None:
    assert (people.ref, people.rows, people.parent) == ("people@2", 60, "people@1")
    assert [column.column_class for column in people.schema] == ["plain", "personal", "plain"]
    (listed,) = (item for item in client.datasets.list() if item.name == "people")
    assert [version.ref for version in listed.versions] == ["people@2", "people@1"]
    profile = client.datasets.profile("people@1", target="bought")
    assert profile.duplicate_rows == 1
    assert profile.suggested_recipe is not None
    age = profile.columns[0]
    assert age.histogram is not None
    assert sum(age.histogram.counts) == 61
    report = client.datasets.report("people@1")
    assert (report.rejected_total, report.rejected[0].line) == (1, 62)
    assert report.detected is not None
    assert report.detected["separator"] == ";"
    assert client.datasets.report("people").steps[0].rows_after == 60
    rows = client.datasets.rows("people", offset=1, limit=2)
    assert rows.records()[0] == {"age": 19, "city": "Bern", "bought": "no"}
    assert rows.total == 60
    for format_ in ("csv", "parquet", "jsonl"):
        assert client.datasets.export("people", tmp_path / format_, format=format_).size_bytes > 100
    assert client.datasets.read("people", columns=["age", "bought"], rows=(10, 15)).shape == (5, 2)
    assert [block.shape for block in client.datasets.blocks("people", columns=["age"], rows=(10, 15))] == [(5, 1)]
    parts = client.datasets.split("people", {"train": 0.75, "test": 0.25}, stratify="bought")
    assert [(part.ref, part.rows) for part in parts] == [("people-train@1", 45), ("people-test@1", 15)]
    client.datasets.delete("people-test")
    with pytest.raises(NotFound):
        client.datasets.get("people-test")


def test_runs(client: lepton.Client, people: lepton.DatasetDetail) -> None:
    run = client.datasets.clean(people.ref, {"steps": [{"step": "drop_missing"}]}, wait=False)
    told = [line.text for line in client.runs.logs(run.id, follow=True)]
    ended = client.runs.wait(run.id)
    assert client.runs.get(run.id) == ended
    assert ended.made("dataset") == ["people@3"]
    page = client.runs.logs(run.id)
    assert page.ended
    assert [line.text for line in page.lines] == told
    assert client.runs.metrics(run.id).values("nothing") == []
    assert run.id in [listed.id for listed in client.runs.list(state="succeeded")]
    outside = client.runs.create(name="by hand", params={"lr": "0.1"})
    batch = {"client": "me", "batch": 1, "metrics": [{"key": "loss", "value": 0.5, "step": 3}]}
    assert client.runs.track(outside.id, batch).is_new
    assert not client.runs.track(outside.id, batch).is_new
    tracked = client.runs.tracked(outside.id)
    assert (tracked.params, tracked.tags, tracked.metrics[0].last_value) == ({"lr": "0.1"}, {"name": "by hand"}, 0.5)
    (found,) = client.runs.list(filter="params.lr = 0.1", columns=["metrics.loss", "tags.*"])
    assert found.columns == {"metrics.loss": 0.5, "tags.name": "by hand"}
    assert client.runs.metrics(outside.id, "loss", points=2).values("loss") == [0.5]
    client.runs.end(outside.id)
    assert client.runs.get(outside.id).state == "succeeded"
    assert client.runs.put_artifact(run.id, "notes/a.txt", b"text").size_bytes == 4
    assert [artifact.path for artifact in client.runs.artifacts(run.id)] == ["notes/a.txt"]
    assert client.runs.get_artifact(run.id, "notes/a.txt") == b"text"
    assert client.runs.download(run.id, "notes/a.txt", io.BytesIO()).size_bytes == 4
    with pytest.raises(Conflict):
        client.runs.cancel(run.id)
    with pytest.raises((RunFailed, InvalidInput), match="empty"):
        client.datasets.import_(io.BytesIO(b""), name="nothing")
    failed = client.runs.list(state="failed")
    if failed:
        with pytest.raises(RunFailed):
            client.runs.wait(client.runs.retry(failed[0].id).id)


def test_code_of_ones_own_becomes_a_model_that_answers(client: lepton.Client, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(
        "import rules\n\nclass Model:\n    def load(self, folder):\n        self.rate = rules.RATE\n\n"
        "    def predict(self, batch):\n        return batch['area'] * self.rate\n"
    )
    (tmp_path / "rules.py").write_text("RATE = 3.0\n")
    signature = {"task": "regression", "target": "price", "inputs": [{"name": "area", "type": "number"}]}
    model = client.models.register("rules", code=tmp_path, signature=signature)
    assert (model.ref, model.recipe, model.dataset, model.task) == ("rules@1", "python", "", "regression")
    assert [node.kind for node in client.models.lineage("rules").nodes] == ["model"]
    with pytest.raises(InvalidInput, match="behind an endpoint only"):
        client.models.export("rules@1", tmp_path / "rules.onnx")
    client.endpoints.deploy("rules", model="rules@1")
    assert [p.value for p in client.endpoints.predict("rules", [{"area": 7.0}, {"area": 2.0}])] == [21.0, 6.0]
    client.endpoints.delete("rules")
    client.models.delete("rules")


def test_a_server_with_the_openai_api_answers_behind_an_endpoint(client: lepton.Client, tmp_path: Path) -> None:
    with fake_openai() as fake:
        where = tmp_path / "openai.json"
        where.write_text(json.dumps({"base_url": fake.base_url, "api_key": "upstream-key"}))
        assert client.models.register("llm", code=where).task == "generation"
        endpoint = client.endpoints.deploy("llm", model="llm@1")
        assert endpoint.url is not None
        address = endpoint.url.partition("/predict")[0] + "/v1"
        headers = {"Authorization": f"Bearer {_token(client)}"}
        chat = {"model": "small", "messages": [{"role": "user", "content": "abc"}]}
        answer = httpx2.post(f"{address}/chat/completions", json=chat, headers=headers)
        assert answer.json()["choices"][0]["message"]["content"] == "cba"
        with pytest.raises(NotFound, match="OpenAI"):
            client.endpoints.predict("llm", [{"a": 1}])
        client.endpoints.delete("llm")
        client.models.delete("llm")


def test_models_and_endpoints(client: lepton.Client, people: lepton.DatasetDetail, tmp_path: Path) -> None:
    model = client.models.train("buyers", dataset=people.ref, target="bought", features=["age", "city"], seed=1)
    assert (model.task, model.dataset) == ("classification", people.ref)
    assert [column.name for column in model.signature.inputs] == ["age", "city"]
    assert client.runs.metrics(model.run_id).values("loss")
    assert client.models.evaluate("buyers", dataset="people").dataset.startswith("people@")
    assert len(client.models.get(model.ref).evaluations) == 1
    predicted = client.models.predict("buyers", dataset="people@2")
    assert (predicted.ref, predicted.rows, predicted.parent) == ("people-buyers@1", 60, "people@2")
    assert [column.name for column in predicted.schema][3:] == ["prediction", "probability_no", "probability_yes"]
    assert {column.column_class for column in predicted.schema[3:]} == {"personal"}  # as "city" is, which it learned
    assert client.datasets.report(predicted.ref).steps[0].summary == "3 columns added by a model"
    assert "dataset:people-buyers@1" in [node.id for node in client.models.lineage("buyers").nodes]
    listed = {found.name: found for found in client.models.list()}
    assert listed["buyers"].versions[0].ref == "buyers@1"
    assert {"dataset", "run", "model"} <= {node.kind for node in client.models.lineage("buyers").nodes}
    proposed = client.models.propose("people@2", target="city")
    assert (proposed.task, proposed.proposals[0].recipe) == ("classification", "logistic_regression")
    assert proposed.proposals[0].command.startswith("lepton models train NAME --dataset people@2 --target city")
    card = client.models.scorecard("buyers", pdo=20, base=600, odds=50, good="yes")
    assert {line.column for line in card.lines} == {"age", "city"}
    assert card.to_csv().splitlines()[1] == f",start,{card.start:.6g}"
    written = client.models.export("buyers", tmp_path / "m.onnx")
    assert written.size_bytes == (tmp_path / "m.onnx").stat().st_size

    endpoint = client.endpoints.deploy("buyers", model="buyers")
    assert client.endpoints.get("buyers").signature == endpoint.signature
    assert [e.name for e in client.endpoints.list()] == ["buyers"]
    answers = client.endpoints.predict("buyers", [{"age": 70, "city": "Bern"}, {"age": 20, "city": None}])
    assert [answer.label for answer in answers] == ["yes", "no"]
    client.endpoints.deploy("buyers", model="buyers@1", limits=Limits(max_rate=1000))
    with pytest.raises(Conflict, match="no canary, and no version before buyers@1"):
        client.endpoints.rollback("buyers")
    stranger = Transport((endpoint.url or "").partition("/predict")[0], None)
    with pytest.raises(Unauthenticated):
        stranger.send("POST", "/predict/buyers", json=[{"age": 70, "city": "Bern"}])
    stranger.close()
    assert client.endpoints.metrics("buyers").deployments[0].model == "buyers@1"
    assert isinstance(client.endpoints.logs("buyers"), list)
    followed = client.endpoints.metrics("buyers", follow=True)
    assert next(followed).name == "buyers"
    client.endpoints.delete("buyers")
    assert {found.name for found in followed} <= {"buyers"}  # and that it ends, as there is nothing left to tell of
    client.models.delete("buyers@1")
    assert "buyers" not in [found.name for found in client.models.list()]


def test_tuning_and_studies(client: lepton.Client, people: lepton.DatasetDetail) -> None:
    run = client.models.tune(
        "tuned", dataset=people.ref, target="bought", search={"l2": [0.1, 10.0]}, sampler="grid", features=["age"],
        recipe="logistic_regression", wait=False,
    )  # fmt: skip
    assert run.params["study"] == "tuned"
    client.runs.cancel(run.id)
    with pytest.raises(RunFailed):
        client.runs.wait(run.id)
    entry = {"op_code": 0, "worker_id": "w", "study_name": "mine", "directions": [2]}
    page = json.loads(client.models.append_journal("mine", "first", [json.dumps(entry)]))
    assert json.loads(client.models.append_journal("mine", "first", [json.dumps(entry)])) == page
    assert (
        page
        == json.loads(client.models.read_journal("mine"))
        == {"entries": [json.dumps(entry)], "next": 1, "total": 1}
    )
    assert "mine" in [study.name for study in client.models.studies()]
    study = client.models.study("mine")
    assert (study.directions, study.trials, study.best_trial) == (("maximize",), (), None)
    assert "0 trials" in study.to_html()
    client.models.forget("mine")
    with pytest.raises(NotFound, match="no study 'mine'"):
        client.models.study("mine")


def test_a_command_of_ones_own(client: lepton.Client, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text("print('hello')")
    run = client.runs.submit(["python", "hello.py"], folder=tmp_path, name="hello")
    assert "hello" in [line.text for line in client.runs.logs(run.id, follow=True)]
    assert client.runs.wait(run.id).params == {"command": "python hello.py", "name": "hello"}
    again = client.runs.submit(like=run.id, name="again")
    assert client.runs.wait(again.id).params == {"command": "python hello.py", "name": "again"}


def test_every_verb_is_in_this_file(client: lepton.Client) -> None:
    said = Path(__file__).read_text()
    for noun in ("datasets", "labels", "runs", "models", "endpoints", "projects", "users", "tokens", "audit"):
        for verb, _ in inspect.getmembers(getattr(client, noun), inspect.ismethod):
            # evaluation() and endpoints.wait() are halves of evaluate() and deploy().
            if not verb.startswith("_") and (noun, verb) not in {("models", "evaluation"), ("endpoints", "wait")}:
                assert f"client.{noun}.{verb}(" in said, f"{noun}.{verb}"
    assert client.labels.list() == []


def _token(client: lepton.Client) -> str:
    return str(client.transport._http.headers["Authorization"]).removeprefix("Bearer ")


def test_the_queue_its_quotas_and_what_is_repeated(client: lepton.Client, people: lepton.DatasetDetail) -> None:
    (run, *_) = client.runs.list(limit=1)
    queue = client.runs.queue()
    assert queue.machines[0].cpus >= 2
    assert {one.project for one in queue.projects} >= {"default"}
    assert client.runs.quota().cpus is None
    assert client.runs.limit(cpus=100, memory_mb=1 << 20).cpus == 100
    assert client.runs.quota().memory_mb == 1 << 20
    with pytest.raises(InvalidInput, match="0 or more"):
        client.runs.limit(hours=-1)
    assert client.runs.limit().cpus is None
    made = client.runs.schedule(run.id, "0 3 1 1 *", timezone="Asia/Shanghai")
    assert [one.id for one in client.runs.schedules()] == [made.id]
    client.runs.unschedule(made.id)
    assert client.runs.schedules() == []
    assert client.runs.get(run.id).resources.cpus == 1

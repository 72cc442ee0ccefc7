"""MLflow's runs behind its server, asked over its REST interface."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast
from urllib.parse import quote, urlsplit

import httpx2

from lepton.client.mlflow.records import (
    STATES,
    OtherFile,
    OtherModel,
    OtherPoint,
    OtherRun,
    OtherVersion,
    Unreachable,
    finite,
    moment,
    path_of_source,
)
from lepton.core.errors import InvalidInput, Unavailable

_API = "/api/2.0/mlflow"
_KEPT = "/api/2.0/mlflow-artifacts/artifacts"
_PAGE = 1000


class _Failed(Unavailable):
    """The server could not do it; what else it is asked for may work."""


class Server:
    """A server that speaks MLflow's protocol; signs in with what MLflow's own client would use.

    Args:
        url: Its address.

    Raises:
        Unavailable: if it does not answer.
        InvalidInput: if it answers as no such server does.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME")
        self._http = httpx2.Client(
            timeout=60.0,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            auth=(user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user and not token else None,
        )
        self._names: dict[str, str] = {}
        for experiment in self._pages("experiments/search", "experiments", {}):
            self._names[str(experiment["experiment_id"])] = str(experiment["name"])

    def count(self) -> int | None:
        """It does not say."""
        return None

    def runs(self) -> Iterator[OtherRun]:
        """All runs that are not deleted."""
        for experiment, name in self._names.items():
            for run in self._pages("runs/search", "runs", {"experiment_ids": [experiment]}):
                info, data = run["info"], run.get("data", {})
                tags = {item["key"]: item.get("value", "") for item in data.get("tags", [])}
                yield OtherRun(
                    id=info.get("run_id") or info["run_uuid"],
                    experiment=name,
                    name=info.get("run_name") or tags.get("mlflow.runName", ""),
                    state=STATES.get(str(info.get("status"))),
                    started_at=moment(info.get("start_time")),
                    ended_at=moment(info.get("end_time")),
                    params={item["key"]: item.get("value", "") for item in data.get("params", [])},
                    tags=tags,
                    place=info.get("artifact_uri") or "",
                    measured=tuple(sorted({item["key"] for item in data.get("metrics", [])})),
                )

    def curves(self, run: OtherRun) -> dict[str, list[OtherPoint]]:
        """All that a run measured."""
        found = {}
        for key in run.measured:
            asked = {"run_id": run.id, "metric_key": key, "max_results": 25_000}
            found[key] = [
                OtherPoint(int(p.get("step", 0)), int(p["timestamp"]), finite(float(p["value"])))
                for p in self._pages("metrics/get-history", "metrics", asked, method="GET")
            ]
        return found

    def files(self, run: OtherRun) -> Iterator[OtherFile]:
        """The files of a run, then those of its models."""
        try:
            yield from self._files(run)
        except _Failed:
            raise Unreachable("the server cannot reach them") from None

    def _files(self, run: OtherRun) -> Iterator[OtherFile]:
        for path in self._below("artifacts/list", {"run_id": run.id}, "path"):
            place, query = f"{_files_of(run.place)}/{quote(path)}", {}
            if not place.startswith(_KEPT):  # it is not the server that keeps them, but it reaches them
                place, query = "/get-artifact", {"run_id": run.id, "path": path}
            yield OtherFile(path, partial(self._opened, place, query))
        asked = {"experiment_ids": [*self._names], "filter": f"source_run_id = '{run.id}'", "max_results": 50}
        for model in self._pages("logged-models/search", "models", asked, absent_ok=True):
            name, model_id = model["info"]["name"], model["info"]["model_id"]
            place = f"logged-models/{model_id}/artifacts/directories"
            for path in self._below(place, {}, "artifact_directory_path"):
                file = f"/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files"
                yield OtherFile(f"{name}/{path}", partial(self._opened, file, {"artifact_file_path": path}))

    def models(self) -> Iterator[OtherModel]:
        """All registered models."""
        for model in self._pages("registered-models/search", "registered_models", {}, method="GET", absent_ok=True):
            name = str(model["name"])
            asked = {"filter": f"name='{name}'"} if "'" not in name else {"filter": f'name="{name}"'}
            found = self._pages("model-versions/search", "model_versions", asked, method="GET")
            versions = sorted((self._version(one) for one in found), key=lambda one: one.number)
            yield OtherModel(
                name=name,
                description=model.get("description") or "",
                tags={item["key"]: item.get("value", "") for item in model.get("tags", [])},
                aliases={item["alias"]: int(item["version"]) for item in model.get("aliases", [])},
                versions=tuple(versions),
            )

    def _version(self, found: Mapping[str, Any]) -> OtherVersion:
        run_id = found.get("run_id") or ""
        return OtherVersion(
            number=int(found["version"]),
            description=found.get("description") or "",
            tags={item["key"]: item.get("value", "") for item in found.get("tags", [])},
            run_id=run_id,
            path=path_of_source(found.get("source") or "", run_id, self._logged),
        )

    def _logged(self, model_id: str) -> str | None:
        answer = self._ask("GET", f"{_API}/logged-models/{model_id}", absent_ok=True)
        return None if answer.status_code == 404 else str(answer.json()["model"]["info"]["name"])

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _below(self, verb: str, asked: Mapping[str, str], parameter: str) -> Iterator[str]:
        folders = [""]
        while folders:
            inside = {**asked, **({parameter: folders[-1]} if folders[-1] else {})}
            folders.pop()
            for file in self._pages(verb, "files", inside, method="GET"):
                if file.get("is_dir"):
                    folders.append(str(file["path"]))
                else:
                    yield str(file["path"])

    def _pages(
        self, verb: str, what: str, asked: Mapping[str, object], *, method: str = "POST", absent_ok: bool = False
    ) -> Iterator[Mapping[str, Any]]:
        page: dict[str, object] = {"max_results": _PAGE, **asked} if method == "POST" else dict(asked)
        while True:
            sent: dict[str, Any] = {"json": page} if method == "POST" else {"params": page}
            answer = self._ask(method, f"{_API}/{verb}", absent_ok=absent_ok, **sent)
            if answer.status_code == 404:
                return
            try:
                body = cast("Mapping[str, Any]", answer.json())
            except ValueError:
                raise InvalidInput(
                    f"What answers at {self._url} is no server of MLflow's. Check the address."
                ) from None
            yield from body.get(what, [])
            if not body.get("next_page_token"):
                return
            page["page_token"] = body["next_page_token"]

    @contextmanager
    def _opened(self, path: str, asked: Mapping[str, str]) -> Iterator[BinaryIO]:
        with TemporaryFile() as file:
            try:
                with self._http.stream("GET", self._url + path, params=asked) as answer:
                    self._check(answer, path)
                    for chunk in answer.iter_bytes():
                        file.write(chunk)
            except httpx2.HTTPError:
                raise self._away() from None
            file.seek(0)
            yield file

    def _ask(self, method: str, path: str, *, absent_ok: bool = False, **sent: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, self._url + path, **sent)
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise self._away() from None
        if not (absent_ok and answer.status_code == 404):
            self._check(answer, path)
        return answer

    def _check(self, answer: httpx2.Response, path: str) -> None:
        if answer.status_code in (401, 403):
            raise InvalidInput(
                f"The server at {self._url} lets nobody in like this ({answer.status_code}). Set "
                "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            )
        if answer.status_code >= 500:
            raise _Failed(f"The server at {self._url} failed at {path} ({answer.status_code}). Try again later.")
        if answer.status_code >= 300:
            raise InvalidInput(
                f"The server at {self._url} does not answer {path} ({answer.status_code}). Is it one of MLflow's?"
            )

    def _away(self) -> Unavailable:
        return Unavailable(f"Nothing answers at {self._url}. Start MLflow's server, or check its address.")


def _files_of(place: str) -> str:
    """Return where a server gives the files that it keeps itself; empty if they are kept elsewhere."""
    uri = urlsplit(place)
    return f"{_KEPT}{quote(uri.path.rstrip('/'))}" if uri.scheme == "mlflow-artifacts" else ""

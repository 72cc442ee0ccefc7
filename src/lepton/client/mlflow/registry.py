"""Writes MLflow's registered models into the platform, from the files of the runs that were brought over before."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import orjson

from lepton.client.mlflow.records import OtherModel, OtherVersion, Store
from lepton.client.transport import Transport
from lepton.core.errors import Conflict, Forbidden, InvalidInput, NotFound

NUMBER = "mlflow.version"
"""Tag of a version: which number it has in MLflow."""


class ModelsBrought:
    """Brings registered models over; a version that was brought before is known by its tag.

    Args:
        transport: The platform, which speaks MLflow's protocol.
        project: Where they go.
        runs: What runs of MLflow's are called there.
    """

    def __init__(self, transport: Transport, project: str, runs: Mapping[str, str]) -> None:
        self._transport = transport
        self._root = f"/projects/{quote(project)}/api/2.0/mlflow"
        self._runs = runs
        self.versions = 0
        """How many versions were brought over now."""
        self.missing: list[str] = []
        """What could not come, in a sentence each."""

    def bring(self, store: Store) -> None:
        """Bring all models of a store over."""
        for model in store.models():
            try:
                self._bring(model)
            except (InvalidInput, Conflict, Forbidden, NotFound) as error:
                self.missing.append(f"Model {model.name[:80]!r} did not come. {error.message}")

    def _bring(self, model: OtherModel) -> None:
        with suppress(Conflict):  # it is there
            made = {"name": model.name, "description": model.description, "tags": _pairs(model.tags)}
            self._ask("POST", "registered-models/create", json=made)
        asked: dict[str, str | int] = {"filter": f"name = {_quoted(model.name)}", "max_results": 1000}
        found = self._ask("GET", "model-versions/search", asked)["model_versions"]
        known = {number: int(one["version"]) for one in found if (number := _tags(one).get(NUMBER))}
        for version in model.versions:
            if str(version.number) not in known and (made_now := self._bring_version(model, version)):
                known[str(version.number)] = made_now
        for alias, meant_number in model.aliases.items():
            if (version_here := known.get(str(meant_number))) is not None:
                meant = {"name": model.name, "alias": alias, "version": str(version_here)}
                self._ask("POST", "registered-models/alias", json=meant)

    def _bring_version(self, model: OtherModel, version: OtherVersion) -> int | None:
        what, run_id = f"Version {version.number} of model {model.name[:80]!r}", self._runs.get(version.run_id)
        if run_id is None or version.path is None:
            why = (
                "its run did not come either" if version.path is not None else "MLflow does not say of which run it is"
            )
            self.missing.append(f"{what} did not come, as {why}.")
            return None
        about = {
            "name": model.name, "source": f"mlflow-artifacts:/{run_id}/{version.path}", "run_id": run_id,
            "description": version.description, "tags": _pairs({**version.tags, NUMBER: str(version.number)}),
        }  # fmt: skip
        try:
            made = self._ask("POST", "model-versions/create", json=about)
        except InvalidInput as error:
            self.missing.append(f"{what} did not come. {error.message}")
            return None
        self.versions += 1
        return int(made["model_version"]["version"])

    def _ask(self, method: str, verb: str, query: Mapping[str, str | int] | None = None, *, json: object = None) -> Any:
        return orjson.loads(self._transport.send(method, f"{self._root}/{verb}", query=query, json=json))


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _tags(version: Mapping[str, Any]) -> dict[str, str]:
    return {one["key"]: one.get("value", "") for one in version.get("tags", [])}


def _quoted(name: str) -> str:
    return f'"{name}"' if "'" in name else f"'{name}'"

"""MLflow's protocol, asked with texts that only one of the databases would stumble over."""

from __future__ import annotations

from server.test_mlflow_routes import API, CALLS, FILES
from starlette.testclient import TestClient


def test_the_character_of_number_0_is_no_part_of_a_name(owner: TestClient) -> None:
    for (method, path), (_, options) in CALLS.items():
        for key in ("json", "params"):
            for name, value in options.get(key, {}).items():
                if isinstance(value, str):
                    changed = {key: {**options[key], name: "\0"}}
                    response = owner.request(method, path, **changed)
                    assert response.status_code in (200, 400), (path, name, response.text)
    assert owner.get(f"{API}/logged-models/%00").status_code == 400
    assert owner.get(f"{FILES}/%00/a").status_code == 400

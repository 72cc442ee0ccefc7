"""The example of a server with the OpenAI API runs as a user runs it, with a stand-in for vLLM."""

import os
import subprocess
import sys
from pathlib import Path

from endpoints.fake_openai import fake_openai

EXAMPLE = Path(__file__).parents[2] / "examples" / "chat_behind_an_endpoint.py"


def test_a_chat_streams_through_an_endpoint(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEPTON_")}
    with fake_openai() as fake:
        fake.go.set()
        done = subprocess.run(
            [sys.executable, "-W", "error", EXAMPLE, fake.base_url], capture_output=True, text=True, timeout=120,
            check=False, env=environment | {"LEPTON_HOME": str(tmp_path / "home")},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("small at http://127.0.0.1:")
    assert done.stdout.endswith("/v1 says: Sayhellointhreewords.\n")  # the stand-in repeats the words as pieces

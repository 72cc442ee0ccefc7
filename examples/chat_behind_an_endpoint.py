"""A server with the OpenAI API, such as vLLM, behind an endpoint of Lepton: tokens, deadlines and counts are Lepton's.

Start one:  vllm serve Qwen/Qwen2.5-0.5B-Instruct --host 127.0.0.1 --port 8000
Then run:   python examples/chat_behind_an_endpoint.py http://127.0.0.1:8000/v1
"""

import json
import sys
import tempfile
from pathlib import Path

import httpx2

import lepton


def main(base_url: str) -> None:
    with lepton.open() as client, tempfile.TemporaryDirectory() as folder:
        address = Path(folder, "openai.json")
        address.write_text(json.dumps({"base_url": base_url}))  # and "api_key", if the server wants one
        model = client.models.register("chat", code=address)
        endpoint = client.endpoints.deploy("chat", model=model.ref)
        token = client.tokens.create("chat", scopes=["endpoints.predict"]).secret

        # From here on any program that speaks the OpenAI API, with this address and this token.
        assert endpoint.url is not None
        url = endpoint.url.partition("/predict")[0] + "/v1"
        with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=120) as http:
            name = http.get("/models").raise_for_status().json()["data"][0]["id"]
            question = {
                "model": name,
                "stream": True,
                "messages": [{"role": "user", "content": "Say hello in three words."}],
            }
            print(f"{name} at {url} says: ", end="", flush=True)
            with http.stream("POST", "/chat/completions", json=question) as answer:
                for line in answer.iter_lines():
                    if line.startswith("data: {"):
                        delta = json.loads(line.removeprefix("data: "))["choices"][0]["delta"]
                        print(delta.get("content") or "", end="", flush=True)
        print()
        client.endpoints.delete("chat")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/v1")

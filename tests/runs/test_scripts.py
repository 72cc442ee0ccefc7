"""A user's own code as a run: sent, started, watched, kept to its limits, and kept away from what is not its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from platforms import embedded

import lepton
from lepton import local
from lepton.client.runs import Run
from lepton.client.transport import Transport
from lepton.core.errors import Conflict, Forbidden, InvalidInput, NotFound, RunFailed, TooLarge, Unauthenticated
from lepton.core.settings import Settings
from lepton.launch import places, processes
from lepton.testing.engines import eventually

SECRET = "canary-b81f secret/with+odd=chars"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scripts") / "home"


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[lepton.Client]:
    with embedded(home) as opened:
        yield opened


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Write ``main.py`` into a folder of its own."""

    def write(code: str) -> Path:
        (tmp_path / "main.py").write_text(textwrap.dedent(code))
        return tmp_path

    return write


MAIN = ("python", "main.py")


def ended(client: lepton.Client, run: Run) -> Run:
    eventually(lambda: client.runs.get(run.id).ended, "the run has ended", within_s=60)
    return client.runs.get(run.id)


def texts(client: lepton.Client, run: Run, *, rank: int | None = None) -> list[str]:
    lines = client.runs.logs(run.id, follow=True)
    found = [(line.rank, line.text) for line in lines if not line.text.startswith("[")]
    return [text for of, text in found if rank in (None, of)]


def failure(client: lepton.Client, run: Run) -> tuple[str, str]:
    with pytest.raises(RunFailed) as told:
        client.runs.wait(run.id)
    error = client.runs.get(run.id).error
    assert error is not None
    assert error.message == told.value.message
    return error.code, error.message


def test_two_workers_meet_at_the_port_that_they_are_told_and_their_logs_are_live(
    client: lepton.Client, script: Callable[[str], Path]
) -> None:
    # What torch.distributed does first: rank 0 listens at the port, the others call.
    folder = script("""
        import os, socket, sys
        rank, size, port = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"))
        print("hello from", rank, "of", size, sys.argv[1:], sorted(os.listdir()))
        if rank == 0:
            with socket.create_server((os.environ["MASTER_ADDR"], port)) as listener:
                print("heard", listener.accept()[0].recv(16).decode())
        else:
            while True:
                try:
                    with socket.create_connection((os.environ["MASTER_ADDR"], port)) as caller:
                        caller.sendall(b"42")
                    break
                except ConnectionRefusedError:
                    pass
    """)
    run = client.runs.submit([*MAIN, "--epochs", "3"], folder=folder, workers=2, name="first", params={"lr": 0.1})
    assert (run.task, run.workers) == ("runs.submit", 2)
    assert run.params == {"command": "python main.py --epochs 3", "name": "first", "lr": 0.1}
    assert sorted(texts(client, run)) == [
        "heard 42",
        "hello from 0 of 2 ['--epochs', '3'] ['main.py']",
        "hello from 1 of 2 ['--epochs', '3'] ['main.py']",
    ]
    done = client.runs.wait(run.id)
    assert (done.state, done.progress, done.error) == ("succeeded", 1.0, None)


def test_its_lines_are_seen_while_it_still_runs(client: lepton.Client, script: Callable[[str], Path]) -> None:
    folder = script("""
        import time
        print("now")
        time.sleep(60)
    """)
    run = client.runs.submit(MAIN, folder=folder)
    lines = client.runs.logs(run.id, follow=True)
    assert next(line.text for line in lines if not line.text.startswith("[")) == "now"
    assert client.runs.get(run.id).state == "running"
    client.runs.cancel(run.id)
    assert ended(client, run).state == "cancelled"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise SystemExit(7)", "The worker ended with exit code 7."),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "The worker was ended by SIGSEGV."),
        ("raise SystemExit(241)", "The worker ended with exit code 1."),
        ("import os; os.execv('/nowhere', ['x'])", "The worker ended with exit code 1."),
    ],
)
def test_a_command_that_fails_is_told_as_it_ended(
    client: lepton.Client, script: Callable[[str], Path], code: str, told: str
) -> None:
    run = client.runs.submit(MAIN, folder=script(code))
    assert failure(client, run) == ("worker_failed", f"{told} See: lepton runs logs {run.id}")


def test_a_command_that_does_not_exist_is_told_as_such(client: lepton.Client, script: Callable[[str], Path]) -> None:
    run = client.runs.submit(["no-such-program"], folder=script(""))
    assert failure(client, run)[0] == "worker_failed"
    log = [line.text for line in client.runs.logs(run.id).lines]
    assert "[no-such-program could not be started: No such file or directory]" in log


def test_what_eats_memory_is_ended_with_a_sentence_and_others_go_on(
    client: lepton.Client, script: Callable[[str], Path]
) -> None:
    folder = script("""
        import os, sys, time
        if sys.argv[1] == "wait":
            time.sleep(60)
        if os.environ["RANK"] == "1":
            kept = []
            while True:  # in a child, as a data loader would
                if os.fork() == 0:
                    while True:
                        kept.append(bytearray(16 << 20))
                os.wait()
        time.sleep(60)
    """)
    run = client.runs.submit([*MAIN, "eat"], folder=folder, workers=2, memory="300M")
    other = client.runs.submit([*MAIN, "wait"], folder=folder, memory="300M")
    code, told = failure(client, run)
    assert code == "out_of_memory"
    assert told == (
        "Worker 2 of 2 used more than the 300M it asked for and was ended. Ask for more: --memory 600M. "
        f"See: lepton runs logs {run.id}"
    )
    eventually(lambda: client.runs.get(other.id).state == "running", "the other runs")
    client.runs.cancel(other.id)
    assert ended(client, other).state == "cancelled"


def test_what_takes_too_long_is_ended_with_a_sentence(client: lepton.Client, script: Callable[[str], Path]) -> None:
    folder = script("import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('told')); time.sleep(60)")
    run = client.runs.submit(MAIN, folder=folder, timeout_s=1)
    code, told = failure(client, run)
    assert code == "timed_out"
    assert "took longer than" in told
    assert "told" in texts(client, run)


def test_secrets_reach_the_command_and_neither_the_log_nor_the_list_of_processes_nor_the_disk(
    client: lepton.Client, script: Callable[[str], Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = script("""
        import base64, json, os, sys, time, urllib.parse
        secret = os.environ["API_KEY"]
        print("have", len(secret), secret, json.dumps(secret), base64.b64encode(secret.encode()).decode())
        print(urllib.parse.quote(secret, safe=""), os.environ["LEPTON_TOKEN"], os.environ["OTHER"])
        sys.stdout.write(secret[:9]); sys.stdout.flush(); time.sleep(0.2); print(secret[9:])
        raise SystemExit(secret)
    """)
    monkeypatch.setenv("OTHER", "another-canary")
    run = client.runs.submit(MAIN, folder=folder, secrets={"API_KEY": SECRET, "OTHER": os.environ["OTHER"]})
    seen = []

    def look() -> bool:
        seen.extend(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
        return client.runs.get(run.id).ended

    eventually(look, "the run has ended")
    log = "\n".join(line.text for line in client.runs.logs(run.id).lines)
    assert log.count("***") >= 7
    assert f"have {len(SECRET)} ***" in log
    for part in ("canary", "lpr_", "Y2FuYXJ5"):
        assert part not in log
    assert not any(b"canary-b81f" in arguments or b"lpr_" in arguments for arguments in seen)
    assert "canary" not in str(client.runs.get(run.id).body)
    # By another process: whoever opens and closes the files of a database takes the locks of its own process away.
    for part in ("canary-b81f", "another-canary", "lpr_"):
        found = subprocess.run(["grep", "-rlaF", part, str(home)], capture_output=True, text=True, check=False)
        assert (found.returncode, found.stdout) == (1, "")
    with pytest.raises(InvalidInput, match="6 to"):
        client.runs.submit(MAIN, folder=folder, secrets={"SHORT": "abc"})
    with pytest.raises(InvalidInput, match="LEPTON_HOME"):
        client.runs.submit(MAIN, folder=folder, secrets={"LEPTON_HOME": "elsewhere"})
    with pytest.raises(InvalidInput, match="no environment variable 'MISSING_ONE'"):
        client.runs.submit(MAIN, folder=folder, secrets=["MISSING_ONE"])


def test_it_reaches_the_platform_as_its_submitter_and_only_its_own_project_and_only_while_it_runs(
    client: lepton.Client, script: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "data.csv").write_text("x,y\n1,2\n3,4\n")
    client.datasets.import_(tmp_path / "data.csv", name="numbers")
    client.projects.create("elsewhere")
    folder = script("""
        import os, lepton
        from lepton.core.errors import LeptonError
        with lepton.connect() as client:
            client.datasets.export("numbers", "numbers.csv")
            print(*open("numbers.csv").read().split())
            me = client.me()
            print(me.user.name, me.is_admin, [membership.name for membership in me.projects])
            for what in (client.users.list, lambda: client.tokens.create("stolen"), client.audit.list):
                try:
                    print(what())
                except LeptonError as error:
                    print(error.code)
        try:
            lepton.connect(project="elsewhere").datasets.list()
        except LeptonError as error:
            print(error.code)
        open(os.path.join("token"), "w").write(os.environ["LEPTON_TOKEN"])
        print(" ".join(map(str, os.environ["LEPTON_TOKEN"].encode())))
    """)
    run = client.runs.submit(MAIN, folder=folder)
    *lines, token = texts(client, run)
    assert client.runs.wait(run.id).state == "succeeded"
    assert lines == [
        "x,y 1,2 3,4", "owner False ['default']", "forbidden", "forbidden", "forbidden", "not_found",
    ]  # fmt: skip
    secret = bytes(map(int, token.split())).decode()
    assert secret.startswith("lpr_")
    with lepton.connect(client.url, secret) as late, pytest.raises(Unauthenticated, match="has ended"):
        late.me()


def test_only_the_run_itself_learns_what_it_is_to_do(client: lepton.Client, script: Callable[[str], Path]) -> None:
    run = client.runs.submit(MAIN, folder=script("import time; time.sleep(60)"), secrets={"API_KEY": SECRET})
    eventually(lambda: client.runs.get(run.id).state == "running", "it runs")
    for path in (f"/v1/launch/{run.id}", f"/v1/launch/{run.id}/bundle"):
        with pytest.raises(Forbidden):
            client.transport.get(path)
        with pytest.raises(Unauthenticated):
            Transport(client.url, f"lpr_{run.id}{'A' * 43}").get(path)
    client.runs.cancel(run.id)
    ended(client, run)


def test_it_sees_neither_the_keys_nor_the_catalog_nor_the_processes_of_the_platform(
    client: lepton.Client, script: Callable[[str], Path], home: Path
) -> None:
    folder = script(f"""
        import os
        home = {str(home)!r}
        server = {os.getpid()}
        for path in (home, home + "/root.key", home + "/catalog.db", "/etc/shadow", f"/proc/{{server}}/environ",
                     f"/proc/{{os.getppid()}}/environ", f"/proc/{{server}}/root/etc/hostname", home + "/new"):
            for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT):
                try:
                    os.open(path, flags)
                    print("OPENED", path)
                except OSError as error:
                    print(type(error).__name__)
        try:
            os.kill(server, 0)
            print("SIGNALLED")
        except PermissionError:
            print("PermissionError")
        print(*[line.strip() for line in open("/proc/self/status") if line.startswith(("CapEff", "NoNewPrivs"))])
        unwanted = ("PG", "LEPTON_HOME", "LEPTON_CATALOG", "PYTEST")
        print("found", *[name for name in os.environ if name.startswith(unwanted)])
        open("/dev/null", "w").write("x")
        open(os.path.join(os.environ["TMPDIR"], "t"), "w").write("x")
    """)
    run = client.runs.submit(MAIN, folder=folder)
    lines = texts(client, run)
    assert client.runs.wait(run.id).state == "succeeded"
    assert not [line for line in lines if line.startswith(("OPENED", "SIGNALLED"))]
    assert lines[-2:] == ["CapEff:\t0000000000000000 NoNewPrivs:\t1", "found"]


def test_nothing_of_it_is_left_when_it_has_ended(client: lepton.Client, script: Callable[[str], Path]) -> None:
    folder = script("""
        import os, time
        if os.fork() == 0:  # a daemon of its own
            os.setsid()
            if os.fork() == 0:
                os.close(1); os.close(2)
                time.sleep(300)
            os._exit(0)
        time.sleep(0.3)
        print("left behind")
    """)
    run = client.runs.submit(MAIN, folder=folder)
    assert texts(client, run) == ["left behind"]
    client.runs.wait(run.id)

    def of_run() -> list[str]:
        mark = f"LEPTON_RUN_ID={run.id}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                found += [path.parent.name] if mark in path.read_bytes() else []
            except OSError:
                continue
        return found

    eventually(lambda: of_run() == [], "nothing is left", within_s=5)  # the supervisor may just be leaving
    assert not list((places.ground() / "work").glob(f"{run.id}*"))


def test_cancel_tells_the_command_first(client: lepton.Client, script: Callable[[str], Path]) -> None:
    folder = script("""
        import signal, sys, time
        def told(*_):
            print("saving")
            sys.exit(0)
        signal.signal(signal.SIGTERM, told)
        print("ready")
        time.sleep(60)
    """)
    run = client.runs.submit(MAIN, folder=folder, workers=2)
    heard = (line for line in client.runs.logs(run.id, follow=True) if line.text == "ready")
    assert {next(heard).rank, next(heard).rank} == {0, 1}
    client.runs.cancel(run.id)
    assert ended(client, run).state == "cancelled"
    assert texts(client, run).count("saving") == 2


def test_a_retry_runs_the_same_command_in_the_same_folder(
    client: lepton.Client, script: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = script("import os; print(os.environ['API_KEY'] == open('expected').read()); raise SystemExit(1)")
    (folder / "expected").write_text(SECRET)
    run = client.runs.submit(MAIN, folder=folder, secrets={"API_KEY": SECRET})
    failure(client, run)
    (folder / "expected").write_text("something else by now")
    again = client.runs.retry(run.id)
    assert texts(client, again) == ["True"]
    assert ended(client, again).retry_of == run.id


def test_who_has_called_heartbeat_and_does_so_no_more_hangs_however_busy_it_is(
    client: lepton.Client, script: Callable[[str], Path]
) -> None:
    folder = script("""
        import lepton
        lepton.heartbeat()
        print("works", flush=True)
        while True:
            pass
    """)
    run = client.runs.submit(MAIN, folder=folder, hang_timeout_s=5)
    assert texts(client, run) == ["works"]
    code, message = failure(client, run)
    assert code == "worker_lost"
    assert message.startswith("The worker hung: for 5 s there was no sign that it works")
    with pytest.raises(InvalidInput, match="5 seconds to a year"):
        client.runs.submit(MAIN, folder=folder, hang_timeout_s=1)


def test_the_same_key_runs_once(client: lepton.Client, script: Callable[[str], Path], home: Path) -> None:
    folder = script("print('once')")
    first = client.runs.submit(MAIN, folder=folder, key="nightly-1")
    assert client.runs.submit(["other"], folder=folder, key="nightly-1").id == first.id
    client.runs.wait(first.id)
    assert client.runs.submit(MAIN, folder=folder, key="nightly-1").id == first.id
    assert client.runs.submit(MAIN, folder=folder, key="nightly-2").id != first.id


def test_a_viewer_may_not_submit(client: lepton.Client, script: Callable[[str], Path]) -> None:
    token = client.tokens.create("looker", scopes=["runs.list", "runs.get"]).secret
    with lepton.connect(client.url, token) as looker, pytest.raises(Forbidden, match="runs.submit"):
        looker.runs.submit(MAIN, folder=script(""))


def test_what_cannot_be_run_is_refused_before_the_folder_is_kept(
    client: lepton.Client, script: Callable[[str], Path], home: Path
) -> None:
    folder = script("")
    before = len(list((home / "objects" / "blobs").glob("*")))
    for wrong, told in (
        ({"command": []}, "program and its arguments"),
        ({"workers": 0}, "workers"),
        ({"environment": "../requirements.txt"}, "inside the folder"),
        ({"environment": "setup.py"}, "requirements.txt"),
        ({"outputs": ["/etc/*"]}, "inside the folder"),
        ({"memory": "lots"}, "amount of memory"),
        ({"cpus": -1}, "processors"),
        ({"key": "k" * 129}, "128"),
    ):
        with pytest.raises(InvalidInput, match=told):
            client.runs.submit(**{"command": MAIN, "folder": folder, **wrong})  # type: ignore[arg-type]
    for body in (b"", b"{}\n", b"no json\n", b'{"command": ["x"], "surprise": 1}\n', b'{"command": ["x"]}\n'):
        with pytest.raises(InvalidInput):
            client.transport.upload("/v1/runs/submit", [body], query={}, size_bytes=len(body))
    assert len(list((home / "objects" / "blobs").glob("*"))) == before


def test_a_folder_that_is_too_large_is_refused_with_its_largest_files(
    client: lepton.Client, script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = script("")
    (folder / "weights.bin").write_bytes(os.urandom(2_000_000))
    monkeypatch.setenv("LEPTON_MAX_BUNDLE_MB", "1")
    with pytest.raises(TooLarge, match=r"largest: weights\.bin \(2\.0 MB\), main\.py .*\.leptonignore"):
        client.runs.submit(MAIN, folder=folder)


def test_a_platform_that_is_killed_and_comes_back_elsewhere_loses_nothing(
    tmp_path: Path, script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LEPTON_CATALOG", "LEPTON_URL", "LEPTON_TOKEN", "LEPTON_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(home=tmp_path / "killed", port=0)
    folder = script("""
        import time
        print("one", flush=True)
        time.sleep(2)
        print("two")
    """)
    first = local.up(settings).server
    try:
        with local.client_of(settings) as client:
            run = client.runs.submit(MAIN, folder=folder, workers=2)
            eventually(lambda: client.runs.logs(run.id).next >= 2, "both have begun")
        os.kill(first.pid, signal.SIGKILL)
        eventually(lambda: local.status(settings) is None, "it is gone")
        assert local.up(settings).server.url != first.url
        with local.client_of(settings) as client:
            assert client.runs.wait(run.id).state == "succeeded"
            assert sorted(texts(client, run)) == ["one", "one", "two", "two"]
    finally:
        local.down(settings)


def test_a_launcher_waits_for_a_platform_that_is_away_at_the_very_beginning(
    tmp_path: Path, script: Callable[[str], Path], client: lepton.Client
) -> None:
    import threading

    from lepton.launch.control import Control

    address = tmp_path / "url"
    address.write_text("http://127.0.0.1:1")
    token = str(client.transport._http.headers["Authorization"]).removeprefix("Bearer ")
    told = {"LEPTON_URL": "http://127.0.0.1:1", "LEPTON_TOKEN": token, "LEPTON_PROJECT": "default"}
    control = Control({**told, "LEPTON_URL_FILE": str(address)}, threading.Event())
    timer = threading.Timer(0.5, lambda: address.write_text(client.url))
    timer.start()
    assert control.ask(lambda found: found.me().user.name) == "owner"
    timer.join()


def test_folders_of_launchers_that_were_killed_are_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "dead-0-aa").mkdir()
    (tmp_path / "dead-0-aa" / "data").write_text("x")
    (tmp_path / "dead-0-aa.lock").touch()
    places.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_all_workers_of_a_run_are_one_user_that_nobody_else_is_meanwhile() -> None:
    with places.user_of("run-a") as first, places.user_of("run-a") as again, places.user_of("run-b") as other:
        assert first == again
        assert other != first
        assert 40_000 <= first < 60_000


def test_memory_counts_all_that_a_command_has_started() -> None:
    code = "import os, time; x = bytearray(60 << 20); os.fork(); print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        eventually(lambda: len(processes.below(process.pid)) == 1, "it has forked")
        family = {process.pid, *processes.below(process.pid)}
        assert processes.memory_of(family) > 110 << 20
        assert processes.exact_memory_of(family) < 110 << 20  # they share it
        for pid in family:
            os.kill(pid, signal.SIGKILL)


def test_a_list_of_params_is_shown_as_json(client: lepton.Client, script: Callable[[str], Path]) -> None:
    run = client.runs.submit("python main.py 'a b'", folder=script("import sys; print(sys.argv[1])"))
    assert texts(client, run) == ["a b"]
    assert json.loads(client.runs.get(run.id).body)["params"]["command"] == "python main.py 'a b'"


LIKE = """
    import os, sys
    print("got", sys.argv[1:], os.environ["WORLD_SIZE"], os.environ.get("HUSH", "no secret")[:3], sorted(os.listdir()))
"""


def test_a_run_like_another_has_its_folder_and_all_that_is_not_said_anew(
    client: lepton.Client, script: Callable[[str], Path]
) -> None:
    given = {"name": "first", "params": {"lr": 0.1}, "priority": 3, "retries": 1, "secrets": {"HUSH": "ssh-ssh"}}
    first = client.runs.submit([*MAIN, "a"], folder=script(LIKE), workers=2, memory="2G", **given)  # type: ignore[arg-type]
    client.runs.wait(first.id)
    same = client.runs.submit(like=first.id)
    other = client.runs.submit([*MAIN, "b"], like=first.id, workers=1, name="other", memory="1G")
    assert texts(client, same) == ["got ['a'] 2 ssh ['main.py']"] * 2
    assert texts(client, other) == ["got ['b'] 1 ssh ['main.py']"]
    assert same.params == {"command": "python main.py a", "name": "first", "lr": 0.1}
    assert other.params == {"command": "python main.py b", "name": "other", "lr": 0.1}
    assert (same.priority, same.retries, same.resources.memory_mb, same.retry_of) == (3, 1, 2048, first.id)
    assert (other.priority, other.resources.memory_mb, other.workers) == (3, 1024, 1)
    twice = [client.runs.submit(like=other.id, key="like").id for _ in range(2)]
    assert twice[0] == twice[1]
    assert client.runs.wait(twice[0]).params["command"] == "python main.py b"


def test_a_run_like_that_of_somebody_else_has_not_their_secrets(
    client: lepton.Client, script: Callable[[str], Path]
) -> None:
    first = client.runs.submit([*MAIN, "a"], folder=script(LIKE), secrets={"HUSH": "ssh-ssh"})
    client.runs.wait(first.id)
    client.users.create("eve", role="editor", password="correct horse battery staple")
    with httpx2.Client(base_url=client.url, headers={"Origin": client.url}) as web:
        web.post("/v1/sign-in", json={"name": "eve", "password": "correct horse battery staple"}).raise_for_status()
        token = web.post("/v1/tokens", json={"name": "eve"}).raise_for_status().json()["secret"]
    with lepton.connect(client.url, token) as eve:
        run = eve.runs.submit(like=first.id)
        assert texts(eve, run) == ["got ['a'] 1 no  ['main.py']"]


def test_a_run_can_only_be_like_a_command_of_its_project(client: lepton.Client) -> None:
    outside = client.runs.create()
    with pytest.raises(Conflict, match=r"is runs\.create, not a command"):
        client.runs.submit(like=outside.id)
    client.projects.create("nextdoor")
    with lepton.connect(client.url, client.tokens.create("door").secret, project="nextdoor") as there:
        for nobody in (outside.id, "nobody"):
            with pytest.raises(NotFound, match=nobody):
                there.runs.submit(like=nobody)
    client.runs.end(outside.id)

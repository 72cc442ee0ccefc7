"""`make bench-serving`: install the peers, measure them in turn, print the tables.

Run: python -m benchmarks.serving [--quick] [--only lepton,fastapi] [--case logistic-1-json] [--rounds 3] …
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from benchmarks.serving import environments, models, report
from benchmarks.serving.cases import CASES, CONNECTIONS
from benchmarks.serving.load import NoCompiler, compile_c
from benchmarks.serving.measure import Findings, Plan, measure
from benchmarks.serving.peer import NotMeasured, Peer, Place
from benchmarks.serving.peers import PEERS
from benchmarks.serving.peers.lepton import HOME
from benchmarks.serving.server import serve


def main() -> int:
    """Run the benchmark."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="lb-"))
    try:
        cores = sorted(os.sched_getaffinity(0))
        plan = Plan(
            program=compile_c("load", folder / "load"),
            cases=[case for case in CASES if options.case is None or case.name in options.case],
            connections=options.connections,
            full_s=options.seconds,
            half_s=options.seconds * 1.25,
            core=cores[-1],
        )
        findings = _run(options, folder, plan, server_core=cores[0])
    except NoCompiler as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = report.tables(findings, PEERS, plan)
    print(text)
    environments.ROOT.mkdir(exist_ok=True)
    options.json.write_text(json.dumps(report.as_json(findings), indent=1))
    options.svg.write_text(report.plot(findings))
    print(f"\nEvery reading: {options.json}. As a picture: {options.svg}.")
    if options.docs:
        report.write_docs(options.docs, text)
    return 0


def _run(options: argparse.Namespace, folder: Path, plan: Plan, *, server_core: int) -> dict[str, Findings]:
    if plan.core == server_core:
        print("There is one core only: the server and the load share it, and only CPU time can be compared.")
    print("training the model that all of them serve", flush=True)
    numbers = models.train(folder / HOME)
    onnx = models.write_onnx(numbers, folder)
    findings: dict[str, Findings] = {name: Findings() for name in options.only}
    places: dict[str, Place] = {}
    for name, found in findings.items():
        peer = PEERS[name]
        try:
            python = environments.install(name, peer.packages) if peer.packages else Path(sys.executable)
            found.installed_mib = environments.size_mib(python) if peer.packages else report.own_size_mib(name)
            (folder / name).mkdir()
            places[name] = Place(python, folder / name, _free_port(), server_core, numbers, onnx)
            peer.prepare(places[name])
        except (NotMeasured, OSError) as reason:
            found.reason = str(reason)
            print(f"{name}: not measured: {reason}", flush=True)
    # The harness, and with it the load generator that it starts, stays off the server's core.
    os.sched_setaffinity(0, {plan.core})
    for number in range(options.rounds):
        for name, found in findings.items():
            if found.reason is None:
                print(f"round {number + 1} of {options.rounds}: {name}", flush=True)
                _one(PEERS[name], places[name], plan, found)
    return findings


def _one(peer: Peer, place: Place, plan: Plan, found: Findings) -> None:
    try:
        with serve(peer, place) as server:
            for line in measure(server, plan, found):
                print(line, flush=True)
    except (NotMeasured, OSError) as reason:
        found.reason = str(reason)
        print(f"  not measured: {reason}", flush=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--only", help=f"peers, with commas: {','.join(PEERS)}")
    parser.add_argument("--case", help=f"cases, with commas: {','.join(case.name for case in CASES)}")
    parser.add_argument("--connections", help="numbers of connections, with commas")
    parser.add_argument("--rounds", type=int, help="how often every peer has its turn (3)")
    parser.add_argument("--seconds", type=float, default=0.8, help="of each cell at full speed (0.8)")
    parser.add_argument("--quick", action="store_true", help="one round, 16 connections")
    kept = environments.ROOT
    parser.add_argument("--json", type=Path, default=kept / "serving.json", metavar="FILE", help="every reading")
    parser.add_argument("--svg", type=Path, default=kept / "serving.svg", metavar="FILE", help="CPU time as a picture")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="put the tables between the marks of this page")
    options = parser.parse_args()
    options.only = _chosen(parser, options.only, list(PEERS))
    options.case = _chosen(parser, options.case, [case.name for case in CASES])
    options.rounds = options.rounds or (1 if options.quick else 3)
    numbers = options.connections.split(",") if options.connections else None
    options.connections = [int(n) for n in numbers] if numbers else [16] if options.quick else list(CONNECTIONS)
    return options


def _chosen(parser: argparse.ArgumentParser, text: str | None, known: list[str]) -> list[str]:
    chosen = text.split(",") if text else known
    unknown = [name for name in chosen if name not in known]
    if unknown:
        parser.error(f"{unknown[0]!r} is not one of: {', '.join(known)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())

"""Addresses of one machine in the place of machines: the contract of engines, and who goes where."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from lepton.core.ids import new_id
from lepton.runs.engines.addresses import AddressesEngine
from lepton.runs.engines.port import EngineSpec
from lepton.testing.engines import LOG_KEY, EngineContract, eventually, python

WHERE = python("import os, signal; print(os.environ['LEPTON_NODE_ADDRESS'], flush=True); signal.pause()")


class TestAddressesEngine(EngineContract):
    def make_engine(self, folder: Path) -> AddressesEngine:
        return AddressesEngine(folder, ["127.0.0.2", "127.0.0.3"], grace_s=1.0)

    def test_runs_that_are_to_be_apart_are(self, tmp_path: Path) -> None:
        engine = self.make_engine(tmp_path)
        runs = [new_id() for _ in range(4)]
        for run_id in runs:
            engine.submit(EngineSpec(run_id, 1, WHERE, log_key=LOG_KEY, apart="one endpoint"))
        eventually(lambda: all(self.texts(engine, run_id) for run_id in runs), "all have said where they are")
        assert Counter(self.texts(engine, run_id)[0] for run_id in runs) == {"127.0.0.2": 2, "127.0.0.3": 2}
        for run_id in runs:
            engine.cancel(run_id)
            self.ended(engine, run_id)

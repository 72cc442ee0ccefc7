"""What one worker of a training does, from the rows to the model. Read `main`, then `train`."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from lepton.core.errors import InvalidInput, LeptonError
from lepton.models.commanded import TRAINING, Plan
from lepton.models.composed import blocks_of
from lepton.models.features import Features
from lepton.models.graph import features_graph
from lepton.models.parameters import Settings, take
from lepton.models.prediction import open_session
from lepton.models.requests import has_framework
from lepton.models.signature import Input, Signature
from lepton.trainer import code, platform, rows
from lepton.trainer.finishing import Finishing, bring
from lepton.trainer.platform import say
from lepton.trainer.source import Source
from lepton.training.advice import advise
from lepton.training.checkpoints import Checkpoints
from lepton.training.collective import Collective, TcpCollective, open_collective
from lepton.training.context import TrainingContext
from lepton.training.recipes.known import JUDGES, READERS, find
from lepton.training.recipes.port import Block, Fitted, Material, Problem

ADVICE_S = 5.0
"""So long the columns are looked at one by one; those that are left then are not."""


ADVICE_ROWS = 100_000
"""So many rows of each column are looked at."""


def main() -> None:
    """Train what the folder says; exit code 1 with a sentence if that cannot be done."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with closing(platform.PlatformOfRun(os.environ)) as asked:
        try:
            plan = Plan.from_json(Path(TRAINING).read_bytes())
            collective = open_collective(os.environ, _secret(os.environ))
            try:
                if has_framework(plan.request):
                    train(asked, plan, collective, stop)
                else:
                    from lepton.trainer import linear  # with it comes scikit-learn, which others need not wait for

                    linear.train(asked, plan, collective, stop)
            finally:
                if isinstance(collective, TcpCollective):
                    collective.close()
        except InvalidInput as error:  # of what it was given: it would end the same again
            say(error.message)
            asked.fail(error.message)
            sys.exit(1)
        except LeptonError as error:
            say(error.message)
            sys.exit(1)


def train(asked: platform.PlatformOfRun, plan: Plan, collective: Collective, stop: threading.Event) -> None:
    """Train together with the other workers; worker 0 finishes the model and brings it."""
    request = plan.request
    recipe = find(request.recipe)
    watched = 0.0 if request.recipe in JUDGES and not request.trial else Settings.validation_fraction
    tokens = READERS.get(request.recipe, 0)
    # A model of the user's may count on each column being in its place.
    ours, parameters = take(request.params, tokens=tokens, watched=watched, keep_constant=bool(request.model))
    if request.budget_s:
        parameters["budget_s"] = request.budget_s
    model = code.load(request.model)
    asked.progress(0.02, "reading the target")
    split = rows.split(asked, plan, ours)
    asked.progress(0.05, "fitting features")
    source = rows.source(asked, plan, len(split.train), ours)
    features, inputs, blocks, graph = _share_features(source, plan, split, collective, ours)
    reader = rows.Reader(source, inputs, open_session(graph), memory_bytes=ours.memory_bytes)
    share = {"rank": collective.rank, "workers": collective.world_size, "seed": request.seed}
    part = reader.part(split.target, split.train, **share)
    valid = reader.part(split.target, split.valid, **share) if split.valid.any() else None
    say(f"worker {collective.rank} of {collective.world_size} learns from {part.count:,} rows")
    context = TrainingContext(
        collective=collective,
        log=asked.metrics,
        should_stop=stop.is_set,
        say=say,
        progress=lambda fraction, message: asked.progress(0.1 + 0.8 * fraction, message),
        checkpoints=Checkpoints(_folder(), every=ours.checkpoint_every),
        gpu=platform.gpu(os.environ),
        threads=platform.threads(os.environ),
    )
    classes = None if split.target.classes is None else len(split.target.classes)
    material = Material(Problem(blocks, classes, request.target), part, valid, request.seed)
    advice = _advice(material) if features and request.recipe not in JUDGES and not ours.keep_constant else []
    fitted = recipe.fit(material, context, parameters, model)
    if fitted is None or features is None or context.should_stop():
        return
    finishing = Finishing(plan, features, split, reader)
    _finish(asked, finishing, replace(fitted, notes=(*advice, *fitted.notes)))


def _advice(material: Material) -> list[str]:
    """Say at once what looks wrong with the rows: a column that gives the target away, one that numbers the rows."""
    features, targets = next(material.train.batches(ADVICE_ROWS, epoch=0))
    features, targets = features[: material.train.count], targets[: material.train.count]
    found = advise(features, targets, material.problem, seed=material.seed, limit_s=ADVICE_S)
    for sentence in found:
        say(sentence)
    return found


def _finish(asked: platform.PlatformOfRun, finishing: Finishing, fitted: Fitted) -> None:
    trial = finishing.plan.request.trial
    asked.progress(0.92, "measuring the trial" if trial else "measuring the model on the held-out rows")
    trained = finishing.finish(fitted, trial=trial)
    for note in (*finishing.plan.notes, *finishing.features.notes, *fitted.notes):
        say(note)
    prefix = "valid" if trial else "test"
    bring(asked, trained, {f"{prefix}_{name}": value for name, value in trained.metrics.items()}, trial=trial)


def _share_features(
    source: Source, plan: Plan, split: rows.Split, collective: Collective, ours: Settings
) -> tuple[Features | None, tuple[Input, ...], tuple[Block, ...], bytes]:
    """Fit the features on worker 0 and give every worker their graph."""
    if collective.rank:
        told = json.loads(collective.broadcast(None))
        if "error" in told:
            raise InvalidInput(told["error"])
        inputs = Signature.from_json(base64.b64decode(told["signature"])).inputs
        return None, inputs, tuple(_block(block) for block in told["blocks"]), base64.b64decode(told["graph"])
    try:
        features = rows.fit(source, plan, split.train, ours)
    except InvalidInput as error:
        collective.broadcast(json.dumps({"error": error.message}).encode())
        raise
    graph, blocks = features_graph(features), blocks_of(features)
    signature = split.target.signature(plan.target, features.inputs)
    told = {
        "signature": base64.b64encode(signature.to_json()).decode(),
        "graph": base64.b64encode(graph).decode(),
        "blocks": [vars(block) for block in blocks],
    }
    collective.broadcast(json.dumps(told).encode())
    return features, features.inputs, blocks, graph


def _block(told: Mapping[str, Any]) -> Block:
    return Block(**{**told, "values": tuple(told["values"])})


def _folder() -> Path | None:
    folder = os.environ.get("LEPTON_CHECKPOINTS")
    return None if folder is None else Path(folder)


def _secret(environment: Mapping[str, str]) -> bytes:
    """What the workers of the run share and nobody else knows."""
    return hashlib.sha256(b"lepton.trainer\0" + environment["LEPTON_TOKEN"].encode()).digest()


if __name__ == "__main__":
    main()

"""Takes what trainings that run as commands bring: `delivered` reads it, `Models` keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from lepton.access.guard import Guard
from lepton.access.records import Actor
from lepton.core.errors import Forbidden, InvalidInput
from lepton.core.refs import check_name, parse_ref
from lepton.models import bundle, delivered
from lepton.models.learned import profile_of
from lepton.models.operations import Models
from lepton.models.records import ModelVersion
from lepton.models.requests import KNOWN
from lepton.runs.operations import Runs


class Deliveries:
    """What runs deliver."""

    def __init__(self, *, guard: Guard, models: Models, runs: Runs) -> None:
        self._guard = guard
        self._models = models
        self._runs = runs

    def keep(self, actor: Actor, run_id: str, chunks: Iterable[bytes], *, again: Callable[[], Actor]) -> ModelVersion:
        """Keep what a training has made as the next version; the run goes on to its end.

        Args:
            actor: The run itself; nobody else may ask.
            run_id: Its id.
            chunks: An archive, see `lepton.models.delivered`.
            again: Says who asks when the archive has come; raises if that is nobody now.

        Returns:
            The version; the one that it made before if it brings another: an attempt was killed after its delivery.

        Raises:
            Forbidden: if somebody else asks, or it has learned from what its submitter may not read.
            InvalidInput: if the archive cannot be read.
        """
        if actor.run_id != run_id:
            raise Forbidden("Only a training run itself may bring what it has made. Submit one: lepton models train")
        run = self._runs.assignment(run_id).run
        with self._guard.allow(actor, "models.train", project=run.project, target=f"run:{run_id}"):
            pass  # refused before anything is read
        trained = delivered.read(bundle.receive(chunks, max_bytes=delivered.MAX_BYTES))
        if trained.recipe not in KNOWN:
            raise InvalidInput(f"There is no recipe {trained.recipe[:80]!r}. Choose one of: {', '.join(KNOWN)}.")
        check_name(trained.name, "model")
        actor = again()
        dataset = self._models.datasets.open(actor, parse_ref(trained.dataset), project=run.project)
        trained = delivered.classified(replace(trained, dataset=str(dataset.ref)), dataset.schema)
        datasets, signature = self._models.datasets, trained.signature
        profile = profile_of(datasets, actor, dataset, signature, project=run.project)
        return self._models.commit(actor, run, replace(trained, profile=profile), ends=False)

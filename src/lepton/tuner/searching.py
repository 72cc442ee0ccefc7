"""One search: trials as runs of the platform, so many at a time, watched, ended early, and told to Optuna.

A trial is submitted under a key of its own, so that whoever goes on after a kill finds the run instead of a second one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from lepton.client import Client
from lepton.client.answers import decode
from lepton.client.optuna_storage import optuna_storage
from lepton.client.runs import Run
from lepton.client.studies import Study
from lepton.client.transport import path_of
from lepton.core.errors import Conflict, LeptonError, RunFailed, Unavailable
from lepton.training.search import parse_all
from lepton.tuner.optimizer import Optimizer, Tried

T = TypeVar("T")
LOOK_EVERY_S = 0.5
PATIENCE_S = 600.0
"""How long a platform that is away is waited for."""
GIVE_UP_AFTER = 3
"""If so many trials have failed and none has ended well, the others will not either."""
TELLS, LOSS = "tuner", "valid_loss"


class Search:
    """A search.

    Args:
        client: The platform, as the run that searches.
        plan: What `lepton.models.tune_requests.plan_of` wrote.
        run_id: Of the run that searches.
        say: Writes a line of its log.
        stop: Set when it is to end.
    """

    def __init__(
        self, client: Client, plan: Mapping[str, Any], *, run_id: str, say: Callable[[str], None],
        stop: threading.Event,
    ) -> None:  # fmt: skip
        self._client, self._plan, self._run_id = client, plan, run_id
        self._say, self._stop = say, stop
        self._name: str = plan["study"]
        self._metric: str = plan["metric"]
        self._running: dict[int, tuple[Tried, str]] = {}
        self._optimizer = Optimizer(
            optuna_storage(self._name, client=client),
            self._name,
            direction=plan["direction"],
            space=parse_all(plan["search"]),
            sampler=plan["sampler"],
            pruner=plan["pruner"],
            trials=plan["trials"],
            parallel=plan["parallel"],
            seed=plan["train"].get("seed", 0),
        )

    def run(self) -> None:
        """Search to the end, and train the best settings.

        Raises:
            Conflict: if the study has searched for something else, or another run searches it now.
            RunFailed: if no trial ended well.
        """
        self._take()
        for tried in self._optimizer.left_running():
            self._submit(tried)
        why = ""
        while True:
            self._look()
            if self._stop.is_set():
                self._cancel_all("The search was ended.")
                self._note("was ended")
                return
            why = why or self._why_end()
            if why and not self._running:
                break
            if why.startswith("its time"):
                self._cancel_all("The search's time was over.")
                continue
            while not why and len(self._running) < self._plan["parallel"] and self._fits():
                asked = self._optimizer.ask()
                if asked is None:
                    why = "the grid was tried"
                    break
                self._submit(asked)
            self._stop.wait(LOOK_EVERY_S)
        self._finish(why)

    def found(self) -> Study:
        """Return the study as it stands."""
        return self._patient(lambda: self._client.models.study(self._name))

    def _take(self) -> None:
        """Make the study this run's."""
        notes, plan = self._optimizer.notes, self._plan
        about = {
            "model": plan["train"]["name"], "dataset": plan["train"]["dataset"], "target": plan["train"]["target"],
            "recipe": plan["train"].get("recipe", "auto"), "search": plan["search"], "metric": self._metric,
            "direction": plan["direction"],
        }  # fmt: skip
        if notes.get("about", about) != about:
            differs = next(key for key in about if notes["about"].get(key) != about[key])
            raise Conflict(
                f"The study {self._name!r} has searched with another {differs}. Give this search a name of its own: "
                "--study NAME"
            )
        other = notes.get("run", self._run_id)
        if other != self._run_id and not self._patient(lambda: self._client.runs.get(other)).ended:
            raise Conflict(f"Run {other} searches the study {self._name!r} now. Wait for it, or cancel it.")
        self._optimizer.note("about", about)
        self._optimizer.note("metric", self._metric)
        self._optimizer.note("run", self._run_id)
        self._id = str(notes.get("id") or self._run_id)
        self._optimizer.note("id", self._id)
        began = f"began {self._run_id}"
        self._began = float(notes.get(began) or time.time())  # goes on while a killed search waits to be taken up
        self._optimizer.note(began, self._began)
        self._note(f"is searched by run {self._run_id}")

    def _why_end(self) -> str:
        """Say why no further trial is to begin; empty if one may."""
        plan, optimizer = self._plan, self._optimizer
        if optimizer.spent() >= plan["trials"]:
            return f"{plan['trials']} trials were tried"
        if plan["budget_s"] is not None and time.time() - self._began >= plan["budget_s"]:
            return "its time was over"
        if plan["patience"] is not None and optimizer.complete() and optimizer.since_better() >= plan["patience"]:
            return f"nothing better came for {plan['patience']} trials"
        if not optimizer.complete() and optimizer.spent() >= max(GIVE_UP_AFTER, plan["parallel"]):
            return "all trials failed"
        return ""

    def _fits(self) -> bool:
        return self._optimizer.spent() + len(self._running) < int(self._plan["trials"])

    def _submit(self, tried: Tried) -> None:
        body = self._body(tried, f"study:{self._id}:{tried.number}") | {"trial": True}
        try:
            run = self._train(body)
        except Unavailable:
            raise
        except LeptonError as error:  # these settings cannot be trained with; others may
            self._optimizer.fail(tried, error.message)
            self._say(f"trial {tried.number}: {error.message}")
            return
        self._optimizer.note_run(tried, run.id)
        tags = {"study": self._name, "trial": str(tried.number)}
        batch = {"client": TELLS, "batch": 1, "tags": tags}
        self._patient(lambda: self._client.runs.track(run.id, batch))
        self._running[tried.number] = (tried, run.id)
        self._say(f"trial {tried.number} is run {run.id}: {_written(tried.params)}")

    def _body(self, tried: Tried, key: str) -> dict[str, Any]:
        train = self._plan["train"]
        return {**train, "params": {**train.get("params", {}), **tried.params}, "key": key}

    def _train(self, body: Mapping[str, Any]) -> Run:
        path = path_of("models", "train")
        return self._patient(lambda: decode(Run, self._client.transport.send("POST", path, json=body)))

    def _look(self) -> None:
        """Look at every trial that runs."""
        for number, (tried, run_id) in list(self._running.items()):
            run = self._patient(lambda run_id=run_id: self._client.runs.get(run_id))  # type: ignore[misc]
            if run.ended:
                del self._running[number]
                self._ended(tried, run)
            elif self._plan["pruner"] != "none" and self._optimizer.report(tried, self._curve(run_id)):
                self._cancel(run_id)
                self._optimizer.prune(tried)
                del self._running[number]
                self._say(f"trial {number} is pruned")

    def _ended(self, tried: Tried, run: Run) -> None:
        optimizer = self._optimizer
        if run.state != "succeeded":
            why = run.error.message if run.error is not None else f"Run {run.id} was {run.state}."
            optimizer.fail(tried, why)
            self._say(f"trial {tried.number} failed: {why}")
            return
        curve = self._curve(run.id)
        if not curve:
            told = self._patient(lambda: self._client.runs.tracked(run.id)).metrics
            known = ", ".join(sorted(one.key for one in told)) or "none"
            optimizer.fail(tried, f"It told no metric {self._metric!r}, only: {known}. Choose one of these: --metric")
            self._say(f"trial {tried.number} told no metric {self._metric!r}, only: {known}")
            return
        if self._plan["pruner"] != "none":
            optimizer.report(tried, curve)  # others are compared with it
        value = curve[-1][1]
        optimizer.tell(tried, value)
        self._say(f"trial {tried.number}: {self._metric} {value:.6g}")

    def _curve(self, run_id: str) -> list[tuple[int, float]]:
        found = self._values(run_id, self._metric)
        if found or self._metric != LOSS:
            return found
        # Not every recipe watches its loss while it learns; it is measured at the end all the same.
        squared = [(step, value**2) for step, value in self._values(run_id, "valid_rmse")]
        return self._values(run_id, "valid_log_loss") or squared

    def _values(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        found = self._patient(lambda: self._client.runs.metrics(run_id, metric))
        points = [(p.step, p.value) for one in found.metrics if one.key == metric for p in one.points]
        return sorted((step, value) for step, value in points if value is not None)

    def _cancel(self, run_id: str) -> None:
        with suppress(Conflict):  # it has ended meanwhile
            self._patient(lambda: self._client.runs.cancel(run_id))

    def _cancel_all(self, why: str) -> None:
        for tried, run_id in self._running.values():
            self._cancel(run_id)
            self._optimizer.fail(tried, why)
        self._running.clear()

    def _finish(self, why: str) -> None:
        best = self._optimizer.best()
        if best is None:
            self._note(f"ended as {why}; no trial ended well")
            errors = [trial.error for trial in self.found().trials if trial.error]
            first = f" The first: {errors[0]}" if errors else ""
            raise RunFailed(f"No trial of the study {self._name!r} ended well.{first}")
        importance = self._optimizer.importance()
        if importance:
            self._optimizer.note("importance", importance)
        self._say(f"{why}; the best is trial {best.number}: {_written(best.params)}")
        self._note("trains the best settings")
        run = self._train(self._body(best, f"study:{self._id}:best:{best.number}"))
        batch = {"client": TELLS, "batch": 1, "tags": {"study": self._name}}
        self._patient(lambda: self._client.runs.track(run.id, batch))
        while not run.ended:
            if self._stop.wait(LOOK_EVERY_S):
                self._cancel(run.id)
                return
            run = self._patient(lambda: self._client.runs.get(run.id))  # noqa: B023 - called at once
        if run.state != "succeeded":
            message = run.error.message if run.error is not None else f"Run {run.id} was {run.state}."
            raise RunFailed(f"The best settings were found, but training with them failed: {message}")
        model = run.made("model")[0]
        self._optimizer.note("model", model)
        batch = {"client": TELLS, "batch": 1, "tags": {"study": self._name, "model": model}}
        self._patient(lambda: self._client.runs.track(self._run_id, batch))
        self._note(f"ended as {why}")
        self._say(f"model {model} is there")

    def _note(self, message: str) -> None:
        self._optimizer.note("message", message)

    def _patient(self, ask: Callable[[], T]) -> T:
        """Ask a platform that may be away for a while."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return ask()
            except Unavailable:
                if time.monotonic() >= deadline:
                    raise
                self._client.transport.pause(LOOK_EVERY_S)


def _written(params: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}" for name, value in params.items()
    )

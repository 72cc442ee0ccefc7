"""``client.models``: versioned predictors, trained, evaluated, used on whole datasets, traced and exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal, TypedDict, Unpack, overload

from lepton.client.answers import Answer, Cell, Items, decode, decode_items
from lepton.client.dataset_records import DatasetDetail
from lepton.client.files import Export, save
from lepton.client.runs import OnProgress, Run, Runs
from lepton.client.studies import Study, StudySummary
from lepton.client.submitting import megabytes
from lepton.client.transport import Transport, encode, path_of
from lepton.core.errors import InvalidInput, NotFound
from lepton.models import bundle
from lepton.training import search as spaces
from lepton.training.templates import TEMPLATES
from lepton.training.templates import find as find_template


@dataclass(frozen=True, kw_only=True)
class ModelVersion(Answer):
    """One immutable version of a model.

    Attributes:
        ref: Its address, such as ``cancer@1``.
        task: ``classification`` or ``regression``.
        dataset: The dataset version it learned from.
        metrics: How well it did on the rows held out from training.
    """

    ref: str
    name: str
    version: int
    task: str
    recipe: str
    target: str
    dataset: str
    run_id: str
    created_at: datetime
    created_by: str
    size_bytes: int
    sha256: str
    metrics: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model and its versions, the newest first."""

    name: str
    latest: int
    versions: tuple[ModelVersion, ...]


@dataclass(frozen=True, kw_only=True)
class SignatureInput:
    """A column that a prediction takes; `values` are the categories seen in training, where you may read them."""

    name: str
    type: str
    nullable: bool = True
    values: tuple[Cell, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a model takes and gives."""

    task: str
    target: str
    inputs: tuple[SignatureInput, ...]
    classes: tuple[Cell, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Plot:
    """The numbers of one picture; `kind` is such as ``roc``, ``confusion``, ``residuals`` or ``coefficients``."""

    kind: str
    data: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How a model did on one dataset version."""

    dataset: str
    metrics: Mapping[str, float | None]
    created_at: datetime
    run_id: str | None = None
    plots: tuple[Plot, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelDetail(ModelVersion):
    """A version with all that is known of it.

    Attributes:
        notes: What is worth knowing, such as which columns were not used and why.
    """

    signature: Signature
    plots: tuple[Plot, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    versions: tuple[ModelVersion, ...] = ()
    notes: tuple[str, ...] = ()

    def plot(self, kind: str) -> Plot | None:
        """Return the plot of a kind, or None."""
        return next((plot for plot in self.plots if plot.kind == kind), None)


@dataclass(frozen=True, kw_only=True)
class Line:
    """Points of one thing; those of ``per unit`` are multiplied with the number."""

    column: str
    condition: str
    points: float


@dataclass(frozen=True, kw_only=True)
class Scorecard(Answer):
    """Points to add up to a score.

    Attributes:
        good: The class that a high score speaks for.
        base: The score at `odds`.
        odds: Of the good class, to 1.
        pdo: Points that double the odds.
        start: Points that every row has.
        lines: What is added to them.
    """

    good: str
    base: float
    odds: float
    pdo: float
    start: float
    lines: tuple[Line, ...]

    def to_csv(self) -> str:
        """Return a table of ``column``, ``condition`` and ``points``; its first line is the start."""
        from lepton.training import scorecard as cards

        lines = tuple(cards.Line(line.column, line.condition, line.points) for line in self.lines)
        return cards.Scorecard(self.good, self.base, self.odds, self.pdo, self.start, lines).to_csv()


@dataclass(frozen=True, kw_only=True)
class Node:
    """Something that a model comes from or leads to."""

    id: str
    kind: str
    label: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """From what was used to what was made of it; ids of nodes."""

    source: str = field(metadata={"json": "from"})
    target: str = field(metadata={"json": "to"})


@dataclass(frozen=True, kw_only=True)
class Lineage(Answer):
    """Where a model comes from and what uses it."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One way to train: what stands behind ``--recipe``, ``--model``, ``--param`` and ``--budget``, and why."""

    recipe: str
    reason: str
    model: str = ""
    params: Mapping[str, Cell] = field(default_factory=dict)
    budget: str = ""
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class Proposed(Answer):
    """What one would train on a dataset, the best first."""

    dataset: str
    target: str
    task: str
    proposals: tuple[Proposal, ...]


_IF_SAID = ("model", "cpus", "budget_s", "gpus", "timeout_s", "trial", "key")


class TrainOptions(TypedDict, total=False):
    """How to train.

    Attributes:
        recipe: ``auto`` (the target decides), ``linear_regression`` or ``logistic_regression``; or that of a framework:
            ``sklearn``, ``xgboost``, ``lightgbm``, ``pytorch``, ``lightning``, ``keras``, ``jax``, ``transformers``.
        model: With a framework: your model as ``file.py:Name``, which goes along with the files beside it, or the
            name of a template.
        workers: Processes that share the work.
        params: Of the recipe, such as ``{"solver": "gd", "max_iterations": 200, "l2": 0.1}``.
        test_fraction: Share of the rows held out to measure the model.
        seed: The same seed holds out the same rows.
        features: Columns to learn from; None takes all but the target.
        budget_s: With ``auto``: how many seconds it may look for the best model; 0 takes the linear one at once.
        cpus: Processors of each worker, with a framework or on a cluster; so are the others below.
        memory: The most memory of each worker, such as ``"2G"``.
        gpus: GPUs of each worker.
        timeout_s: How long it may take; 0: as long as it likes.
        trial: Whether only to measure on rows that are not held out, and to make no version.
        key: Of two requests with the same key, the second is the first.
    """

    recipe: str
    model: str
    workers: int
    params: Mapping[str, Cell]
    test_fraction: float
    seed: int
    features: Sequence[str] | None
    budget_s: float
    cpus: float
    memory: str | int
    gpus: int
    timeout_s: int
    trial: bool
    key: str | None


def code_of(model: str) -> dict[str, str]:
    """Return the files that go along with a model ``file.py:Name``: that one, and the Python files beside it.

    Raises:
        InvalidInput: if there is no such file.
    """
    where, colon, _ = model.partition(":")
    if not colon:
        return {}
    path = Path(where if where.endswith(".py") else where.replace(".", "/") + ".py")
    if path.is_absolute() or ".." in path.parts or not path.is_file():
        raise InvalidInput(f"There is no file {str(path)[:80]!r} here. Name one in this folder, such as net.py:Net.")
    files = (path, *sorted(other for other in path.parent.glob("*.py") if other != path and not other.is_symlink()))
    return {file.as_posix(): file.read_text(encoding="utf-8") for file in files}


class TuneOptions(TrainOptions, total=False):
    """How to tune, beside how each trial trains.

    Attributes:
        trials: How many settings to try at most, those of earlier searches of the same study included; 20.
        parallel: How many of them at a time; 2.
        sampler: ``tpe``, ``cmaes``, ``random`` or ``grid``.
        pruner: ``none``, ``median``, ``hyperband`` or ``asha``: whether trials that go badly are ended early.
        metric: What of a trial's curves is to become good, such as ``valid_loss`` or ``valid_accuracy``, with `` min``
            or `` max`` behind it if the name does not tell which.
        search_s: How long to search at most.
        patience: Stop after so many trials without a better one.
        study: Name of the study; that of the model if it is left out.
    """

    trials: int
    parallel: int
    sampler: str
    pruner: str
    metric: str
    search_s: float | None
    patience: int | None
    study: str


class Models:
    """The verbs on models."""

    def __init__(self, transport: Transport, runs: Runs) -> None:
        self._transport = transport
        self._runs = runs

    def list(self) -> Items[Model]:
        """List the models of the project."""
        return decode_items(Model, self._transport.get(path_of("models")))

    def get(self, ref: str) -> ModelDetail:
        """Return one version, or the latest, with signature, metrics and plots."""
        return decode(ModelDetail, self._transport.get(path_of("models", ref)))

    @overload
    def train(
        self, name: str, *, dataset: str, target: str, wait: Literal[True] = True,
        on_progress: OnProgress | None = None, **options: Unpack[TrainOptions],
    ) -> ModelDetail: ...  # fmt: skip
    @overload
    def train(
        self, name: str, *, dataset: str, target: str, wait: Literal[False],
        on_progress: OnProgress | None = None, **options: Unpack[TrainOptions],
    ) -> Run: ...  # fmt: skip
    def train(
        self, name: str, *, dataset: str, target: str, wait: bool = True,
        on_progress: OnProgress | None = None, **options: Unpack[TrainOptions],
    ) -> ModelDetail | Run:  # fmt: skip
        """Train a model, or a new version of it.

        Args:
            name: Name of the model.
            dataset: Dataset version to learn from, such as ``cancer@2``.
            target: Column to predict.
            wait: Whether to return only when it is done.
            on_progress: Called with the run while waiting.
            options: See `TrainOptions`.

        Returns:
            The version that was made, or the run if `wait` is False.

        Raises:
            RunFailed: if training failed; the message says why.
        """
        body = _asked(name, dataset, target, options)
        run = decode(Run, self._transport.send("POST", path_of("models", "train"), json=body))
        if not wait:
            return run
        return self.get(self._runs.wait(run.id, on_progress=on_progress).made("model")[0])

    @overload
    def tune(
        self, name: str, *, dataset: str, target: str, search: Mapping[str, object] | Sequence[str],
        wait: Literal[True] = True, on_progress: OnProgress | None = None, **options: Unpack[TuneOptions],
    ) -> Study: ...  # fmt: skip
    @overload
    def tune(
        self, name: str, *, dataset: str, target: str, search: Mapping[str, object] | Sequence[str],
        wait: Literal[False], on_progress: OnProgress | None = None, **options: Unpack[TuneOptions],
    ) -> Run: ...  # fmt: skip
    def tune(
        self, name: str, *, dataset: str, target: str, search: Mapping[str, object] | Sequence[str],
        wait: bool = True, on_progress: OnProgress | None = None, **options: Unpack[TuneOptions],
    ) -> Study | Run:  # fmt: skip
        """Search for the best settings of a model, and train its next version with them.

        A study of the same name that searched for the same goes on where it is.

        Args:
            name: Name of the model.
            dataset: Dataset version to learn from, such as ``cancer@2``.
            target: Column to predict.
            search: What is searched: lines such as ``"max_depth=2..10"``, or a mapping such as
                ``{"max_depth": (2, 10), "learning_rate": "0.001..0.3 log", "optimizer": ["adamw", "sgd"]}``.
            wait: Whether to return only when it is done.
            on_progress: Called with the run while waiting.
            options: See `TuneOptions`.

        Returns:
            The study, whose `model` is the version that was made; or the run that searches, if `wait` is False.

        Raises:
            RunFailed: if the search failed; the log of its run says why.
        """
        lines = spaces.written(search) if isinstance(search, Mapping) else [*search]
        own = {name: value for name, value in options.items() if name in TuneOptions.__annotations__}
        own = {name: value for name, value in own.items() if name not in TrainOptions.__annotations__}
        body = {**_asked(name, dataset, target, options), "search": lines, **own}
        run = decode(Run, self._transport.send("POST", path_of("models", "tune"), json=body))
        if not wait:
            return run
        self._runs.wait(run.id, on_progress=on_progress)
        return self.study(options.get("study") or name)

    def studies(self) -> Items[StudySummary]:
        """List the studies of the project: those of `tune`, and those that Optuna writes here."""
        return decode_items(StudySummary, self._transport.get(path_of("models", "studies")))

    def study(self, name: str) -> Study:
        """Return a study with all its trials; a notebook shows it with its plots."""
        return decode(Study, self._transport.get(path_of("models", "studies", name)))

    def forget(self, name: str) -> None:
        """Delete a study with all its trials for good; the runs that it tried, and its model, stay."""
        self._transport.send("DELETE", path_of("models", "studies", name))

    def read_journal(self, name: str, *, after: int = 0) -> bytes:
        """Return what Optuna wrote into a journal, from an entry on, as JSON; `lepton.optuna_storage` reads it."""
        return self._transport.get(path_of("models", "journals", name), {"after": after})

    def append_journal(self, name: str, batch: str, entries: Sequence[str], *, after: int = 0) -> bytes:
        """Write entries of Optuna into a journal, a batch of one name once; `lepton.optuna_storage` writes them."""
        body = {"batch": batch, "entries": [*entries], "after": after}
        return self._transport.send("POST", path_of("models", "journals", name), json=body)

    def propose(self, dataset: str, *, target: str) -> Proposed:
        """Return recipes that fit a dataset and a target, the best first, each with its reason and what to type."""
        asked = {"dataset": dataset, "target": target}
        return decode(Proposed, self._transport.get(path_of("models", "propose"), asked))

    @staticmethod
    def templates() -> Mapping[str, str]:
        """Return what the networks to copy are for, by name; they come with this package, and no platform is asked."""
        return {name: found.about for name, found in TEMPLATES.items()}

    @staticmethod
    def template(name: str) -> str:
        """Return the text of such a network: write it to a file, and train it with ``model="file.py:build"``."""
        return find_template(name).source()

    def register(
        self, name: str, *, code: str | Path, signature: Mapping[str, object] | str | Path | None = None
    ) -> ModelDetail:
        """Keep code of your own, or an ONNX graph from elsewhere, as a model, or a new version of it.

        Code runs behind endpoints only, in a sandbox; a graph is served, evaluated and exported like one that was
        trained here.

        Args:
            name: Name of the model.
            code: A file, or a folder with a file ``model.py``, that holds a class ``Model`` with ``load(folder)`` and
                ``predict(batch)``; or a file ``*.onnx``.
            signature: What it takes and answers, as a mapping or a JSON file; None means that it is in the folder, as
                ``signature.json``, and for a graph that its columns are called x1, x2 … and its classes 0, 1 ….

        Returns:
            The version that was made.

        Raises:
            InvalidInput: if there is no such file, or the signature is not possible.
            TooLarge: if the code has more than 64 MiB or 1,000 files.
        """
        files = bundle.read_code(Path(code))
        if isinstance(signature, Mapping):
            files[bundle.SIGNATURE] = encode(signature)
        elif signature is not None:
            path = Path(signature)
            if not path.is_file():
                raise InvalidInput(f"There is no file {path.name!r}. Give the signature as a JSON file.")
            files[bundle.SIGNATURE] = path.read_bytes()
        packed = bundle.pack(files)
        body = self._transport.upload(
            path_of("models", "register"), [packed], query={"name": name}, size_bytes=len(packed)
        )
        return self.get(decode(ModelVersion, body).ref)

    @overload
    def evaluate(
        self, ref: str, *, dataset: str, wait: Literal[True] = True, on_progress: OnProgress | None = None
    ) -> Evaluation: ...
    @overload
    def evaluate(
        self, ref: str, *, dataset: str, wait: Literal[False], on_progress: OnProgress | None = None
    ) -> Run: ...
    def evaluate(
        self, ref: str, *, dataset: str, wait: bool = True, on_progress: OnProgress | None = None
    ) -> Evaluation | Run:
        """Measure a model on a dataset version.

        Args:
            ref: The model version.
            dataset: The dataset version; it must hold the target and every input column.
            wait: Whether to return only when it is done.
            on_progress: Called with the run while waiting.

        Returns:
            The evaluation, which stays with the model version, or the run if `wait` is False.
        """
        run = decode(Run, self._transport.send("POST", path_of("models", ref, "evaluate"), json={"dataset": dataset}))
        if not wait:
            return run
        self._runs.wait(run.id, on_progress=on_progress)
        return self.evaluation(ref, run.id)

    def evaluation(self, ref: str, run_id: str) -> Evaluation:
        """Return what an evaluating run found.

        Raises:
            NotFound: if the model version has no evaluation of that run.
        """
        for evaluation in self.get(ref).evaluations:
            if evaluation.run_id == run_id:
                return evaluation
        raise NotFound(f"Model {ref!r} has no evaluation by run {run_id}. See: lepton models get {ref}")

    @overload
    def predict(
        self, ref: str, *, dataset: str, name: str | None = None, wait: Literal[True] = True,
        on_progress: OnProgress | None = None,
    ) -> DatasetDetail: ...  # fmt: skip
    @overload
    def predict(
        self, ref: str, *, dataset: str, name: str | None = None, wait: Literal[False],
        on_progress: OnProgress | None = None,
    ) -> Run: ...  # fmt: skip
    def predict(
        self, ref: str, *, dataset: str, name: str | None = None, wait: bool = True,
        on_progress: OnProgress | None = None,
    ) -> DatasetDetail | Run:  # fmt: skip
        """Make a dataset version of another: its rows and columns, and the predictions of a model.

        Args:
            ref: The model version.
            dataset: The dataset version; it must hold every input column.
            name: Name of the dataset that gets the new version; None means ``<dataset>-<model>``.
            wait: Whether to return only when it is done.
            on_progress: Called with the run while waiting.

        Returns:
            The dataset version that was made, or the run if `wait` is False.

        Raises:
            InvalidInput: if the dataset lacks a column the model takes.
        """
        body = {"dataset": dataset, "name": name}
        run = decode(Run, self._transport.send("POST", path_of("models", ref, "predict"), json=body))
        if not wait:
            return run
        made = self._runs.wait(run.id, on_progress=on_progress).made("dataset")[0]
        return decode(DatasetDetail, self._transport.get(path_of("datasets", made)))

    def lineage(self, ref: str) -> Lineage:
        """Return what a version was made from and what it predicted."""
        return decode(Lineage, self._transport.get(path_of("models", ref, "lineage")))

    def scorecard(
        self, ref: str, *, base: float = 600.0, odds: float = 50.0, pdo: float = 20.0, good: str | None = None
    ) -> Scorecard:
        """Return a logistic regression of two classes as points to add up.

        Args:
            ref: The version.
            base: The score at `odds`.
            odds: Of the good class, to 1.
            pdo: Points that double the odds.
            good: The class that a high score speaks for; None for the second one.

        Raises:
            InvalidInput: if the model is none of two classes, or has no such class.
        """
        asked = {"base": str(base), "odds": str(odds), "pdo": str(pdo), "good": good}
        return decode(Scorecard, self._transport.get(path_of("models", ref, "scorecard"), asked))

    def export(self, ref: str, to: str | Path | BinaryIO) -> Export:
        """Write a version to a file: one ONNX graph that takes raw columns."""
        with self._transport.download(path_of("models", ref, "export")) as download:
            return save(download, to)

    def delete(self, ref: str) -> None:
        """Delete a version (``name@version``) or all versions (``name``) for good."""
        self._transport.send("DELETE", path_of("models", ref))


def _asked(name: str, dataset: str, target: str, options: TrainOptions) -> dict[str, object]:
    """Return what a platform is asked for that is to train."""
    features = options.get("features")
    return {
        "name": name,
        "dataset": dataset,
        "target": target,
        "recipe": options.get("recipe", "auto"),
        "workers": options.get("workers", 1),
        "params": dict(options.get("params", {})),
        "test_fraction": options.get("test_fraction", 0.2),
        "seed": options.get("seed", 0),
        "features": None if features is None else [*features],
        **{name: value for name in _IF_SAID if (value := options.get(name))},
        **({"code": code} if (code := code_of(options.get("model", ""))) else {}),
        **({"memory_mb": megabytes(memory)} if (memory := options.get("memory")) else {}),
    }

"""``client.endpoints``: models that answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal, cast, overload

from lepton.client.answers import Answer, Cell, Items, decode, decode_items
from lepton.client.endpoint_metrics import EndpointMetrics, LoggedRequest
from lepton.client.files import Frame
from lepton.client.models import Signature
from lepton.client.transport import Transport, path_of
from lepton.core.errors import InvalidInput, Unavailable


@dataclass(frozen=True, kw_only=True)
class Workers:
    """How many processes predict: `min` of them always, up to `max` when the load needs it, on each of `replicas`."""

    min: int
    max: int
    replicas: int = 1


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One process that predicts.

    Attributes:
        slot: Its place; a worker that follows another takes the same.
        state: ``starting``, ``ready`` or ``draining``.
        restarts: How often it ended by itself and was started again.
        in_flight: Requests that it is answering now, `queued` ones included.
        requests: Requests answered since it started; `errors` of them with 500 or more.
        machine: Address of the machine it runs on; empty for the platform's own.
    """

    slot: int
    pid: int
    state: str
    restarts: int
    in_flight: int
    queued: int
    requests: int
    errors: int
    machine: str = ""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One of the replicas behind a load balancer.

    Attributes:
        slot: Its place; a replica that follows another takes the same.
        machine: Address of its machine; empty while it has none.
        state: ``waiting`` for a machine, ``starting``, ``ready``, ``silent`` or ``leaving``.
        message: Why; empty when there is nothing to say.
    """

    slot: int
    machine: str
    state: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Replica:
    """How the processes behind an endpoint stand.

    Attributes:
        wanted: How many workers the load needs now; 0 when nobody has asked for a while and none is kept.
        grpc_port: TCP port of gRPC, on the host of the endpoint's address; 0 if it is not spoken.
        requests: Requests answered, also by workers that have ended since; `errors` of them with 500 or more.
        machines: The replicas on several machines; none for an endpoint on the platform's own.
    """

    wanted: int
    grpc_port: int = 0
    requests: int
    errors: int
    workers: tuple[Worker, ...]
    machines: tuple[Machine, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Companion:
    """A version beside the main one.

    Attributes:
        role: ``canary`` or ``shadow``.
        percent: Of the requests; 0 for a shadow, which answers nobody.
    """

    role: str
    model: str
    percent: int
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much an endpoint may be asked; None or 0: no limit. Rates are requests a second.

    Attributes:
        max_rate: By all together.
        max_token_rate: With one token.
        max_concurrency: Predictions at one time.
    """

    max_rate: float | None = None
    max_token_rate: float | None = None
    max_concurrency: int | None = None


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What a shadow would have answered, against what was answered; None before the first row.

    Attributes:
        same_percent: Of the rows, with the same label or number.
        mean_difference: Of the numbers, or of the probabilities; `largest_difference` of the row that differs most.
        failed: Requests that it could not answer.
        skipped: Requests that it was not asked, as it was behind.
    """

    rows: int
    same_percent: float | None
    mean_difference: float | None
    largest_difference: float
    failed: int
    skipped: int


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """One version of an endpoint, and how it did since the platform first saw it.

    Attributes:
        role: ``main``, ``canary`` or ``shadow``.
        percent: Of the requests.
        errors: Requests answered with 500 or more; `limited` those that a limit refused.
        comparison: Of a shadow.
    """

    model: str
    role: str
    percent: int
    requests: int
    errors: int
    limited: int
    p50_ms: float | None
    p99_ms: float | None
    comparison: Compared | None


@dataclass(frozen=True, kw_only=True)
class Endpoint(Answer):
    """A name under which a model version answers.

    Attributes:
        state: ``starting``, ``ready``, ``failed`` or ``stopped``.
        url: Where programs ask it directly, with the same tokens; None until it was started once.
        workers: How many workers it may have.
        shares: Name of the endpoint in whose replica it answers; empty: in one of its own.
        companions: Versions beside the main one.
        previous: Where a rollback leads; empty if nowhere.
        went_back: Why the platform took a companion back by itself; empty if it did not.
        limits: How much it may be asked.
        signature: What it takes and gives; only `get` fills it.
        replica: The processes behind it, None while none answers; only `get` fills it.
        rollout: Every version, the main one first, and how it did; only `get` fills it.
        drift: How far its rows have drifted from those of training: ``stable``, ``moderate`` or ``major``; only `get`
            fills it.
    """

    name: str
    model: str
    state: str
    created_at: datetime
    created_by: str
    url: str | None = None
    message: str | None = None
    workers: Workers | None = None
    shares: str = ""
    companions: tuple[Companion, ...] = ()
    previous: str = ""
    went_back: str = ""
    limits: Limits | None = None
    signature: Signature | None = None
    replica: Replica | None = None
    rollout: tuple[Deployed, ...] = ()
    drift: str | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer to one row: `label` with `probabilities` of a classifier, or `value` of a regression."""

    label: Cell = None
    probabilities: Mapping[str, float] | None = None
    value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Predictions(Answer):
    """The answers to the rows, in their order."""

    endpoint: str
    model: str
    predictions: tuple[Prediction, ...]

    def __len__(self) -> int:
        return len(self.predictions)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.predictions)

    def __getitem__(self, index: int) -> Prediction:
        return self.predictions[index]


class Endpoints:
    """The verbs on endpoints."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Items[Endpoint]:
        """List the endpoints of the project."""
        return decode_items(Endpoint, self._transport.get(path_of("endpoints")))

    def get(self, name: str) -> Endpoint:
        """Return one endpoint with its signature."""
        return decode(Endpoint, self._transport.get(path_of("endpoints", name)))

    @overload
    def metrics(self, name: str, *, follow: Literal[False] = False) -> EndpointMetrics: ...
    @overload
    def metrics(self, name: str, *, follow: Literal[True]) -> Iterator[EndpointMetrics]: ...
    def metrics(self, name: str, *, follow: bool = False) -> EndpointMetrics | Iterator[EndpointMetrics]:
        """Return how an endpoint's deployments do, now and in the last ten minutes.

        Args:
            name: The endpoint.
            follow: Whether to iterate instead, over what there is every two seconds until the endpoint is deleted.
        """
        path = path_of("endpoints", name, "metrics")
        if follow:
            events = self._transport.events(path)
            return (decode(EndpointMetrics, event.data) for event in events if event.name == "metrics")
        return decode(EndpointMetrics, self._transport.get(path))

    def logs(self, name: str, *, limit: int = 100) -> Items[LoggedRequest]:
        """Return a few of the requests that an endpoint has answered, the newest first."""
        return decode_items(LoggedRequest, self._transport.get(path_of("endpoints", name, "logs"), {"limit": limit}))

    def deploy(  # noqa: PLR0913 - everything a deployment can ask for
        self,
        name: str,
        *,
        model: str,
        workers: int | tuple[int, int] | None = None,
        replicas: int | None = None,
        shares: str = "",
        canary: int | None = None,
        shadow: bool = False,
        limits: Limits | None = None,
        wait: bool = True,
    ) -> Endpoint:
        """Let a model version answer under a name; an endpoint that exists moves over to it.

        Args:
            name: Name of the endpoint.
            model: The model version, such as ``cancer@1``.
            workers: How many processes predict: a number, or the least and the most, between which the load decides;
                with 0 as the least, none is kept while nobody asks. None: as many as before, one at first.
            replicas: On how many machines of the cluster, with so many workers on each. None: as before, one at first.
            shares: Name of the endpoint in whose replica a new one is to answer, on the same port and by the same
                workers. Empty: in one of its own, or as before.
            canary: Percent of the requests, 1 to 99, that this version is to answer beside the present one; None: all.
            shadow: Whether this version is to answer nobody, and to be compared with the present one.
            limits: How much the endpoint may be asked; None, and every limit that is None: as before.
            wait: Whether to return only when it answers.

        Raises:
            Unavailable: if it could not be started; the message says why.
        """
        body: dict[str, object] = {"name": name, "model": model}
        if canary is not None:
            body["canary"] = canary
        if shadow:
            body["shadow"] = True
        if limits is not None:
            body["limits"] = asdict(limits)
        if workers is not None:
            least, most = (workers, workers) if isinstance(workers, int) else workers
            body["workers"] = {"min": least, "max": most}
        if replicas is not None:
            body["replicas"] = replicas
        if shares:
            body["shares"] = shares
        endpoint = decode(Endpoint, self._transport.send("POST", path_of("endpoints", "deploy"), json=body))
        return self.wait(endpoint) if wait else endpoint

    def rollback(self, name: str, *, wait: bool = True) -> Endpoint:
        """Drop an endpoint's canary, or, without one, let the version before answer again.

        Args:
            name: The endpoint.
            wait: Whether to return only when nobody meets the dropped version any more.

        Raises:
            Conflict: if there is neither a canary nor a version before.
        """
        endpoint = decode(Endpoint, self._transport.send("POST", path_of("endpoints", name, "rollback")))
        return self.wait(endpoint) if wait else endpoint

    def wait(self, endpoint: Endpoint) -> Endpoint:
        """Return the endpoint once it answers with the model it was deployed with.

        Raises:
            Unavailable: if it could not be started; the message says why.
        """
        now = decode(Endpoint, self._transport.poll(path_of("endpoints", endpoint.name)))
        pause_s = 0.1
        while now.state == "starting":
            self._transport.pause(pause_s)
            pause_s = min(pause_s * 1.5, 1.0)
            now = decode(Endpoint, self._transport.poll(path_of("endpoints", endpoint.name)))
        if now.state != "ready":
            raise Unavailable(
                now.message or f"Endpoint {now.name!r} is {now.state}. See: lepton endpoints get {now.name}"
            )
        if now.went_back and not endpoint.went_back:
            raise Unavailable(now.went_back)
        return now

    def predict(self, name: str, rows: Mapping[str, object] | Sequence[Mapping[str, object]] | Frame) -> Predictions:
        """Ask an endpoint.

        Args:
            name: The endpoint.
            rows: One row as a dictionary, several as a list of them, or a pandas or Polars frame. None and NaN mean
                that a value is missing.
        """
        body = self._transport.send("POST", path_of("endpoints", name, "predict"), json=_records(rows))
        return decode(Predictions, body)

    def delete(self, name: str) -> None:
        """Stop an endpoint and forget it; its model stays."""
        self._transport.send("DELETE", path_of("endpoints", name))


def _records(rows: Mapping[str, object] | Sequence[Mapping[str, object]] | Frame) -> list[Mapping[str, object]]:
    if isinstance(rows, Mapping):
        return [rows]
    if hasattr(rows, "to_dicts"):
        return cast("list[Mapping[str, object]]", rows.to_dicts())
    if hasattr(rows, "to_dict"):
        return cast("list[Mapping[str, object]]", rows.to_dict(orient="records"))
    if isinstance(rows, Sequence) and not isinstance(rows, str | bytes) and all(isinstance(r, Mapping) for r in rows):
        return [*rows]
    raise InvalidInput(
        f"A {type(rows).__name__} cannot be predicted. "
        "Give a dictionary, a list of dictionaries, or a pandas or Polars frame."
    )

"""The only SQL of endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import sqlalchemy as sa

from lepton.endpoints.records import Companion, Endpoint, EndpointState, ReplicaProcess, Role
from lepton.endpoints.replica.config import Limits, Workers
from lepton.runs.engines.processes import ProcessMark
from lepton.store.database import UtcDateTime, metadata

endpoints = sa.Table(
    "endpoints",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("project", sa.String(64), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("model", sa.String(80), nullable=False),
    sa.Column("model_version_id", sa.String(26), nullable=False, index=True),
    sa.Column("blob_id", sa.String(64), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("tls", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("min_workers", sa.Integer, nullable=False),
    sa.Column("max_workers", sa.Integer, nullable=False),
    sa.Column("replicas", sa.Integer, nullable=False, server_default="1"),
    sa.Column("port", sa.Integer),
    sa.Column("replica_pid", sa.Integer),
    sa.Column("replica_started", sa.BigInteger),
    sa.Column("replica_boot", sa.String(36)),
    sa.Column("replica_generation", sa.Integer),
    sa.Column("sealed_signature", sa.LargeBinary, nullable=False),
    sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("previous", sa.String(80), nullable=False),
    sa.Column("went_back", sa.Text, nullable=False),
    sa.Column("max_rate", sa.Float),
    sa.Column("max_token_rate", sa.Float),
    sa.Column("max_concurrency", sa.Integer),
    sa.Column("shares_id", sa.String(26), index=True),
    sa.UniqueConstraint("project", "name"),
)
companions = sa.Table(
    "endpoint_companions",
    metadata,
    sa.Column("endpoint_id", sa.String(26), primary_key=True),
    sa.Column("role", sa.String(16), primary_key=True),
    sa.Column("model", sa.String(80), nullable=False),
    sa.Column("model_version_id", sa.String(26), nullable=False, index=True),
    sa.Column("blob_id", sa.String(64), nullable=False),
    sa.Column("percent", sa.Integer, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("sealed_signature", sa.LargeBinary, nullable=False),
)

endpoint_drift = sa.Table(
    "endpoint_drift",
    metadata,
    sa.Column("endpoint_id", sa.String(26), primary_key=True),
    sa.Column("model", sa.String(80), primary_key=True),
    sa.Column("sealed_reference", sa.LargeBinary, nullable=False),
    sa.Column("sealed_report", sa.LargeBinary),
)

endpoint_requests = sa.Table(
    "endpoint_requests",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("endpoint_id", sa.String(26), nullable=False, index=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)


def find(tx: sa.Connection, project: str, name: str, *, to_change: bool = False) -> Endpoint | None:
    """Return the endpoint of that name, or None.

    Args:
        tx: Where.
        project: Where.
        name: Its name.
        to_change: Whether others must wait with changing it, or what answers in its replica, until `tx` ends.
    """
    of = (endpoints.c.project == project, endpoints.c.name == name)
    shared = sa.select(endpoints.c.shares_id).where(*of).scalar_subquery()
    query = (
        sa.select(endpoints)
        .where(sa.or_(sa.and_(*of), endpoints.c.id == shared))
        .order_by(endpoints.c.shares_id.is_not(None))
    )
    rows = [*tx.execute(query.with_for_update() if to_change else query)]
    beside = _companions(tx, [row.id for row in rows])
    return next((one for one in _endpoints(rows, beside) if one.name == name), None)


def list_all(tx: sa.Connection, project: str | None = None) -> list[Endpoint]:
    """Return the endpoints of a project by name, or of all projects."""
    query = sa.select(endpoints).order_by(endpoints.c.project, endpoints.c.name)
    if project is not None:
        query = query.where(endpoints.c.project == project)
    return _endpoints([*tx.execute(query)], _companions(tx))


def guests(tx: sa.Connection, endpoint_id: str) -> list[str]:
    """Return the names of the endpoints that answer in the replica of one."""
    query = sa.select(endpoints.c.name).where(endpoints.c.shares_id == endpoint_id)
    return [*tx.execute(query.order_by(endpoints.c.name)).scalars()]


def insert(tx: sa.Connection, endpoint: Endpoint, *, sealed_signature: bytes, sealed_secret: bytes) -> None:
    """Add a new endpoint."""
    tx.execute(
        endpoints.insert().values(
            id=endpoint.id,
            project=endpoint.project,
            name=endpoint.name,
            created_at=endpoint.created_at,
            shares_id=endpoint.shares_id or None,
            sealed_secret=sealed_secret,
            **_deployment(endpoint),
            sealed_signature=sealed_signature,
        )
    )


def redeploy(
    tx: sa.Connection, endpoint: Endpoint, *, sealed_signature: bytes | None = None, beside: bytes | None = None
) -> None:
    """Change what an endpoint answers with; its replica stays until the new one listens.

    Args:
        tx: Where.
        endpoint: What it becomes; companions that it has no more are forgotten.
        sealed_signature: Of another main version; None if it stays.
        beside: The sealed signature of the last of its companions, if that one is new.
    """
    values = _deployment(endpoint) | ({} if sealed_signature is None else {"sealed_signature": sealed_signature})
    tx.execute(endpoints.update().where(endpoints.c.id == endpoint.id).values(**values))
    kept = endpoint.companions if beside is None else endpoint.companions[:-1]
    gone = companions.c.role.not_in([one.role.value for one in kept])
    tx.execute(companions.delete().where(companions.c.endpoint_id == endpoint.id, gone))
    if beside is not None:
        new = asdict(endpoint.companions[-1]) | {"endpoint_id": endpoint.id, "sealed_signature": beside}
        tx.execute(companions.insert().values(**new))


def set_standing(
    tx: sa.Connection, endpoint: Endpoint, replica: ReplicaProcess | None, state: EndpointState, message: str
) -> bool:
    """Record the replica of a deployment and how it stands; False if the deployment is gone or replaced."""
    values: dict[str, str | int] = {"state": state.value, "message": message}
    if replica is not None:
        values |= {
            "replica_pid": replica.mark.pid,
            "replica_started": replica.mark.started,
            "replica_boot": replica.mark.boot,
            "replica_generation": replica.generation,
            "port": replica.port,
        }
    still = (endpoints.c.id == endpoint.id, endpoints.c.generation == endpoint.generation)
    return tx.execute(endpoints.update().where(*still).values(**values)).rowcount == 1


def sealed(tx: sa.Connection, endpoint_id: str) -> tuple[bytes, bytes]:
    """Return the sealed signature and the sealed secret between control plane and replica."""
    query = sa.select(endpoints.c.sealed_signature, endpoints.c.sealed_secret).where(endpoints.c.id == endpoint_id)
    row = tx.execute(query).one()
    return row.sealed_signature, row.sealed_secret


def companion_signatures(tx: sa.Connection, endpoint_id: str) -> dict[Role, bytes]:
    """Return the sealed signatures of the versions beside the main one."""
    query = sa.select(companions.c.role, companions.c.sealed_signature).where(companions.c.endpoint_id == endpoint_id)
    return {Role(row.role): row.sealed_signature for row in tx.execute(query)}


def using(tx: sa.Connection, model_version_id: str) -> str | None:
    """Return the name of an endpoint that serves a model version, or None."""
    beside = sa.select(companions.c.endpoint_id).where(companions.c.model_version_id == model_version_id)
    answers = sa.or_(endpoints.c.model_version_id == model_version_id, endpoints.c.id.in_(beside))
    return tx.execute(sa.select(endpoints.c.name).where(answers).limit(1)).scalar_one_or_none()


def delete(tx: sa.Connection, endpoint: Endpoint) -> None:
    """Forget an endpoint, with what was learned of its requests."""
    endpoint_id = endpoint.id
    if endpoint.shares_id:  # the generations of a replica's endpoints are added up, and the sum must only grow
        grown = endpoints.c.generation + endpoint.generation + 1
        tx.execute(endpoints.update().where(endpoints.c.id == endpoint.shares_id).values(generation=grown))
    tx.execute(endpoint_drift.delete().where(endpoint_drift.c.endpoint_id == endpoint_id))
    tx.execute(endpoint_requests.delete().where(endpoint_requests.c.endpoint_id == endpoint_id))
    tx.execute(companions.delete().where(companions.c.endpoint_id == endpoint_id))
    tx.execute(endpoints.delete().where(endpoints.c.id == endpoint_id))


def keep_reference(tx: sa.Connection, endpoint_id: str, model: str, sealed: bytes) -> None:
    """Keep what a deployment is compared with, unless it is known already."""
    if drift(tx, endpoint_id, model) is None:
        values = {"endpoint_id": endpoint_id, "model": model, "sealed_reference": sealed}
        tx.execute(endpoint_drift.insert().values(**values))


def drift(tx: sa.Connection, endpoint_id: str, model: str) -> tuple[bytes, bytes | None] | None:
    """Return what a deployment is compared with and its last report, both sealed; None if it is not compared."""
    of = (endpoint_drift.c.endpoint_id == endpoint_id, endpoint_drift.c.model == model)
    query = sa.select(endpoint_drift.c.sealed_reference, endpoint_drift.c.sealed_report).where(*of)
    row = tx.execute(query).one_or_none()
    return None if row is None else (row.sealed_reference, row.sealed_report)


def set_drift(tx: sa.Connection, endpoint_id: str, model: str, sealed_report: bytes) -> None:
    """Keep the last report on a deployment."""
    of = (endpoint_drift.c.endpoint_id == endpoint_id, endpoint_drift.c.model == model)
    tx.execute(endpoint_drift.update().where(*of).values(sealed_report=sealed_report))


def add_requests(tx: sa.Connection, endpoint_id: str, sealed: Mapping[str, bytes], *, most: int) -> None:
    """Keep requests by id, those that are not known yet, and forget the oldest above `most`."""
    if not tx.execute(sa.select(endpoints.c.id).where(endpoints.c.id == endpoint_id)).one_or_none():
        return  # deleted meanwhile
    table = endpoint_requests
    known = set(tx.execute(sa.select(table.c.id).where(table.c.id.in_([*sealed]))).scalars())
    fresh = [{"id": id_, "endpoint_id": endpoint_id, "sealed": one} for id_, one in sealed.items() if id_ not in known]
    if fresh:
        tx.execute(table.insert(), fresh)
    newest = sa.select(table.c.id).where(table.c.endpoint_id == endpoint_id).order_by(table.c.id.desc())
    if first := tx.execute(newest.offset(most).limit(1)).scalar_one_or_none():
        tx.execute(table.delete().where(table.c.endpoint_id == endpoint_id, table.c.id <= first))


def requests(tx: sa.Connection, endpoint_id: str, limit: int) -> list[tuple[str, bytes]]:
    """Return the id and the sealed content of requests, the newest first."""
    table = endpoint_requests
    query = sa.select(table.c.id, table.c.sealed).where(table.c.endpoint_id == endpoint_id)
    return [(row.id, row.sealed) for row in tx.execute(query.order_by(table.c.id.desc()).limit(limit))]


def _deployment(endpoint: Endpoint) -> dict[str, str | float | None]:
    return {
        "model": endpoint.model,
        "model_version_id": endpoint.model_version_id,
        "blob_id": endpoint.blob_id,
        "generation": endpoint.generation,
        "state": endpoint.state.value,
        "message": endpoint.message,
        "host": endpoint.host,
        "tls": endpoint.tls,
        "min_workers": endpoint.workers.min,
        "max_workers": endpoint.workers.max,
        "replicas": endpoint.workers.replicas,
        "created_by": endpoint.created_by,
        "previous": endpoint.previous,
        "went_back": endpoint.went_back,
        **asdict(endpoint.limits),
    }


def _companions(tx: sa.Connection, endpoint_ids: Sequence[str] | None = None) -> dict[str, tuple[Companion, ...]]:
    """Return the versions beside the main one, of some endpoints or of all, by the endpoint's id."""
    query = sa.select(companions).order_by(companions.c.endpoint_id, companions.c.role)
    if endpoint_ids is not None:
        query = query.where(companions.c.endpoint_id.in_(endpoint_ids))
    found: dict[str, tuple[Companion, ...]] = {}
    for row in tx.execute(query):
        one = Companion(Role(row.role), row.model, row.model_version_id, row.blob_id, row.percent, row.since)
        found[row.endpoint_id] = (*found.get(row.endpoint_id, ()), one)
    return found


def _endpoints(
    rows: Sequence[sa.Row[tuple[object, ...]]], beside: Mapping[str, tuple[Companion, ...]]
) -> list[Endpoint]:
    """Return endpoints, each with what it has of the one it shares with, which must be among them."""
    found = [_endpoint(row, beside.get(row._mapping["id"], ())) for row in rows]
    by_id = {one.id: one for one in found}
    return [one.within(by_id[one.shares_id]) if one.shares_id else one for one in found]


def _endpoint(row: sa.Row[tuple[object, ...]], beside: tuple[Companion, ...]) -> Endpoint:
    value = row._mapping
    replica = None
    if value["replica_pid"] is not None:
        replica = ReplicaProcess(
            mark=ProcessMark(value["replica_pid"], value["replica_started"], value["replica_boot"]),
            port=value["port"],
            generation=value["replica_generation"],
        )
    return Endpoint(
        id=value["id"],
        project=value["project"],
        name=value["name"],
        model=value["model"],
        model_version_id=value["model_version_id"],
        blob_id=value["blob_id"],
        generation=value["generation"],
        state=EndpointState(value["state"]),
        message=value["message"],
        replica=replica,
        host=value["host"],
        tls=value["tls"],
        workers=Workers(value["min_workers"], value["max_workers"], replicas=value["replicas"]),
        created_at=value["created_at"],
        created_by=value["created_by"],
        companions=beside,
        previous=value["previous"],
        went_back=value["went_back"],
        limits=Limits(value["max_rate"], value["max_token_rate"], value["max_concurrency"]),
        shares_id=value["shares_id"] or "",
    )

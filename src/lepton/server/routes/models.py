"""``/v1/models``."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from lepton.core.refs import parse_ref
from lepton.server.bodies.models import (
    DetailAnswer,
    EvaluateBody,
    LineageAnswer,
    ModelAnswer,
    PredictBody,
    ProposedAnswer,
    ScorecardAnswer,
    TrainBody,
    VersionAnswer,
)
from lepton.server.bodies.runs import RunAnswer
from lepton.server.bodies.studies import (
    JournalAnswer,
    JournalBody,
    StudyAnswer,
    StudySummaryAnswer,
    TuneBody,
)
from lepton.server.upload import with_chunks
from lepton.server.wire import IN, Items, Merged, ModelRef, On, Project, Who, items

router = APIRouter(prefix="/v1/models", tags=["models"])

_CODE = {"application/zip": {"schema": {"type": "string", "format": "binary"}}}
_GRAPH = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


@router.get("", operation_id="models.list", response_model=Items[ModelAnswer])
def list_models(platform: On, actor: Who, project: Project = IN) -> object:
    """List the models of a project by name."""
    return items(platform.models.list(actor, project=project))


@router.post("/train", operation_id="models.train", response_model=RunAnswer, status_code=202)
def train_model(platform: On, actor: Who, body: TrainBody, project: Project = IN) -> object:
    """Train the next version of a model."""
    return platform.models.train(actor, request=body.request(project))


@router.post(
    "/register",
    operation_id="models.register",
    response_model=VersionAnswer,
    status_code=201,
    openapi_extra={"requestBody": {"content": _CODE, "required": True}},
)
async def register_model(platform: On, actor: Who, request: Request, name: str, project: Project = IN) -> object:
    """Keep a zip archive of code (``model.py`` with ``signature.json``) or of a graph (``model.onnx``) as a version."""
    again = partial(platform.access.renew, actor)
    return await with_chunks(
        request, lambda chunks: platform.models.register(actor, chunks, name=name, project=project, again=again)
    )


@router.post("/tune", operation_id="models.tune", response_model=RunAnswer, status_code=202)
def tune_model(platform: On, actor: Who, body: TuneBody, project: Project = IN) -> object:
    """Search for the best settings of a model, and train its next version with them."""
    return platform.models.tune(actor, request=body.tuning(project))


@router.get("/studies", operation_id="models.studies", response_model=Items[StudySummaryAnswer])
def list_studies(platform: On, actor: Who, project: Project = IN) -> object:
    """List the studies of a project: what was searched, and how well it went."""
    return items(platform.models.studies(actor, project=project))


@router.get("/studies/{name}", operation_id="models.study", response_model=StudyAnswer)
def get_study(platform: On, actor: Who, name: str, project: Project = IN) -> object:
    """Get a study with all its trials."""
    return platform.models.study(actor, name, project=project)


@router.delete("/studies/{name}", operation_id="models.forget", status_code=204)
def forget_study(platform: On, actor: Who, name: str, project: Project = IN) -> None:
    """Delete a study with all its trials for good; runs and models stay."""
    platform.models.forget(actor, name, project=project)


@router.get("/journals/{name}", operation_id="models.read_journal", response_model=JournalAnswer)
def read_journal(platform: On, actor: Who, name: str, after: int = 0, project: Project = IN) -> object:
    """Read what Optuna wrote from an entry on, as much as fits into one answer."""
    return platform.models.read_journal(actor, name, after=after, project=project)


@router.post("/journals/{name}", operation_id="models.append_journal", response_model=JournalAnswer)
def append_journal(platform: On, actor: Who, name: str, body: JournalBody, project: Project = IN) -> object:
    """Write entries of Optuna behind all others; a batch that was written before changes nothing."""
    return platform.models.append_journal(actor, name, body.batch, body.entries, after=body.after, project=project)


@router.get("/propose", operation_id="models.propose", response_model=ProposedAnswer)
def propose_recipes(platform: On, actor: Who, dataset: str, target: str, project: Project = IN) -> object:
    """Get recipes that fit a dataset and a target, the best first."""
    return platform.models.propose(actor, dataset=parse_ref(dataset), target=target, project=project)


@router.get("/{ref}", operation_id="models.get", response_model=DetailAnswer)
def get_model(platform: On, actor: Who, ref: ModelRef, project: Project = IN) -> object:
    """Get a version, or the latest, with signature, metrics and plots."""
    detail = platform.models.get(actor, ref, project=project)
    return Merged(detail.version, detail)


@router.post("/{ref}/evaluate", operation_id="models.evaluate", response_model=RunAnswer, status_code=202)
def evaluate_model(platform: On, actor: Who, ref: ModelRef, body: EvaluateBody, project: Project = IN) -> object:
    """Measure a version on a dataset version."""
    return platform.models.evaluate(actor, ref, dataset=parse_ref(body.dataset), project=project)


@router.post("/{ref}/predict", operation_id="models.predict", response_model=RunAnswer, status_code=202)
def predict_dataset(platform: On, actor: Who, ref: ModelRef, body: PredictBody, project: Project = IN) -> object:
    """Make a dataset version of another: its rows and columns, and the predictions of a version."""
    return platform.models.predict(actor, ref, dataset=parse_ref(body.dataset), name=body.name, project=project)


@router.get("/{ref}/lineage", operation_id="models.lineage", response_model=LineageAnswer)
def trace_model(platform: On, actor: Who, ref: ModelRef, project: Project = IN) -> object:
    """Get what a version was made from, and what it predicted."""
    return platform.models.lineage(actor, ref, project=project)


@router.get("/{ref}/scorecard", operation_id="models.scorecard", response_model=ScorecardAnswer)
def score_model(  # noqa: PLR0913 - a route's parameters are those of its address
    platform: On,
    actor: Who,
    ref: ModelRef,
    *,
    base: float = 600.0,
    odds: float = 50.0,
    pdo: float = 20.0,
    good: str | None = None,
    project: Project = IN,
) -> object:
    """Get a logistic regression of two classes as points to add up."""
    from lepton.training.scorecard import Scale

    scale = Scale(base=base, odds=odds, pdo=pdo)
    return platform.models.scorecard(actor, ref, scale=scale, good=good, project=project)


@router.get(
    "/{ref}/export", operation_id="models.export", response_class=Response, responses={200: {"content": _GRAPH}}
)
def export_model(platform: On, actor: Who, ref: ModelRef, project: Project = IN) -> Response:
    """Download a version as one ONNX graph that takes raw columns."""
    graph = platform.models.export(actor, ref, project=project)
    headers = {"Content-Disposition": f'attachment; filename="{ref}.onnx"'}
    return Response(graph, media_type="application/octet-stream", headers=headers)


@router.delete("/{ref}", operation_id="models.delete", status_code=204)
def delete_model(platform: On, actor: Who, ref: ModelRef, project: Project = IN) -> None:
    """Delete a version (``name@version``) or all of them (``name``) by destroying their keys."""
    platform.models.delete(actor, ref, project=project)

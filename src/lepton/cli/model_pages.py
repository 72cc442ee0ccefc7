"""What the terminal shows of one model version, run or endpoint, and of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from urllib.parse import urlsplit

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from lepton.cli.search_pages import search
from lepton.cli.tables import facts, metrics_line, state, table
from lepton.cli.words import bars, number, size, when
from lepton.client.answers import Cell
from lepton.client.endpoints import Compared, Endpoint, Machine, Predictions
from lepton.client.models import Evaluation, Lineage, ModelDetail, Node, Plot, Scorecard, Signature
from lepton.client.runs import Run

_SHOWN_COEFFICIENTS = 10
_SHOWN_TERMS = 30


def model(detail: ModelDetail) -> list[RenderableType]:
    """Show a version: what it predicts and how well, and what moves its predictions."""
    how = f"learned from {detail.dataset}" if detail.dataset else "registered"
    what = "is files only" if detail.recipe == "files" else f"predicts {detail.target} ({detail.task}, {detail.recipe})"
    parts: list[RenderableType] = [
        f"{detail.ref} {what}, {how} by {detail.created_by} at {when(detail.created_at)}; {size(detail.size_bytes)}",
    ]
    if detail.metrics:
        parts.append(metrics(detail.metrics, title="On rows held out from training"))
    parts += search({plot.kind: plot for plot in detail.plots})
    for kind, draw in (("confusion", confusion), ("coefficients", coefficients), ("summary", summary)):
        if (plot := detail.plot(kind)) is not None:
            parts.append(draw(plot))
    if detail.recipe != "files":
        parts.append(inputs(detail.signature))
    parts += [Text(f"! {note}", "yellow") for note in detail.notes]
    if detail.evaluations:
        parts.append(evaluations(detail.evaluations))
    return parts


def metrics(values: Mapping[str, float | None], *, title: str) -> Group:
    """Show metrics, one to a line, below a title."""
    return Group(Text(title, "bold"), facts((key, number(value)) for key, value in values.items()))


def evaluations(items: Sequence[Evaluation]) -> Table:
    """Show how a model did on datasets."""
    return table(
        ["on dataset", "measured", "at"],
        [(e.dataset, metrics_line(e.metrics.items()), when(e.created_at)) for e in items],
    )


def inputs(signature: Signature) -> Table:
    """Show the columns that a prediction takes."""
    return table(
        ["input", "type", "may be missing", "values seen"],
        [(i.name, i.type, "yes" if i.nullable else "no", _categories(i.values)) for i in signature.inputs],
    )


def _categories(values: Sequence[Cell] | None) -> str:
    if not values:
        return ""
    shown = ", ".join(number(value) for value in values[:6])
    return shown if len(values) <= 6 else f"{shown} and {len(values) - 6} more"


def confusion(plot: Plot) -> Table:
    """Show how often each class was taken for which."""
    classes, counts = plot.data.get("classes"), plot.data.get("counts")
    if not isinstance(classes, list) or not isinstance(counts, list):
        return table(["confusion"], [])
    rows: list[list[Text | str]] = [
        [str(name), *(Text(number(count), "green" if i == j else "") for j, count in enumerate(row))]
        for i, (name, row) in enumerate(zip(classes, counts, strict=True))
    ]
    return table(["true \\ predicted", *(f">{name}" for name in classes)], rows)


def coefficients(plot: Plot) -> Table:
    """Show what moves the predictions most."""
    names, values = plot.data.get("names"), plot.data.get("values")
    if not isinstance(names, list) or not isinstance(values, list):
        return table(["coefficients"], [])
    pairs = [(str(n), float(v)) for n, v in zip(names, values, strict=True) if isinstance(v, int | float)]
    ranked = sorted(pairs, key=lambda pair: -abs(pair[1]))
    top = abs(ranked[0][1]) if ranked else 1.0
    rows = [
        (
            name,
            number(value),
            Text("█" * max(1, round(20 * abs(value) / (top or 1.0))), "green" if value > 0 else "red"),
        )
        for name, value in ranked[:_SHOWN_COEFFICIENTS]
    ]
    return table(["moved most by", ">coefficient", ""], rows)


def summary(plot: Plot) -> Group:
    """Show the weights with their certainty, in the columns' own units."""
    terms, found = plot.data.get("terms"), plot.data.get("facts")
    if not isinstance(terms, list) or not isinstance(found, dict):
        return Group()
    keys = ("estimate", "error", "p", "low", "high")
    rows = [
        (f"{term['of']}: {term['name']}" if term["of"] else term["name"], *(number(term[key]) for key in keys))
        for term in terms[:_SHOWN_TERMS]
    ]
    more = [] if len(terms) <= _SHOWN_TERMS else [Text(f"and {len(terms) - _SHOWN_TERMS} more: --json", "dim")]
    heads = ["weight of", ">estimate", ">std. error", ">p", ">from", ">to (95%)"]
    line = ", ".join(f"{name} {number(value)}" for name, value in found.items())
    return Group(table(heads, rows), *more, Text(f"On the rows learned from: {line}"))


def scorecard(found: Scorecard) -> list[RenderableType]:
    """Show points to add up."""
    means = f"{found.base:g} points are odds of {found.odds:g} to 1 for {found.good}; {found.pdo:g} more double them."
    rows = [
        ("", "start", f"{found.start:.1f}"),
        *((line.column, line.condition, f"{line.points:.3g}") for line in found.lines),
    ]
    return [means, table(["column", "when", ">points"], rows)]


def lineage(found: Lineage) -> list[RenderableType]:
    """Show what something was made from, as a tree that leads back in time."""
    nodes = {node.id: node for node in found.nodes}
    used = {edge.source for edge in found.edges}
    seen: set[str] = set()

    def grow(tree: Tree, id_: str) -> None:
        if id_ in seen:
            tree.add(Text("(as above)", "dim"))
            return
        seen.add(id_)
        for edge in found.edges:
            if edge.target == id_ and edge.source in nodes:
                grow(tree.add(_node(nodes[edge.source])), edge.source)

    trees: list[RenderableType] = []
    for node in found.nodes:
        if node.id not in used:
            tree = Tree(_node(node), guide_style="dim")
            grow(tree, node.id)
            trees.append(tree)
    return trees


def _node(node: Node) -> Text:
    label = "" if node.label == node.kind else node.label
    return Text.assemble((f"{node.kind} ", "dim"), (label, "bold"), (f"  {node.detail}" if node.detail else "", "dim"))


def outputs(found: Run) -> str:
    """Tell what a run made."""
    return f"Made {', '.join(found.outputs)}." if found.outputs else f"Run {found.id} {found.state}."


def endpoint(found: Endpoint) -> list[RenderableType]:
    """Show an endpoint and how to ask it."""
    parts: list[RenderableType] = [Text.assemble(f"{found.name} answers with {found.model}: ", state(found.state))]
    if found.message:
        parts.append(found.message)
    if found.went_back:
        parts.append(Text(found.went_back, "yellow"))
    if found.rollout or found.companions:
        parts += rollout(found)
    if found.drift in ("moderate", "major"):
        parts.append(Text(f"Drift from training: {found.drift}. See: lepton endpoints metrics {found.name}", "yellow"))
    if found.url:
        parts.append(f"Programs ask it at {found.url} with a token.")
    if found.shares:
        parts.append(f"It shares the replica of {found.shares}, with its workers and its port.")
    if found.replica is not None:
        parts += workers(found)
    if found.signature is not None:
        parts.append(inputs(found.signature))
    return parts


def rollout(found: Endpoint) -> list[RenderableType]:
    """Show who gets how much, how it did, and what a shadow would have answered."""
    if not found.rollout:
        shares = ", ".join(f"{one.role} {one.model} {one.percent} %" for one in found.companions)
        return [f"Beside it: {shares}"]
    rows = [
        (
            o.role,
            o.model,
            f"{o.percent} %",
            str(o.requests),
            str(o.errors),
            str(o.limited),
            _ms(o.p50_ms),
            _ms(o.p99_ms),
        )
        for o in found.rollout
    ]
    columns = ["role", "model", ">share", ">requests", ">errors", ">limited", ">p50", ">p99"]
    parts: list[RenderableType] = [table(columns, rows)]
    for one in found.rollout:
        if one.comparison is not None:
            parts.append(_compared(one.model, one.comparison))
    if found.limits is not None and any(limits := asdict(found.limits).values()):
        named = zip(
            ("requests a second", "requests a second with one token", "predictions at a time"), limits, strict=True
        )
        parts.append("Limits: " + ", ".join(f"{number(most)} {what}" for what, most in named if most))
    return parts


def _compared(model: str, found: Compared) -> str:
    if not found.rows:
        return f"Nothing was compared with {model} yet; {found.failed} requests failed, {found.skipped} were skipped."
    return (
        f"{model} would have answered {number(found.same_percent)} % of {found.rows} rows the same; the difference is "
        f"{number(found.mean_difference)} on average and {number(found.largest_difference)} at most; "
        f"{found.failed} requests failed, {found.skipped} were skipped."
    )


def _ms(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:g} ms"


def workers(found: Endpoint) -> list[RenderableType]:
    """Show the processes behind an endpoint."""
    if found.replica is None or found.workers is None:
        return []
    least, most = found.workers.min, found.workers.max
    kept = f"{least}" if least == most else f"{least} to {most}"
    head = f"Workers: {kept}, {found.replica.wanted} wanted now; {found.replica.requests} requests answered"
    if found.replica.grpc_port and found.url:
        head += f"\nThey speak gRPC at {urlsplit(found.url).hostname}:{found.replica.grpc_port}"
    if found.replica.machines:
        head = head.replace("Workers:", f"Replicas: {found.workers.replicas}. Workers on each:", 1)
    parts: list[RenderableType] = [head, *_machines(found.replica.machines)]
    if not found.replica.workers:
        return [*parts, "None runs, as nobody asks; the next request starts one."]
    rows: list[tuple[Text | str, ...]] = [
        (
            str(w.slot), *([w.machine] if found.replica.machines else []), str(w.pid), state(w.state),
            str(w.in_flight), str(w.requests), str(w.errors), str(w.restarts),
        )
        for w in found.replica.workers
    ]  # fmt: skip
    where = ["machine"] if found.replica.machines else []
    columns = [">worker", *where, ">process", "state", ">in flight", ">requests", ">errors", ">restarts"]
    return [*parts, table(columns, rows)]


def _machines(found: Sequence[Machine]) -> list[RenderableType]:
    if not found:
        return []
    return [
        table(
            [">replica", "machine", "state", ""], [(str(m.slot), m.machine, state(m.state), m.message) for m in found]
        )
    ]


def predictions(answers: Predictions) -> Table:
    """Show predictions, with the chances of each class."""
    if any(answer.probabilities for answer in answers):
        classes = list(dict.fromkeys(name for answer in answers for name in answer.probabilities or {}))
        return table(
            [">row", "prediction", *(f">{name}" for name in classes), ""],
            [
                (
                    str(i), number(answer.label),
                    *(f"{(answer.probabilities or {}).get(name, 0.0):.3f}" for name in classes),
                    Text(bars([(answer.probabilities or {}).get(name, 0.0) for name in classes]), "cyan"),
                )
                for i, answer in enumerate(answers, 1)
            ],
        )  # fmt: skip
    return table([">row", ">prediction"], [(str(i), number(a.value)) for i, a in enumerate(answers, 1)])

"""What a fitted linear model says of itself, as a table: text, HTML and plain data.

The arithmetic is in ``inference.py``, which names its sources.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from lepton.training.inference import Inference
from lepton.training.problems import TrainingDataError

INTERCEPT = "(intercept)"
_HEADS = ("estimate", "std. error", "statistic", "p", "low", "high", "VIF")
_SOURCE = (
    "Covariances and Wald tests: Agresti 2015, 2.4 and 5.3. Pseudo-R²: McFadden 1974. "
    "VIF: Fox and Monette 1992. Condition index: Belsley, Kuh and Welsch 1980."
)


@dataclass(frozen=True)
class Term:
    """One weight.

    Args:
        name: of the column.
        of: the class whose score it is part of; empty if there is one score.
        estimate: the weight, in the column's own unit.
        error: its standard error; this and all that follows is None where it cannot be known.
        statistic: estimate / error: t for a regression, z for a classification.
        p: chance of a statistic at least this far from 0, if the weight were 0.
        low: lower end of the confidence interval.
        high: upper end.
        inflation: variance inflation factor.
    """

    name: str
    of: str
    estimate: float
    error: float | None
    statistic: float | None
    p: float | None
    low: float | None
    high: float | None
    inflation: float | None


@dataclass(frozen=True)
class Summary:
    """Weights with their certainty, and how well the model fits the rows it learned from.

    Args:
        title: which model.
        terms: the weights.
        facts: numbers on the whole by name, such as ``r2``, ``f``, ``log_likelihood``, ``aic``; all finite.
        notes: what to know before reading the table.
        level: of the confidence intervals.
    """

    title: str
    terms: tuple[Term, ...]
    facts: dict[str, float]
    notes: tuple[str, ...]
    level: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        terms = [vars(term) for term in self.terms]
        return {
            "title": self.title, "terms": terms, "facts": self.facts, "notes": list(self.notes), "level": self.level
        }  # fmt: skip

    def __str__(self) -> str:
        lines = [[_label(term), *map(_number, _cells(term))] for term in self.terms]
        heads = ["", *_HEADS]
        widths = [max(len(line[i]) for line in [heads, *lines]) for i in range(len(heads))]
        rule = "-" * (sum(widths) + 2 * len(widths) - 2)
        table = [
            "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(pairs))
            for pairs in (list(zip(line, widths, strict=True)) for line in [heads, *lines])
        ]
        facts = [f"{name}: {_number(value)}" for name, value in self.facts.items()]
        packed = ["   ".join(facts[i : i + 4]) for i in range(0, len(facts), 4)]
        return "\n".join([self.title, *packed, rule, table[0], rule, *table[1:], rule, *self.notes, _SOURCE])

    def _repr_html_(self) -> str:
        """Return a table for a notebook."""
        heads = "".join(f"<th>{html.escape(head)}</th>" for head in ("", *_HEADS))
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(_label(term))}</th>"
            + "".join(f"<td>{_number(value)}</td>" for value in _cells(term))
            + "</tr>"
            for term in self.terms
        )
        facts = "".join(f"<td>{html.escape(name)}: <b>{_number(value)}</b></td>" for name, value in self.facts.items())
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in (*self.notes, _SOURCE))
        return (
            f"<div><h4>{html.escape(self.title)}</h4><table><tr>{facts}</tr></table>"
            f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{notes}</div>"
        )


def summarize(
    found: Inference,
    names: Sequence[str],
    classes: Sequence[str] = (),
    *,
    level: float = 0.95,
    notes: tuple[str, ...] = (),
) -> Summary:
    """Write down what was inferred.

    Args:
        found: what was inferred.
        names: of the columns, without the intercept.
        classes: of the scores, if there are several.
        level: of the confidence intervals, above 0 and below 1.
        notes: more to know.

    Raises:
        TrainingDataError: the level is not possible.
    """
    if not 0 < level < 1:
        raise TrainingDataError(f"level={level!r} is not possible; give a number between 0 and 1, such as 0.95.")
    named = [*names, *([INTERCEPT] if found.intercept else [])]
    labels = classes if len(found.weights) > 1 else [""]
    errors, inflation, freedom = found.errors, found.inflation, found.freedom
    terms = tuple(
        _term(name, label, found.weights[k, j], errors[k, j], inflation[j], freedom, level)
        for k, label in enumerate(labels)
        for j, name in enumerate(named)
    )
    title = "Linear regression" if found.family == "linear" else "Logistic regression"
    facts = _linear_facts(found) if found.family == "linear" else _logistic_facts(found)
    finite = {name: float(value) for name, value in facts.items() if math.isfinite(value)}
    return Summary(title, terms, finite, (*notes, *_notes(found)), level)


def _term(name: str, label: str, estimate: float, error: float, inflation: float, freedom: float, level: float) -> Term:
    if not math.isfinite(error) or error <= 0:
        return Term(name, label, float(estimate), *[None] * 6)
    statistic = float(estimate / error)
    if math.isfinite(freedom):
        p, reach = 2 * special.stdtr(freedom, -abs(statistic)), special.stdtrit(freedom, 0.5 + level / 2)
    else:
        p, reach = 2 * special.ndtr(-abs(statistic)), special.ndtri(0.5 + level / 2)
    ends = (float(estimate - reach * error), float(estimate + reach * error))
    factor = float(inflation) if math.isfinite(inflation) else None
    return Term(name, label, float(estimate), float(error), statistic, float(p), *ends, factor)


def _linear_facts(found: Inference) -> dict[str, float]:
    assert found.residuals is not None and found.spread is not None  # noqa: PT018
    facts = {"rows": found.total, "rank": float(found.rank), "freedom": found.freedom}
    explaining = found.rank - found.intercept
    if found.spread > 0:
        r2 = 1.0 - found.residuals / found.spread
        facts["r2"] = r2
        if found.freedom > 0:
            facts["adjusted_r2"] = 1.0 - (1.0 - r2) * (found.total - found.intercept) / found.freedom
    if found.freedom > 0:
        facts["sigma"] = math.sqrt(found.residuals / found.freedom)
        if explaining and found.residuals > 0 and not found.penalized:
            f = (found.spread - found.residuals) / explaining / (found.residuals / found.freedom)
            facts["f"], facts["f_p"] = f, float(special.fdtrc(explaining, found.freedom, max(f, 0.0)))
    return facts | _information(found)


def _logistic_facts(found: Inference) -> dict[str, float]:
    facts = {"rows": found.total, "rank": float(found.rank)}
    facts["null_log_likelihood"] = found.null_log_likelihood
    if found.null_log_likelihood < 0:
        facts["pseudo_r2"] = 1.0 - found.log_likelihood / found.null_log_likelihood
    outputs = max(1, len(found.weights) - 1)
    explaining = found.rank - outputs * found.intercept
    if explaining and not found.penalized:
        ratio = max(2 * (found.log_likelihood - found.null_log_likelihood), 0.0)
        facts["likelihood_ratio"], facts["likelihood_ratio_p"] = ratio, float(special.chdtrc(explaining, ratio))
    return facts | _information(found)


def _information(found: Inference) -> dict[str, float]:
    """Akaike's and Schwarz's criteria; the deviation of a regression is not counted as a parameter."""
    return {
        "log_likelihood": found.log_likelihood,
        "aic": 2 * found.rank - 2 * found.log_likelihood,
        "bic": math.log(found.total) * found.rank - 2 * found.log_likelihood,
        "condition": found.condition,
    }


def _notes(found: Inference) -> tuple[str, ...]:
    notes = []
    if found.covariance is None and found.penalized:
        notes.append("With an L1 penalty there are no standard errors: it has chosen the columns by the same rows.")
    elif found.covariance is None:
        notes.append("There are not more rows than weights, so nothing is known of the errors.")
    elif found.penalized:
        notes.append("With a ridge penalty weights are drawn towards 0; errors are those of the posterior.")
    if found.loose.any():
        notes.append("Some columns are collinear: their weights are one choice among many and have no errors.")
    return tuple(notes)


def _label(term: Term) -> str:
    return f"{term.of}: {term.name}" if term.of else term.name


def _cells(term: Term) -> tuple[float | None, ...]:
    return (term.estimate, term.error, term.statistic, term.p, term.low, term.high, term.inflation)


def _number(value: float | None) -> str:
    if value is None or not np.isfinite(value):
        return ""
    return f"{value:.4g}"

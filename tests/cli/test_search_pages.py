"""What a search found, in a terminal: a person who knows the field and no statistics can read it."""

import io

from rich.console import Console

from lepton.cli import search_pages
from lepton.client.models import Plot

PLOTS = {
    "report": {"sentences": ["90% of the answers were right.", "What matters most is age."]},
    "leaderboard": {
        "metric": "log loss", "names": ["Linear model (linear#0)", "Random forest (random_forest#1)"],
        "scores": [0.3, 0.4], "spreads": [0.01, 0.02], "seconds": [0.5, 3.0], "weights": [0.75, 0.0],
    },
    "importance": {"metric": "log loss", "names": ["age", "city"], "values": [0.4, -0.001], "spreads": [0.02, 0.001]},
    "certainty": {
        "task": "class", "lows": [0.5, 0.9], "highs": [0.6, 0.95], "counts": [10, 30], "said": [0.55, 0.92],
        "right": [0.6, 0.9],
    },
    "failures": {
        "metric": "share of wrong answers", "overall": 0.1, "columns": ["age", "city"], "parts": ["low", "category"],
        "places": [-1, 1], "counts": [40, 25], "scores": [0.3, 0.5], "others": [0.1, 0.08],
    },
}  # fmt: skip


def shown(plots):
    console = Console(file=io.StringIO(), width=120, color_system=None)
    for part in search_pages.search({kind: Plot(kind=kind, data=data) for kind, data in plots.items()}):
        console.print(part)
    return console.file.getvalue()


def test_a_search_is_told_in_words_and_tables():
    text = shown(PLOTS)
    lines = [line.split() for line in text.splitlines()]
    assert "• What matters most is age." in text
    assert text.index("• 90%") < text.index("what matters") < text.index("candidate") < text.index("where it fails")
    assert ["Linear", "model", "(linear#0)", "0.3", "±", "0.01", "0.5", "75%"] in lines
    assert any(line[:4] == ["age", "0.4", "±", "0.02"] and line[4] == "█" * 20 for line in lines)
    assert ["90%", "to", "95%", "90%", "30"] in lines
    assert ["the", "lowest", "tenth", "of", "age", "40", "30%", "10%"] in lines
    assert ["city:", "category", "2", "25", "50%", "8%"] in lines


def test_intervals_of_a_number_and_a_table_without_weak_parts():
    text = shown({
        "certainty": {"task": "number", "levels": [0.8], "lows": [-2.5], "highs": [3.0]},
        "failures": {**PLOTS["failures"], **{key: [] for key in ("columns", "parts", "places", "counts", "scores")}},
    })  # fmt: skip
    assert ["80%", "-2.5", "3"] in [line.split() for line in text.splitlines()]
    assert "It does not clearly worse in any part of the table." in text


def test_a_model_without_a_search_shows_none_of_it():
    assert shown({"roc": {"fpr": [0, 1], "tpr": [0, 1], "auc": 0.5}}) == ""

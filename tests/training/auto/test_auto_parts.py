"""The parts of the search that need no other process: folds, lanes, choice, report."""

from dataclasses import replace

import numpy as np
import pytest

from lepton.training.auto import ensemble, folds, report
from lepton.training.auto.candidates import FAMILIES, Size, available
from lepton.training.auto.finish import Finished
from lepton.training.auto.lanes import Lane, choose, levels
from lepton.training.auto.results import DONE, SLOW, Result, pack, unpack
from lepton.training.auto.work import Rows
from lepton.training.problems import TrainingDataError
from lepton.training.recipes.port import Block, Problem


def test_every_row_judges_once_and_each_fold_has_its_share_of_a_rare_class():
    targets = np.array([0] * 90 + [1] * 10)
    parts = folds.split(targets, 5, classes=2, seed=0)
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert [int(targets[part].sum()) for part in parts] == [2] * 5


def test_too_few_rows_are_refused_with_what_to_do():
    with pytest.raises(TrainingDataError, match=r"There are 9 rows .* Bring more rows"):
        folds.split(np.zeros(9), 5, classes=None, seed=0)


def result(lane, number, loss, *, rows=1_000, fate=DONE, values=None):
    losses = (loss, loss) if fate == DONE else ()
    return Result(lane, number, "linear", values or {"strength": 1.0}, rows, fate, losses, fit_s=0.1, seconds=1.0)


def lane(steps=(1_000,)):
    return Lane(FAMILIES["linear"], 0, size=Size(1_000, 5, 2), levels=steps, seed=0)


def test_a_lane_tries_the_same_whoever_works_on_it_and_stays_near_its_best():
    first, second = lane(), lane()
    asked = []
    for each in (first, second):
        for number in range(6):
            task, _ = each.next(1e9)
            each.add(result("linear", number, abs(np.log10(float(task.values["strength"])) - 2), values=task.values))
        asked.append([one.values for one in each.results])
    assert asked[0] == asked[1]
    assert asked[0][0] == {"strength": 1.0}
    assert first.best.loss < first.results[0].loss


def test_the_best_of_few_rows_is_tried_on_more_when_there_is_time():
    grown = lane(steps=(1_000, 4_000))
    for number in range(3):
        grown.add(result("linear", number, 0.5 - 0.1 * number, values={"strength": float(number + 1)}))
    assert grown.next(0.5)[0].rows == 1_000  # four times the rows would take 4 s
    task, likely = grown.next(60.0)
    assert (task.rows, task.values, likely) == (4_000, {"strength": 3.0}, pytest.approx(4.8))


def test_large_tables_begin_with_few_rows():
    assert levels(Size(1_000, 10, 2)) == [1_000]
    steps = levels(Size(1_000_000, 100, 2))
    assert steps[-1] == 1_000_000
    assert steps[0] * 100 <= 8_000_000


def test_a_better_lane_gets_more_of_the_time_and_one_that_failed_none():
    good, bad, failed = lane(), lane(), lane()
    good.add(result("linear", 0, 0.1))
    bad.add(result("linear", 0, 0.9))
    failed.add(result("linear", 0, 0.0, fate=SLOW))
    assert choose([bad, failed, good]) == [good, bad]
    good.add(result("linear", 1, 0.2))
    good.add(result("linear", 2, 0.2))
    assert choose([bad, failed, good]) == [bad, good]


def test_candidates_that_agree_in_their_faults_are_not_mixed_and_those_that_differ_are():
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=400), rng.normal(size=(2, 400))
    alike = ensemble.choose(np.stack([shared, shared * 1.001]), None, seed=0)
    assert alike.weights == {0: 1.0}
    apart = ensemble.choose(own, None, seed=0)
    assert set(apart.weights) == {0, 1}
    assert sum(apart.weights.values()) == pytest.approx(1.0)
    assert apart.gain > apart.noise > 0
    assert len(ensemble.choose(own, None, seed=0, stack=False).weights) == 1


def test_what_would_not_fit_into_the_memory_is_named_and_not_tried():
    families, notes = available(Size(100_000, 50, 2), ("linear", "products"), 100 * 2**20)
    assert [family.name for family in families] == ["linear"]
    assert notes == [
        "Linear model with products of columns was not tried: it needs about 1,516 MB and 100 MB are there for each "
        "process."
    ]


def test_results_come_back_from_their_bytes():
    found = [(result("linear", 0, 0.25), np.ones((3, 2), np.float32)), (result("linear", 1, 0.0, fate=SLOW), None)]
    back, spent = unpack(pack(found, 12.5))
    assert spent == 12.5
    assert [one for one, _ in back] == [one for one, _ in found]
    np.testing.assert_array_equal(back[0][1], found[0][1])
    assert back[1][1] is None


BLOCKS = (Block("age", "number", 0, 1), Block("city", "category", 1, 2, 2))


def judged_classes():
    """Right everywhere but in the second city, where half is wrong."""
    rng = np.random.default_rng(3)
    second = np.arange(200) % 4 == 0
    features = np.column_stack([rng.normal(size=200), ~second, second]).astype(np.float32)
    targets = rng.integers(2, size=200)
    wrong = second & (np.arange(200) % 8 == 0)
    answers = np.full((200, 2), 0.05, np.float32)
    answers[np.arange(200), np.where(wrong, 1 - targets, targets)] = 0.95
    rows = Rows(features, targets, 2, [np.arange(200)], BLOCKS, 0)
    return report.Judged(rows, Problem(BLOCKS, 2, "bought"), answers, targets, np.arange(200), 0.0, 1.0)


def test_the_part_of_the_table_where_it_fails_is_found_with_its_numbers():
    found = report.failures(judged_classes())
    assert (found["columns"], found["parts"], found["places"], found["counts"]) == (["city"], ["category"], [1], [50])
    assert found["scores"] == [0.5]
    assert found["others"] == [0.0]


def test_a_part_whose_category_is_known_is_called_by_its_name():
    judged = judged_classes()
    named = tuple(
        replace(block, values=("Bern", "Graz")) if block.kind == "category" else block
        for block in judged.problem.blocks
    )
    found = report.failures(replace(judged, problem=replace(judged.problem, blocks=named)))
    assert (found["columns"], found["parts"]) == (["city = Graz"], ["named"])


def test_how_sure_it_is_is_compared_with_how_often_it_was_right():
    found = report.certainty(judged_classes())
    assert found["counts"] == [200]
    assert found["said"] == [pytest.approx(0.95)]
    assert found["right"] == [0.875]


def test_intervals_hold_the_share_of_truths_that_they_name():
    rng = np.random.default_rng(4)
    targets = rng.normal(size=1_000)
    answers = (targets + 0.5 * rng.normal(size=1_000)).astype(np.float32)
    rows = Rows(np.zeros((1_000, 3), np.float32), targets, None, [np.arange(1_000)], BLOCKS, 0)
    judged = report.Judged(rows, Problem(BLOCKS, None, "price"), answers, targets, np.arange(1_000), 50.0, 10.0)
    found = report.certainty(judged)
    off = (targets - answers) * 10.0
    for level, low, high in zip(found["levels"], found["lows"], found["highs"], strict=True):
        assert ((off >= low) & (off <= high)).mean() == pytest.approx(level, abs=0.005)  # quantiles of these rows


def test_the_report_is_in_words_with_what_matters_how_sure_and_where_it_fails():
    judged = judged_classes()
    best = Result("linear", 0, "linear", {}, 200, DONE, (0.3, 0.3))
    done = Finished((), ((best, 1.0),), judged.answers, judged.positions)
    gains = np.array([[0.0, 0.01, -0.01], [0.5, 0.52, 0.48]])
    plots = {
        "importance": report.importance(([0, 1], gains), BLOCKS, classes=2),
        "certainty": report.certainty(judged),
        "failures": report.failures(judged),
    }
    told = report.sentences(judged, done, plots, tried=3, seconds=9.0)
    assert [one.key for one in told] == ["good_class", "one", "columns_and_rest", "sure_class", "fails"]
    said = "\n".join(one.text for one in told)
    assert "87.5% of the answers were right" in said
    assert "What matters most is city. 1 other columns make no clear difference." in said
    assert "The model is one candidate: Linear model." in said
    assert "It fails more often in category 2 of city: 50% wrong there (50 rows), 0% elsewhere." in said

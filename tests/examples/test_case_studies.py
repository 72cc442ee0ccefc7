"""The examples run as a user runs them, and print numbers that make sense."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "synthetic" in (done.stdout + (EXAMPLES / name).read_text())
    return done.stdout


def number(text: str, before: str) -> float:
    found = re.search(re.escape(before) + r"\s+([-+]?[\d,.]+(?:e[-+]\d+)?)", text)
    assert found, f"no number after {before!r} in:\n{text}"
    return float(found[1].replace(",", ""))


def test_house_prices_are_predicted_about_as_well_as_their_noise_allows():
    printed = run("house_prices.py")
    assert 0.9 < number(printed, "R²") < 0.97
    assert 17_000 < number(printed, "RMSE") < 23_000  # the noise drawn is 20,000
    assert 13_500 < number(printed, "MAE") < 18_500  # 0.8 times that
    assert 70 < number(printed, "within 10% of the true") < 90
    assert 1_400 < number(printed, "learned:") < 1_600  # 1,500 a square meter were drawn


def test_customers_are_told_apart_better_than_by_the_most_frequent_answer():
    printed = run("will_a_customer_buy.py")
    accuracy, trivial = number(printed, "accuracy"), number(printed, "most frequent answer:")
    assert trivial + 0.2 < accuracy < 0.9
    assert 0.85 < number(printed, "ROC AUC") < 0.95
    table = [[int(count) for count in line.split()[-2:]] for line in printed.splitlines() if line.startswith("truly")]
    assert sum(map(sum, table)) == 800
    assert abs((table[0][0] + table[1][1]) / 800 - accuracy) < 0.0006  # printed with three digits
    assert number(printed, "weight of age") > 1
    assert number(printed, "weight of income") > 1.5


def test_two_processes_by_hand_find_what_one_worker_finds():
    printed = run("textbook_gradient_descent.py")
    losses = [float(loss) for loss in re.findall(r"mean loss ([\d.]+)", printed)]
    assert len(losses) == 6
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.006  # half of the noise's variance, 0.01
    assert number(printed, "on one worker:") < 1e-6


def test_handwritten_digits_are_read_by_frameworks():
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "handwritten_digits.py"), "sklearn", "pytorch"],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pytorch              cnn")  # the pixels are seen to be a picture
    assert number(done.stdout, "sklearn  ") > 0.92  # 360 rows; guessing has 0.1
    assert number(done.stdout.partition("held-out")[2], "pytorch  ") > 0.92

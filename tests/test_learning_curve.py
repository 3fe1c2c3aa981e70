"""`zoo diagnose --learning-curve`: parts of the data, the law through them, and what it must not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toys import document, run

import zoo
from zoo.diagnosis.law import fit
from zoo.diagnosis.sizes import FRACTIONS, LearningCurve, Size, foresee, learning_curve, part_of

Capture = pytest.CaptureFixture[str]
SIZES = np.array([125.0, 250.0, 500.0, 1000.0])


def made(errors: Any, *, maximize: bool = True, unit: str = "fraction") -> LearningCurve:
    """A curve of these errors, `[sizes][trainings]`."""
    sizes = tuple(
        Size(
            fraction=fraction,
            samples=int(samples),
            values=tuple(1 - error if maximize else error for error in each),
        )
        for fraction, samples, each in zip(FRACTIONS, SIZES, errors, strict=True)
    )
    told = {"run": "run", "model": "cnn/lenet5", "data": "digits", "metric": "accuracy"}
    return LearningCurve(**told, unit=unit, maximize=maximize, sizes=sizes, steps=10, planned=10)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> zoo.Run:
    settings = {"steps": 12, "batch_size": 20, "image_size": 16}
    folder = tmp_path_factory.mktemp("runs")
    return zoo.train("cnn/lenet5", "digits", output=folder / "run", settings=settings, device="cpu")


# -- the parts --------------------------------------------------------------------------------


def test_a_part_keeps_the_shares_of_classes_and_lies_inside_the_larger_ones() -> None:
    whole = zoo.load_dataset("digits")
    parts = [part_of(whole, fraction, seed=1) for fraction in FRACTIONS]
    rows = [{image.tobytes() for image in part.splits["train"]["images"]} for part in parts]
    assert rows[0] < rows[1] < rows[2] < rows[3]
    assert parts[3].fingerprint() == whole.fingerprint()
    for part, fraction in zip(parts, FRACTIONS, strict=True):
        assert part.problem.samples == part.size("train")
        before = whole.class_counts("train")
        assert part.class_counts("train") == {name: round(fraction * count) for name, count in before.items()}
        assert part.splits["test"] is whole.splits["test"]
    other = part_of(whole, 1 / 8, seed=2)
    assert other.fingerprint() != parts[0].fingerprint()


def test_of_a_series_the_last_steps_are_kept() -> None:
    whole = zoo.load_dataset("mackey-glass")
    part = part_of(whole, 1 / 4)
    series = np.asarray(whole.splits["train"]["series"])
    np.testing.assert_array_equal(part.splits["train"]["series"], series[-len(series) // 4 :])


def test_texts_are_parted_too() -> None:
    part = part_of(zoo.load_dataset("dates"), 1 / 8)
    assert len(part.splits["train"]["source"]) == len(part.splits["train"]["target"]) == 1000


# -- the law ----------------------------------------------------------------------------------


def test_a_power_law_is_found_again() -> None:
    errors = 2.0 * SIZES**-0.5 + 0.03
    law = fit(SIZES, errors[None], np.full(4, 1e-3))
    assert law.exponent[0] == pytest.approx(0.5, abs=0.02)
    assert law.floor[0] == pytest.approx(0.03, abs=0.002)
    assert law(2000)[0] == pytest.approx(2.0 * 2000**-0.5 + 0.03, abs=5e-4)


def test_neither_factor_nor_floor_is_negative() -> None:
    rising, steep = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.8, 0.4, 0.1, 0.0])
    law = fit(SIZES, np.stack([rising, steep]), np.full(4, 0.01))
    assert law.factor[0] == 0
    assert law.floor[0] == pytest.approx(0.25)
    assert law.floor[1] == 0
    assert law.factor[1] > 0


def test_the_interval_holds_what_twice_the_data_brings_about_as_often_as_it_says() -> None:
    rng, hits, said = np.random.default_rng(0), 0, 0
    for _ in range(60):
        exponent, floor = rng.uniform(0.3, 0.9), rng.uniform(0, 0.05)
        true = 0.1 * (SIZES / 1000) ** -exponent + floor
        found = foresee(made(true[:, None] + 0.01 * rng.standard_normal((4, 3))), judged=10_000)
        if found.forecast is None:
            continue
        said += 1
        hits += found.forecast.low <= 1 - (0.1 * 2**-exponent + floor) <= found.forecast.high
    assert said > 50
    assert hits / said > 0.7


def test_what_is_said_is_better_than_now_by_the_gain() -> None:
    found = foresee(made((2.0 * SIZES**-0.5)[:, None] + np.array([-0.002, 0, 0.002])), judged=2000)
    assert found.forecast is not None
    assert found.forecast.samples == 2000
    assert found.forecast.value == pytest.approx(1 - 2.0 * 2000**-0.5, abs=2e-3)
    assert found.forecast.gain == pytest.approx(2.0 * (1000**-0.5 - 2000**-0.5), abs=2e-3)
    assert found.forecast.gain_low <= found.forecast.gain <= found.forecast.gain_high
    errors = foresee(made((2.0 * SIZES**-0.5)[:, None] + np.array([0, 0.002]), maximize=False), judged=2000)
    assert errors.forecast is not None
    assert errors.forecast.value < errors.sizes[-1].mean


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ([[0.10, 0.12], [0.11, 0.09], [0.10, 0.12], [0.11, 0.10]], "trainings of one size differ as much"),
        ([[0.5, 0.501], [0.499, 0.5], [0.498, 0.5], [0.1, 0.101]], "do not lie on a power law"),
    ],
)
def test_what_the_sizes_do_not_support_is_not_said(errors: Any, told: str) -> None:
    found = foresee(made(errors), judged=2000)
    assert found.forecast is None
    assert told in found.reason


def test_of_one_training_each_errors_without_an_end_say_nothing() -> None:
    found = foresee(made([[0.9], [0.7], [0.6], [0.5]], maximize=False, unit="number"), judged=500)
    assert (found.forecast, found.reason) == (
        None,
        "of one training for each size it is not known how they differ",
    )


# -- real trainings ---------------------------------------------------------------------------


def test_each_size_is_trained_by_the_recipe_with_seeds_of_its_own(trained: zoo.Run) -> None:
    heard: list[float] = []
    found = learning_curve(trained, rounds=2, report=lambda fraction, _: heard.append(fraction))
    assert heard == [*FRACTIONS] * 2
    assert [size.samples for size in found.sizes][-1] == trained.record.problem.samples
    assert all(len(set(size.values)) <= 2 == len(size.values) for size in found.sizes)
    assert found.steps == found.planned == 12
    again = learning_curve(trained, rounds=1)
    assert [size.values[0] for size in again.sizes] == [size.values[0] for size in found.sizes]


def test_from_the_shell_within_a_time_with_a_picture(
    capsys: Capture, tmp_path: Path, trained: zoo.Run
) -> None:
    picture = tmp_path / "curve.png"
    arguments = ("diagnose", str(trained.path), "--learning-curve", "--time-budget", "2s", "--device", "cpu")
    status, out, _ = run(capsys, *arguments, "--png", str(picture))
    assert status == 0
    assert out.startswith("cnn/lenet5 on digits: test accuracy by training samples, ")
    rows = [line.split()[:2] for line in out.splitlines()[2:6]]
    assert [row[0] for row in rows] == ["0.125", "0.25", "0.5", "1"]
    assert rows[-1][1] == "1,297"
    assert out.splitlines()[6].startswith(
        ("twice the data", "what twice the data would bring cannot be said")
    )
    with Image.open(picture) as image:
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 10
    status, _, err = run(capsys, *arguments, "--png", str(picture))
    assert (status, err) == (1, f"zoo: '{picture}' exists already; choose another file\n")


def test_the_json_has_every_training(capsys: Capture, trained: zoo.Run) -> None:
    arguments = ("diagnose", str(trained.path), "--learning-curve", "--time-budget", "1s", "--device", "cpu")
    told = document(capsys, *arguments)
    assert [size["fraction"] for size in told["sizes"]] == list(FRACTIONS)
    assert told["planned"] == 12
    assert (told["forecast"] is None) == bool(told["reason"])


def test_options_of_the_curve_need_it(capsys: Capture, trained: zoo.Run) -> None:
    status, _, err = run(capsys, "diagnose", str(trained.path), "--png", "curve.png")
    assert status == 2
    assert "--time-budget and --png are for --learning-curve" in err


@pytest.mark.slow
def test_half_of_the_digits_foretells_the_whole(tmp_path: Path) -> None:
    whole = zoo.load_dataset("digits")
    settings = {"steps": 200, "batch_size": 32, "image_size": 16}
    half = part_of(whole, 1 / 2)
    made_of_half = zoo.train("cnn/lenet5", half, output=tmp_path / "half", settings=settings, device="cpu")
    found = learning_curve(made_of_half, data=half)
    reached = [
        zoo.train(
            "cnn/lenet5",
            whole,
            output=tmp_path / f"{seed}",
            settings={**settings, "seed": seed},
            device="cpu",
        ).metrics["accuracy"]
        for seed in range(3)
    ]
    assert found.forecast is not None, found.reason
    assert found.forecast.low - 0.01 <= np.mean(reached) <= found.forecast.high + 0.01

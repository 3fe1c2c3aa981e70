"""What `zoo predict` says of a series that goes on, and what it refuses in one line."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import zoo

HISTORY = [math.sin(step / 5) for step in range(96)]
SETTINGS = {"steps": 1, "batch_size": 2, "eval_samples": 8}


def trained(model: str, folder: Path, data: str = "mackey-glass") -> Path:
    """A run of one step."""
    options = {"units": 4, "width": 4} if "fcn" in model else {"units": 4, "layers": 1}
    done = zoo.train(model, data, output=folder, settings=SETTINGS, device="cpu", **options)
    return done.path


@pytest.fixture(scope="module")
def deepar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("lstm/deepar", tmp_path_factory.mktemp("deepar") / "run")


def text(values: list[float]) -> str:
    return " ".join(map(str, values))


def test_a_forecast_of_deepar_comes_with_its_quantiles(deepar: Path) -> None:
    (record,) = zoo.predict(deepar, text(HISTORY), levels=(0.05, 0.5, 0.95), seed=3)
    assert list(record["quantiles"]) == ["0.05", "0.5", "0.95"]
    low, median, high = (torch.tensor(rows) for rows in record["quantiles"].values())
    assert low.shape == (24, 1)
    assert (low < median).all()
    assert (median < high).all()
    model = zoo.load(deepar)
    scale, level = model.zoo.preprocess.std[0], model.zoo.preprocess.mean[0]
    history = (torch.tensor(HISTORY)[None, :, None] - level) / scale
    expected = model.quantiles(history, (0.05,), seed=3)[0, 0] * scale + level
    torch.testing.assert_close(low, expected, atol=1e-4, rtol=1e-4)


def test_quantiles_are_those_of_the_seed_that_was_given(deepar: Path) -> None:
    one, again, other = (zoo.predict(deepar, text(HISTORY), seed=seed)[0] for seed in (0, 0, 1))
    assert one == again
    assert one["quantiles"] != other["quantiles"]
    assert one["forecast"] == other["forecast"]


def test_each_of_several_series_gets_its_own_quantiles(deepar: Path) -> None:
    steep = [3 * value for value in HISTORY]
    both = zoo.predict(deepar, [text(HISTORY), text(steep)])
    spans = [
        torch.tensor(record["quantiles"]["0.9"]) - torch.tensor(record["quantiles"]["0.1"]) for record in both
    ]
    assert (spans[1].mean() > 1.5 * spans[0].mean()).item()


def test_the_command_shows_the_outer_quantiles_and_json_has_all(deepar: Path) -> None:
    command = (sys.executable, "-m", "zoo", "predict", str(deepar), text(HISTORY))
    plain, told = (
        subprocess.run((*command, *flags), check=True, capture_output=True, text=True).stdout
        for flags in ((), ("--json",))
    )
    record = json.loads(told)
    first = [rows[0][0] for rows in (record["forecast"], *record["quantiles"].values())]
    assert plain.splitlines()[0] == f"{first[0]:.5g} [{first[1]:.5g}, {first[3]:.5g}]"
    assert len(plain.splitlines()) == 24


def test_a_forecast_without_a_distribution_is_the_forecast_alone(tmp_path: Path) -> None:
    run = trained("lstm/forecaster", tmp_path / "run")
    (record,) = zoo.predict(run, text(HISTORY))
    assert list(record) == ["forecast"]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("place", [0, 50])
def test_a_series_with_gaps_is_refused_in_one_line(deepar: Path, value: str, place: int) -> None:
    told = [*map(str, HISTORY)]
    told[place] = value
    with pytest.raises(zoo.DataError, match=r": 1 of 96 numbers are not finite; fill them in$"):
        zoo.predict(deepar, " ".join(told))


@pytest.mark.parametrize("model", ["classifier", "lstm_fcn", "alstm_fcn"])
def test_a_series_to_classify_with_gaps_or_of_nothing_is_refused_in_one_line(
    tmp_path: Path, model: str
) -> None:
    run = trained(f"lstm/{model}", tmp_path / "run", "cbf")
    with pytest.raises(zoo.DataError, match=r"^'0 nan 2': 1 of 3 numbers are not finite; fill them in$"):
        zoo.predict(run, "0 nan 2")
    with pytest.raises(zoo.DataError, match=r"^'': 0 numbers do not make a series of 1 channels$"):
        zoo.predict(run, "")


def test_a_history_that_ends_with_unknown_steps_is_refused_in_one_line(deepar: Path) -> None:
    told = " ".join([*map(str, HISTORY), "nan", "nan"])
    with pytest.raises(
        zoo.DataError, match=r"^the history ends with steps that are not known; leave them out$"
    ):
        zoo.predict(deepar, told)


def test_a_series_of_nothing_known_is_refused_in_one_line(deepar: Path) -> None:
    with pytest.raises(zoo.DataError, match=r": 96 of 96 numbers are not finite; fill them in$"):
        zoo.predict(deepar, " ".join(["nan"] * 96))

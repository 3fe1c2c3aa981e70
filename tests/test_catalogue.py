"""`zoo catalogue build`: what the page holds, what may become of a folder, and text that means harm."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import toys
from toys import HOOK, Capture, Site, run

from zoo.catalogue import Grid, build_catalogue
from zoo.catalogue.folder import MARKER
from zoo.errors import ZooError
from zoo.recommender import OBJECTIVES, find_device, recommend
from zoo.registry import installed
from zoo.specs import Budget, Classes, ImageInput, Problem

HOSTILE = "<img src=x onerror=alert(1)></script>\u2028'\"`${x}\\"
TRAP = (
    HOOK + f"return [net(summary={HOSTILE!r}, paper='javascript:alert(1)', license='<b>')]\n\n"
    "@zoo.hookimpl\ndef zoo_weights():\n"
    "    yield zoo.WeightsSpec(tag='t', model='trap/net', source='file:x', dataset='</script><script>',\n"
    "                          metrics={'__proto__': 1.0, 'accuracy': 0.5})\n"
)
SMALL = Grid(
    samples=(100, 1000),
    classes=(2, 5),
    sides=(8, 32),
    lengths=(64,),
    devices=("rtx-4090", "laptop-cpu-4"),
    limits=(60, None),
)
FEW = "cnn,lstm"


def data(folder: Path, name: str = "models", *, variable: str = "catalogue") -> Any:
    """What a script of the page sets its global to."""
    script = (folder / f"{name}.js").read_text(encoding="utf-8")
    match = re.fullmatch(rf"window\.{variable} = JSON\.parse\((.*)\);\n", script, re.DOTALL)
    assert match
    return json.loads(json.loads(match[1]))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of everything that is installed, without recommendations."""
    toys.forget()
    return build_catalogue(installed(), tmp_path_factory.mktemp("page") / "new").folder


# -- what it holds ----------------------------------------------------------------------------


def test_the_page_holds_every_model_as_the_list_has_it(page: Path, capsys: Capture) -> None:
    listed = toys.document(capsys, "list")["models"]
    shown = data(page)["models"]
    assert len(shown) == len(listed) > 1000
    for mine, theirs in zip(shown, listed, strict=True):
        weights = [
            {name: record[name] for name in told}
            for record, told in zip(mine["weights"], theirs["weights"], strict=True)
        ]
        assert {name: mine[name] for name in theirs} | {"weights": weights} == theirs


def test_a_model_has_its_recipe_and_its_weights_their_hash(page: Path) -> None:
    found = data(page)
    (lenet,) = [model for model in found["models"] if model["name"] == "cnn/lenet5"]
    assert "epochs = 40" in found["recipes"][lenet["recipes"]["image-classification"]]
    (digits,) = lenet["weights"]
    assert re.fullmatch(r"[0-9a-f]{64}", digits["sha256"])
    assert digits["image"] == "1x32x32"
    assert digits["commercial"] is True


def test_what_fits_a_device_follows_from_what_the_recommender_estimates(page: Path) -> None:
    found = data(page)
    devices = {device["name"]: device for device in found["devices"]}
    models = {model["name"]: model for model in found["models"]}
    needs = models["timm/resnet50"]["needs"]
    small, large = devices["rtx-3060"], devices["h100-sxm"]
    assert small["available"] < large["available"] < 80 * 2**30
    assert 1e9 < needs[small["needs"]] < large["available"]
    assert all(device["needs"] in needs for device in devices.values())


def test_the_page_loads_nothing_from_anywhere_else(page: Path) -> None:
    for name, content in contents(page).items():
        if name in ("models.js", MARKER):
            continue
        text = content.decode().replace("http://www.w3.org/2000/svg", "")  # the name of SVG, not an address
        assert not re.search(r"https?://|@import|url\(|\bfetch\(|XMLHttp|innerHTML|outerHTML", text), name
    index = (page / "index.html").read_text()
    loaded = set(re.findall(r'(?:src|href)="([^"#]+)"', index)) - {"data:,"}
    assert loaded <= contents(page).keys()
    assert {path for path in contents(page) if path.endswith((".js", ".css"))} == loaded


def test_a_policy_in_the_page_lets_no_inline_script_run(page: Path) -> None:
    policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:"
    assert f'content="{policy}"' in (page / "index.html").read_text()


def test_hostile_text_stays_text(tmp_path: Path, install: Site) -> None:
    install("trap", TRAP)
    folder = build_catalogue(installed(), tmp_path / "page").folder
    (model,) = data(folder)["models"]
    assert model["summary"] == HOSTILE
    assert model["weights"][0]["metrics"] == {"__proto__": 1.0, "accuracy": 0.5}
    assert "onerror" not in (folder / "index.html").read_text()


def test_a_recipe_that_cannot_be_read_is_told_of_in_its_place(tmp_path: Path, install: Site) -> None:
    install("bad", HOOK + "return [net(recipes={'*': 'absent.toml'})]")
    found = data(build_catalogue(installed(), tmp_path / "page").folder)
    (place,) = found["models"][0]["recipes"].values()
    assert found["recipes"][place].startswith("# ")
    assert "absent.toml" in found["recipes"][place]


# -- answers ----------------------------------------------------------------------------------


def test_an_answer_is_what_the_recommender_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", FEW)
    toys.forget()
    registry = installed()
    seen: list[tuple[int, int]] = []
    folder = build_catalogue(
        registry, tmp_path / "page", grid=SMALL, progress=lambda done, of: seen.append((done, of))
    ).folder
    found = data(folder, "answers", variable="answers")
    answers = found["answers"]["image-classification"]
    assert len(answers) == 2 * 2 * 2 * 2 * len(OBJECTIVES)
    assert seen[-1][0] == seen[-1][1] == sum(map(len, found["answers"].values()))

    # 32 pixels a side, 2 classes, 1000 samples, the processor, the last objective
    place = (((1 * 2 + 0) * 2 + 1) * 2 + 1) * len(OBJECTIVES) + len(OBJECTIVES) - 1
    expected = recommend(
        registry,
        Problem(
            task="image-classification",
            input=ImageInput(channels=3, height=32, width=32),
            output=Classes(count=2),
            samples=1000,
        ),
        find_device(registry, "laptop-cpu-4"),
        Budget(),
        objective=list(OBJECTIVES)[-1],
        calibrations={},
    )
    answer = answers[place]
    picks = [answer["picks"][number] for number in answer["within"][SMALL.limits.index(None)]]
    names = [found["texts"][pick[0]] for pick in picks]
    assert names == [choice.model for choice in expected.recommendations]
    scores = [choice.score.value for choice in expected.recommendations if choice.score]
    assert [pick[2][0] for pick in picks] == scores
    toys.forget()


def test_what_is_picked_within_a_time_surely_takes_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", FEW)
    toys.forget()
    folder = build_catalogue(installed(), tmp_path / "page", grid=SMALL).folder
    every = data(folder, "answers", variable="answers")["answers"]
    high = [
        answer["picks"][number][4][2]
        for group in every.values()
        for answer in group
        for number in answer["within"][0]
    ]
    assert high
    assert max(high) <= 60
    toys.forget()


def test_every_device_is_answered_by_the_most_like_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", "lstm")
    toys.forget()
    folder = build_catalogue(installed(), tmp_path / "page", grid=SMALL).folder
    found = data(folder, "answers", variable="answers")
    nearest = {name: found["devices"][place] for name, place in found["nearest"].items()}
    assert nearest["rtx-4090"] == "rtx-4090"
    assert nearest["h100-sxm"] == "rtx-4090"
    assert nearest["server-cpu-32"] == "laptop-cpu-4"
    toys.forget()


# -- the folder -------------------------------------------------------------------------------


def test_an_earlier_catalogue_is_replaced_and_an_empty_folder_filled(tmp_path: Path, install: Site) -> None:
    install("good", toys.GOOD)
    folder = tmp_path / "deep" / "page"
    build_catalogue(installed(), folder, grid=SMALL)
    assert (folder / "answers.js").exists()
    build_catalogue(installed(), folder)
    assert not (folder / "answers.js").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    build_catalogue(installed(), empty)
    assert contents(empty) == contents(folder)
    assert {path.name for path in folder.parent.iterdir()} == {"page"}


@pytest.mark.parametrize("file", ["notes.txt", "index.html"])
def test_a_folder_that_holds_something_else_stays_as_it_is(tmp_path: Path, install: Site, file: str) -> None:
    install("good", toys.GOOD)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / file).write_text("mine")
    with pytest.raises(ZooError, match=rf"holds '{file}', which is no part of an earlier catalogue"):
        build_catalogue(installed(), folder)
    assert contents(folder) == {file: b"mine"}


def test_a_file_added_to_a_catalogue_is_never_deleted(tmp_path: Path, install: Site) -> None:
    install("good", toys.GOOD)
    folder = build_catalogue(installed(), tmp_path / "page").folder
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(ZooError, match=r"mine\.txt"):
        build_catalogue(installed(), folder)
    assert (folder / "mine.txt").read_text() == "mine"


def test_what_can_be_no_folder_is_one_line(tmp_path: Path, install: Site, capsys: Capture) -> None:
    install("good", toys.GOOD)
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "inside", tmp_path / ("x" * 300)):
        status, out, err = run(capsys, "catalogue", "build", str(path))
        assert (status, out, err.count("\n")) == (1, "", 1), path


def test_the_command_builds_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom zoo.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    assert not {'torch', 'timm'} & set(sys.modules)\n"
    )
    folder = tmp_path / "page"
    arguments = ["catalogue", "build", str(folder), "--no-answers", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert told["page"] == str(folder / "index.html")
    assert told["models"] == len(data(folder)["models"])
    assert told["bytes"] < 3_000_000

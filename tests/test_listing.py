"""What `zoo list` shows of large plugins, in which order, and which models no other beats."""

from __future__ import annotations

import json
from typing import Any

import pytest
from toys import HOOK, Capture, Site, document, run

import zoo
from zoo.columns import COLUMNS, sort_models, top1, unbeaten
from zoo.registry import Model, Plugin

PLUGIN = Plugin("good", "zootoy_good")
LARGE = (
    HOOK + "facts = lambda n: zoo.Facts(parameters=1000 * n, macs=10 * n)\n"
    "    yield from (net(f'deep{n}', group='deep', facts=facts(n)) for n in range(1, 41))\n"
    "    yield from (net(f'wide_{n}', group='wide') for n in range(20))\n"
    "    yield net('alone', group='lone', facts=facts(7))\n\n"
    "@zoo.hookimpl\ndef zoo_weights():\n"
    "    for name, tag, share in ('deep3', 'a', 0.8), ('deep3', 'b', 0.7), ('deep9', 'a', 0.75):\n"
    "        yield zoo.WeightsSpec(tag=tag, model=f'good/{name}', source='file:x', dataset='ImageNet-1k',\n"
    "                              metrics={'top1': share})\n"
)


def model(name: str, size: tuple[int, int] | None, *shares: float, side: int = 8, **fields: Any) -> Model:
    """A model of so many parameters and MACs at 8 x 8 pixels, with weights for images of `side` pixels."""
    problem = zoo.Problem(
        task="image-classification",
        input=zoo.ImageInput(channels=3, height=side, width=side),
        output=zoo.Classes(count=1000),
    )
    weights = [
        zoo.WeightsSpec(
            tag=f"t{number}",
            model=f"good/{name}",
            source="file:x",
            problem=problem,
            metrics={"top1": share},
            dataset=fields.get("dataset", "ImageNet-1k"),
        )
        for number, share in enumerate(shares)
    ]
    spec = zoo.ModelSpec(
        name=name,
        family="cnn",
        tasks=["image-classification"],
        builder="toy:build",
        facts=zoo.Facts(parameters=size[0], macs=size[1]) if size else None,
        reference=problem.replace(input=zoo.ImageInput(channels=3, height=8, width=8)),
    )
    return Model(spec, PLUGIN, tuple(weights))


def shown(models: list[Model]) -> list[tuple[str, list[str]]]:
    return [(model.spec.name, [weights.tag for weights in model.weights]) for model in models]


# -- columns ----------------------------------------------------------------------------------

MODELS = [
    model("exact", (9, 30), 0.9),
    model("small", (1, 10), 0.5, 0.7),
    model("waste", (9, 50), 0.6),
    model("twin", (1, 10), 0.7),
    model("untold", (2, 20)),
    model("unknown", None, 0.95),
]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("name", ["exact", "small", "twin", "unknown", "untold", "waste"]),
        ("params", ["small", "twin", "untold", "exact", "waste", "unknown"]),
        ("macs", ["small", "twin", "untold", "exact", "waste", "unknown"]),
        ("top1", ["unknown", "exact", "small", "twin", "waste", "untold"]),
    ],
)
def test_the_best_in_a_column_comes_first_and_the_unknown_last(column: str, expected: list[str]) -> None:
    assert [model.spec.name for model in sort_models(MODELS, column)] == expected


def test_what_no_other_beats_stays_with_the_weights_that_do_it() -> None:
    front = [("exact", ["t0"]), ("small", ["t1"]), ("twin", ["t0"])]
    assert sorted(shown(unbeaten(MODELS, ["top1", "params"]))) == front
    assert shown(unbeaten(MODELS[:1] + MODELS[2:3], ["top1", "params", "macs"])) == [("exact", ["t0"])]


def test_without_top1_models_are_compared_and_keep_all_their_weights() -> None:
    assert shown(unbeaten(MODELS, ["parameters", "macs"])) == [("small", ["t0", "t1"]), ("twin", ["t0"])]


def test_macs_count_at_the_size_of_image_that_the_weights_are_for() -> None:
    large, plain = model("large", (9, 20), 0.8, side=16), model("plain", (9, 40), 0.8)
    assert shown(unbeaten([large, plain], ["top1", "macs"])) == [("plain", ["t0"])]


def test_top1_is_that_of_imagenet() -> None:
    assert top1(MODELS[1]) == 0.7
    assert top1(model("other", None, 0.9, dataset="digits")) is None


def test_no_model_is_left_that_another_beats() -> None:
    many = [model(f"m{n}", (n * 37 % 101, n * 53 % 97), n * 29 % 89 / 89) for n in range(1, 200)]
    front = unbeaten(many, ["top1", "params", "macs"])

    def figures(entry: Model) -> tuple[float, int, int]:
        facts = entry.spec.facts
        assert facts
        return -(top1(entry) or 0), facts.parameters, facts.macs

    def beaten(one: Model) -> bool:
        mine = figures(one)
        return any(
            theirs != mine and all(a <= b for a, b in zip(theirs, mine, strict=True))
            for theirs in map(figures, many)
        )

    assert {entry.name for entry in front} == {entry.name for entry in many if not beaten(entry)}
    assert 2 < len(front) < len(many)


# -- the command ------------------------------------------------------------------------------


def test_a_large_plugin_is_shown_by_its_groups(install: Site, capsys: Capture) -> None:
    install("good", LARGE)
    status, out, err = run(capsys, "list")
    assert status == 0
    lines = {line.split()[0]: " ".join(line.split()) for line in out.splitlines()}
    assert list(lines) == ["model", "good/alone", "good/deep", "good/wide"]
    assert lines["good/deep"] == (
        "good/deep image-classification 1.0k to 40.0k 10 to 400 80.0% 3 sets 40 models, cnn"
    )
    assert lines["good/wide"] == "good/wide image-classification ? ? 20 models, cnn"
    assert "61 models; one by one: zoo list GROUP, zoo list 'good/*', or --all" in err


def test_a_group_s_name_lists_its_models(install: Site, capsys: Capture) -> None:
    install("good", LARGE)
    for pattern in ("wide", "good/wide", "wide_*"):
        assert len(document(capsys, "list", pattern)["models"]) == 20
    assert len(run(capsys, "list", "good/deep")[1].splitlines()) == 1 + 40
    assert len(run(capsys, "list", "--all")[1].splitlines()) == 1 + 61
    assert document(capsys, "list", "wid")["models"] == []


def test_models_with_weights_are_listed_or_those_without_but_not_both_at_once(
    install: Site, capsys: Capture
) -> None:
    install("good", LARGE)
    counts = {
        options: len(document(capsys, "list", "good/*", *options)["models"])
        for options in ((), ("--pretrained",), ("--scratch",), ("--scratch", "--scratch"))
    }
    assert counts == {(): 61, ("--pretrained",): 2, ("--scratch",): 59, ("--scratch", "--scratch"): 59}
    for options in (("--pretrained", "--scratch"), ("--scratch", "--pretrained")):
        status, out, err = run(capsys, "list", *options)
        assert (status, out) == (2, "")
        assert "leave no model" in err


def test_the_list_is_sorted_by_a_column(install: Site, capsys: Capture) -> None:
    install("good", LARGE)
    best = document(capsys, "list", "--sort", "top1")["models"]
    assert [(found["name"], found["top1"]) for found in best[:2]] == [
        ("good/deep3", 0.8),
        ("good/deep9", 0.75),
    ]
    smallest = run(capsys, "list", "--sort", "parameters")[1].splitlines()
    assert [line.split()[0] for line in smallest[1:]] == ["good/deep", "good/alone", "good/wide"]


def test_only_what_no_other_beats_is_listed(install: Site, capsys: Capture) -> None:
    install("good", LARGE)
    (found,) = document_of_front(capsys)
    assert (found["name"], [weights["tag"] for weights in found["weights"]]) == ("good/deep3", ["a"])
    status, out, err = run(capsys, "list", "--pareto", "top1,params")
    assert (status, len(out.splitlines())) == (0, 2)
    assert "left out: 59 models of which top1 or params is not known" in err


def document_of_front(capsys: Capture) -> list[dict[str, Any]]:
    """What `--pareto` gives as JSON, whose stderr tells besides what is left out."""
    return json.loads(run(capsys, "list", "--pareto", "top1,params", "--json")[1])["models"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--sort", "size"), "no column named 'size'; known: name, parameters, macs, top1"),
        (("--pareto", "top1,size"), "no column named 'size'"),
        (("--pareto", "name"), "no model beats another in 'name'; compare by parameters, macs, top1"),
    ],
)
def test_an_unknown_column_is_one_line(
    install: Site, capsys: Capture, arguments: tuple[str, ...], told: str
) -> None:
    install("good", LARGE)
    status, out, err = run(capsys, "list", *arguments)
    assert (status, out) == (1, "")
    assert told in err
    assert len(err.splitlines()) == 1


def test_python_selects_as_the_command_does(install: Site) -> None:
    install("good", LARGE)
    assert zoo.list_models(pareto=("top1", "params")) == ["good/deep3"]
    assert zoo.list_models("deep", sort="macs")[:2] == ["good/deep1", "good/deep2"]
    assert COLUMNS == ("name", "parameters", "macs", "top1")

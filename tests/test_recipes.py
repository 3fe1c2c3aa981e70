"""Recipes: their variants, what a user changes, and `zoo recipe`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st
from toys import PREFIX, SPECKS, Site, document, forget

import zoo
import zoo.testing
from zoo.cli.recipe import COMMON
from zoo.errors import SpecError
from zoo.recipefile import RecipeFile, Variant, parse_recipe
from zoo.recipes import misfits, parse_overrides, parse_settings, plugin_recipe, resolve_recipe
from zoo.recipetext import MEANINGS, to_toml
from zoo.registry import installed
from zoo.specs import Recipe, to_builtins

Capture = pytest.CaptureFixture[str]

VARIED = """
steps = 100
lr = 0.1

[[variant]]
max_samples = 1000
epochs = 60

[[variant]]
min_samples = 500
max_samples = 2000
lr = 0.2

[[variant]]
finetune = true
lr = 0.01
"""


def parsed(text: str) -> RecipeFile:
    return parse_recipe(msgspec.toml.decode(text), "net.toml")


def faults_of(text: str) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        parsed(text)
    return caught.value.faults


# -- variants ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "finetune", "expected"),
    [
        (None, False, {"steps": 100, "lr": 0.1}),
        (1, False, {"epochs": 60, "lr": 0.1}),
        (499, False, {"epochs": 60, "lr": 0.1}),
        (500, False, {"epochs": 60, "lr": 0.2}),
        (1000, False, {"epochs": 60, "lr": 0.2}),
        (1001, False, {"steps": 100, "lr": 0.2}),
        (2001, False, {"steps": 100, "lr": 0.1}),
        (None, True, {"steps": 100, "lr": 0.01}),
        (700, True, {"epochs": 60, "lr": 0.01}),
    ],
)
def test_the_variants_for_a_training_take_the_place_of_settings_and_the_last_one_rules(
    samples: int | None, finetune: bool, expected: dict[str, Any]
) -> None:
    assert parsed(VARIED).resolved(samples, finetune) == expected


def test_a_variant_for_training_from_scratch_leaves_fine_tuning_alone() -> None:
    found = parsed("[[variant]]\nfinetune = false\nmixup = 0.2\n")
    assert found.resolved() == {"mixup": 0.2}
    assert found.resolved(10, finetune=True) == {}


def test_every_fault_of_a_recipe_and_its_variants_is_told_at_once() -> None:
    text = """
    epohcs = 5
    lr = "fast"
    max_samples = 10
    [[variant]]
    max_sample = 10
    lr = -1.0
    [[variant]]
    finetune = "yes"
    schedule = "cosin"
    [[variant]]
    epochs = 3
    [[variant]]
    min_samples = 10
    max_samples = 5
    """
    assert faults_of(text) == (
        "unknown key 'epohcs'; did you mean 'epochs'?",
        "max_samples: belongs to a variant; put it below a line [[variant]]",
        "lr = 'fast': expected `float`, got `str`",
        "variant 1: unknown key 'max_sample'; did you mean 'max_samples'?",
        "variant 1: lr = -1.0: expected `float` > 0.0",
        "variant 2: finetune = 'yes': expected `bool | null`, got `str`",
        "variant 2: schedule = 'cosin': invalid enum value 'cosin'; did you mean 'cosine'?",
        "variant 3: for which trainings it is, is not said; give one of min_samples, max_samples, finetune",
        "variant 4: min_samples = 10: more than max_samples = 5",
        "variant 4: changes no setting",
    )


@pytest.mark.parametrize("text", ["variant = 3", "variant = [3]", "[variant]\nepochs = 3"])
def test_variants_that_are_no_list_of_tables_are_told_how_to_begin(text: str) -> None:
    assert faults_of(text) == ("variant: expected tables; begin each with a line [[variant]]",)


def test_what_does_not_go_together_is_told_with_the_variants_that_bring_it() -> None:
    text = "[[variant]]\nmax_samples = 90\nbatch_size = 10\n[[variant]]\nmin_samples = 50\naccumulate = 4\n"
    assert faults_of(text) == ("variant 1 with 2: accumulate = 4: does not divide batch_size = 10",)
    assert parsed(text.replace("min_samples = 50", "min_samples = 91")).resolved(91) == {"accumulate": 4}


def test_what_is_wrong_with_the_settings_themselves_is_told_once() -> None:
    assert faults_of(f"accumulate = 3\n{VARIED}") == ("accumulate = 3: does not divide batch_size = 64",)


SIZES = st.none() | st.integers(1, 40)


@given(st.lists(st.tuples(SIZES, SIZES, st.none() | st.booleans()), max_size=5), SIZES, st.booleans())
def test_no_training_takes_settings_that_were_not_checked(
    conditions: list[tuple[int | None, int | None, bool | None]], samples: int | None, finetune: bool
) -> None:
    variants = tuple(
        Variant(min_samples=least, max_samples=most, finetune=tuned, settings={"seed": number})
        for number, (least, most, tuned) in enumerate(conditions)
    )
    found = RecipeFile(variants=variants)
    assert found.resolved(samples, finetune) in found.combinations().values()


# -- as text ----------------------------------------------------------------------------------


def test_each_setting_has_a_line_on_what_it_is() -> None:
    assert tuple(MEANINGS) == Recipe.__struct_fields__


@pytest.mark.parametrize("defaults", ["left out", "written", "commented out"])
def test_a_recipe_written_as_text_reads_as_it_was(defaults: Any) -> None:
    settings = {
        "lr": 1e-5,
        "betas": [0.9, 0.95],
        "class_weights": [0, 1e20],
        "optimizer": 'a "b" \\',
        "options": {"a b": [1, {"c": True}], "d": "é", "e": {}, "f-g_1": float("inf")},
    }
    found = RecipeFile(settings=settings, variants=(Variant(max_samples=3, settings={"seed": 1}),))
    read = parsed(to_toml(found.settings, found.variants, defaults=defaults))
    assert read.variants == found.variants
    assert {name: read.settings[name] for name in settings} == settings
    assert zoo.Recipe(**read.settings) == zoo.Recipe(**settings)


# -- settings of a command --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("betas=[0.9,0.95]", [0.9, 0.95]),
        ("class_weights=balanced", "balanced"),
        ("class_weights=[1, 2.5]", [1, 2.5]),
        ("lr=3e-4", 3e-4),
        ("flip=True", True),
        ("compile=false", False),
        ("patience=none", None),
        ("tokenizer = bpe", "bpe"),
        ("batch_size=auto", "auto"),
        ('options={units = 32, kind = "a=b"}', {"units": 32, "kind": "a=b"}),
    ],
)
def test_a_setting_is_read_as_a_user_would_write_it(pair: str, value: Any) -> None:
    key = pair.partition("=")[0].strip()
    assert parse_settings([pair]) == {key: value}


def test_all_that_is_wrong_with_settings_is_told_at_once() -> None:
    pairs = ["lr=abc", "epochs=0", "epohcs=5", "betas=[0.9]", "nonsense", "seed=1", "seed=2", "min_lr=inf"]
    with pytest.raises(SpecError) as caught:
        parse_settings(pairs)
    assert sorted(caught.value.faults) == [
        "'nonsense' is not of the form key=value",
        "betas = [0.9]: expected `array` of length 2, got 1",
        "epochs = 0: expected `int` >= 1",
        "lr = 'abc': expected `float`, got `str`",
        "min_lr = inf: not a finite number",
        "seed is given twice; leave out one",
        "unknown key 'epohcs'; did you mean 'epochs'?",
    ]


def test_one_setting_says_one_thing() -> None:
    assert parse_overrides(["lr=1\nepochs=3"]) == {"lr": "1\nepochs=3"}
    with pytest.raises(SpecError, match=r"width is given twice; leave out one$"):
        parse_overrides(["width=1", "width=1", "width=2"])


def test_wrong_settings_of_a_training_are_one_line(capsys: Capture, tmp_path: Path) -> None:
    given = ("train", "cnn/lenet5", "--data", "digits", "--output", str(tmp_path / "run"))
    status, out, err = toys.run(capsys, *given, "-o", "lr=abc", "-o", "epochs=0", "-o", "epohcs=5")
    assert (status, out) == (1, "")
    assert err == (
        "zoo: -o: 3 faults: unknown key 'epohcs'; did you mean 'epochs'?; epochs = 0: expected `int` >= 1; "
        "lr = 'abc': expected `float`, got `str`\n"
    )
    assert not (tmp_path / "run").exists()


# -- a plugin with variants -------------------------------------------------------------------

TOY = """
@zoo.hookimpl
def zoo_models():
    return [net(recipes={"*": "net.toml"}, head=["1"])]
"""
TOY_RECIPE = """
steps = 5
batch_size = 4

[[variant]]
max_samples = 8
epochs = 3

[[variant]]
finetune = true
lr = 0.02
"""


@pytest.fixture
def toy(install: Site) -> Path:
    """The recipe file of a plugin, whose one model has variants for 8 samples and for fine-tuning."""
    install("toy", SPECKS + TOY)
    package = install.folder / f"{PREFIX}toy"
    package.mkdir()
    (install.folder / f"{PREFIX}toy.py").rename(package / "__init__.py")
    (package / "net.toml").write_text(TOY_RECIPE)
    forget()
    return package / "net.toml"


def test_each_source_of_settings_rules_over_those_before_it(toy: Path, tmp_path: Path) -> None:
    model, task = installed().model("toy/net")[0], "image-classification"
    assert resolve_recipe(model, task) == Recipe(steps=5, batch_size=4)
    assert resolve_recipe(model, task, samples=8) == Recipe(epochs=3, batch_size=4)
    assert resolve_recipe(model, task, samples=9, finetune=True) == Recipe(steps=5, batch_size=4, lr=0.02)
    file = tmp_path / "mine.toml"
    file.write_text("lr = 0.5\nepochs = 7\n[[variant]]\nmax_samples = 8\nepochs = 9\n")
    assert resolve_recipe(model, task, samples=9, file=file) == Recipe(lr=0.5, epochs=7)
    assert resolve_recipe(model, task, samples=8, file=file) == Recipe(lr=0.5, epochs=9)
    given = {"epochs": 2, "seed": 3}
    assert resolve_recipe(model, task, samples=8, file=file, overrides=given) == Recipe(
        lr=0.5, epochs=2, seed=3
    )
    assert resolve_recipe(model, task, overrides={"epochs": 2}) == Recipe(epochs=2, batch_size=4)


def test_a_training_takes_the_variants_that_are_for_it(toy: Path, capsys: Capture, tmp_path: Path) -> None:
    quick = ("train", "toy/net", "--data", "specks", "--device", "cpu")
    first = document(capsys, *quick, "--output", str(tmp_path / "first"))
    assert (first["recipe"], first["steps"]) == ({"epochs": 3, "batch_size": 4}, 6)
    assert "not the model's own" not in str(first["predicted"])
    weights = ("--weights", str(tmp_path / "first"))
    tuned = document(capsys, *quick, *weights, "-o", "steps=2", "--output", str(tmp_path / "tuned"))
    assert tuned["recipe"] == {"epochs": 3, "steps": 2, "batch_size": 4, "lr": 0.02}


def test_the_kit_refuses_a_recipe_whose_variant_is_bad(toy: Path) -> None:
    (check,) = zoo.testing.collect("toy", checks=("manifest",))
    check.run()
    toy.write_text(f"{TOY_RECIPE}\n[[variant]]\nmin_samples = 9\nepoch = 3\n[[variant]]\nmax_samples = 3\n")
    says = r"toy/net.toml: 2 faults: variant 3: unknown key 'epoch'; did.*; variant 4: changes no setting$"
    with pytest.raises(zoo.testing.ConformanceError, match=says):
        check.run()
    toy.write_text('[[variant]]\nfinetune = true\noptimizer = "adamq"\noptions = { width = 3 }\n')
    says = r"variant 1: options.width: toy/net has no such option; it has: none; variant 1: optimizer = 'ada"
    with pytest.raises(zoo.testing.ConformanceError, match=says):
        check.run()


def test_the_recommender_plans_with_the_variant_for_the_size(capsys: Capture) -> None:
    given = ("recommend", "--task", "text-classification", "--input", "128", "--classes", "4")
    lengths = {}
    for samples in ("500", "5000", "20000"):
        found = document(capsys, *given, "--samples", samples, "--top", "20")["recommendations"]
        (textcnn,) = [one for one in found if one["model"] == "cnn/textcnn" and not one["weights"]]
        lengths[samples] = textcnn["recipe"].get("steps"), textcnn["recipe"].get("epochs")
    assert lengths["500"][0] == 300
    assert [lengths[samples][1] for samples in ("5000", "20000")] == [8, 3]


# -- zoo recipe show --------------------------------------------------------------------------


def shown(capsys: Capture, *arguments: str) -> str:
    status, out, err = toys.run(capsys, "recipe", *arguments)
    assert (status, err) == (0, "")
    return out


def told(capsys: Capture, *arguments: str, status: int = 1) -> str:
    """The one line on stderr of a command that fails."""
    found, out, err = toys.run(capsys, *arguments)
    assert (found, out) == (status, "")
    return err


def test_a_recipe_is_shown_as_its_file_has_it(toy: Path, capsys: Capture) -> None:
    out = shown(capsys, "show", "toy/net")
    assert out.startswith("# toy/net, image-classification\n# net.toml of toy-toy 1.0\nsteps = 5\n")
    assert parsed(out) == parsed(TOY_RECIPE)


@pytest.mark.parametrize(
    ("arguments", "heading", "settings"),
    [
        (["--samples", "8"], "8 training samples; variant 1", {"epochs": 3, "batch_size": 4}),
        (["--samples", "9"], "9 training samples", {"steps": 5, "batch_size": 4}),
        (["--data", "specks"], "8 training samples; variant 1", {"epochs": 3, "batch_size": 4}),
        (
            ["--samples", "8", "--finetune"],
            "8 training samples, from weights; variant 1 with 2",
            {"epochs": 3, "batch_size": 4, "lr": 0.02},
        ),
        (["--finetune"], "from weights; variant 2", {"steps": 5, "batch_size": 4, "lr": 0.02}),
    ],
)
def test_a_recipe_is_shown_as_a_training_would_take_it(
    toy: Path, capsys: Capture, arguments: list[str], heading: str, settings: dict[str, Any]
) -> None:
    out = shown(capsys, "show", "toy/net", *arguments)
    training, _, variants = heading.partition("; ")
    first, second = out.splitlines()[:2]
    assert first == f"# toy/net, image-classification, {training}"
    assert second.removeprefix("# net.toml of toy-toy 1.0") == (f"; {variants}" if variants else "")
    assert parsed(out) == RecipeFile(settings=settings)


def test_all_settings_are_shown_with_a_line_on_each(toy: Path, capsys: Capture) -> None:
    out = shown(capsys, "show", "toy/net", "--samples", "8", "--full")
    lines = out.splitlines()[2:]
    assert [re.sub(r"^# ", "", line).split(" ")[0] for line in lines] == list(MEANINGS)
    assert all(line.endswith(f"  # {MEANINGS[name]}") for name, line in zip(MEANINGS, lines, strict=True))
    assert zoo.Recipe(**parsed(out).settings) == Recipe(epochs=3, batch_size=4)


def test_a_recipe_is_shown_to_programs_too(toy: Path, capsys: Capture) -> None:
    found = document(capsys, "recipe", "show", "toy/net", "--samples", "8")
    assert found == {
        "schema": 1,
        "model": "toy/net",
        "task": "image-classification",
        "file": "net.toml",
        "samples": 8,
        "finetune": False,
        "recipe": {"epochs": 3, "batch_size": 4},
        "variants": [
            {"max_samples": 8, "settings": {"epochs": 3}, "applies": True},
            {"finetune": True, "settings": {"lr": 0.02}, "applies": False},
        ],
    }
    full = document(capsys, "recipe", "show", "toy/net", "--full")["recipe"]
    assert set(full) == set(MEANINGS)
    assert (full["steps"], full["lr"], full["patience"]) == (5, 1e-3, None)


def test_a_model_without_a_recipe_takes_the_defaults(install: Site, capsys: Capture) -> None:
    install("toy", toys.GOOD)
    out = shown(capsys, "show", "net")
    assert out == "# toy/net, image-classification\n# the defaults: the plugin names no recipe\n"


def test_weights_say_which_task_and_that_they_are_where_a_training_starts(capsys: Capture) -> None:
    found = document(capsys, "recipe", "show", "lstm/classifier.snippets")
    assert (found["task"], found["finetune"]) == ("text-classification", True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("lstm/classifier",),
            "zoo: lstm/classifier: has a recipe for each task; say which: "
            "--task text-classification or series-classification\n",
        ),
        (
            ("cnn/lenet5", "--task", "forecasting"),
            "zoo: cnn/lenet5: does not do 'forecasting'; its tasks: image-classification\n",
        ),
        (("cnn/lenet5", "--data", "snippets"), "does not do 'text-classification'"),
        (("cnn/lenet",), "did you mean cnn/lenet5"),
    ],
)
def test_a_recipe_that_cannot_be_shown_is_one_line(
    capsys: Capture, arguments: tuple[str, ...], says: str
) -> None:
    assert says in told(capsys, "recipe", "show", *arguments)


def test_samples_are_counted_once(capsys: Capture) -> None:
    err = told(capsys, "recipe", "show", "cnn/lenet5", "--data", "digits", "--samples", "3", status=2)
    assert "give either --data or --samples" in err


# -- zoo recipe copy --------------------------------------------------------------------------


def test_a_recipe_is_copied_to_be_changed(toy: Path, capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    assert shown(capsys, "copy", "toy/net", str(file)) == (
        f"{file}: train with zoo train toy/net --data DATA --recipe {file}\n"
    )
    text = file.read_text()
    assert parsed(text) == parsed(TOY_RECIPE)
    assert all(re.search(rf"^(# )?{name} =.*  # \w", text, re.MULTILINE) for name in MEANINGS)
    assert list(tmp_path.glob("*mine*")) == [file]
    run = ("train", "toy/net", "--data", "specks", "--recipe", str(file), "--output", str(tmp_path / "run"))
    assert document(capsys, *run, "--device", "cpu")["recipe"] == {"epochs": 3, "batch_size": 4}


def test_every_recipe_of_ours_is_copied_as_it_is(capsys: Capture, tmp_path: Path) -> None:
    models = [model for model in installed().models.values() if model.plugin.name != "timm"]
    files = [(model, task) for model in models for task in model.spec.tasks]
    assert len(files) > 10
    for number, (model, task) in enumerate(files):
        file = tmp_path / f"{number}.toml"
        shown(capsys, "copy", model.name, str(file), "--task", task)
        assert parsed(file.read_text()) == plugin_recipe(model, task)
        assert misfits(model, plugin_recipe(model, task)) == []


def test_what_is_there_already_is_not_overwritten(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("kept")
    says = f"zoo: {str(file)!r} exists already; choose another file\n"
    assert told(capsys, "recipe", "copy", "cnn/lenet5", str(file)) == says
    assert file.read_text() == "kept"
    link = tmp_path / "link.toml"
    link.symlink_to(tmp_path / "nowhere")
    assert "exists already" in told(capsys, "recipe", "copy", "cnn/lenet5", str(link))
    assert sorted(path.name for path in tmp_path.glob("*.toml")) == ["link.toml", "mine.toml"]


def test_a_copy_that_cannot_be_written_leaves_nothing(capsys: Capture, tmp_path: Path) -> None:
    err = told(capsys, "recipe", "copy", "cnn/lenet5", str(tmp_path / "missing" / "mine.toml"))
    assert "mine.toml' cannot be written: No such file or directory" in err
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from zoo.cli import main\nmain(['recipe', 'copy', 'cnn/lenet5', 'mine.toml'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "zoo: 'mine.toml' cannot be written: File too large\n")
    assert not list(tmp_path.glob("*mine*"))


# -- zoo recipe validate ----------------------------------------------------------------------


def test_sound_files_are_valid(capsys: Capture, tmp_path: Path) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text(VARIED)
    other.write_text('optimizer = "sgd"\noptions = { width = 2 }\n')
    out = shown(capsys, "validate", str(one), str(other), "--model", "cnn/lenet5")
    assert out == f"{one}: valid\n{other}: valid\n"


def test_every_fault_of_every_file_is_a_line(capsys: Capture, tmp_path: Path) -> None:
    contents = {
        "a.toml": b"epohcs = 5\nepochs = 0\n[[variant]]\nmax_samples = 3\nlr = 'x'\n",
        "b.toml": b"epochs = ",
        "c.toml": b"\xff\xfe",
        "d.toml": b"seed = 1\n",
        "e.toml": b"x = " + b"[" * 100_000,
    }
    files = [tmp_path / name for name in (*contents, "missing.toml")]
    for file in files[:-1]:
        file.write_bytes(contents[file.name])
    status, out, err = toys.run(capsys, "recipe", "validate", *map(str, files))
    assert (status, err) == (1, "")
    lines = [line.removeprefix(f"{tmp_path}{os.sep}") for line in out.splitlines()]
    assert lines[:3] == [
        "a.toml: unknown key 'epohcs'; did you mean 'epochs'?",
        "a.toml: epochs = 0: expected `int` >= 1",
        "a.toml: variant 1: lr = 'x': expected `float`, got `str`",
    ]
    assert [line[:19] for line in lines[3:5]] == ["b.toml: is not TOML", "c.toml: is not TOML"]
    assert lines[5] == "d.toml: valid"
    assert lines[6].startswith("e.toml: is not TOML")
    assert "cannot be read: No such file" in lines[7]
    assert len(lines) == 8
    status, out, err = toys.run(capsys, "recipe", "validate", str(files[0]), str(files[3]), "--json")
    found = json.loads(out)
    assert (status, found["schema"]) == (1, 1)
    assert [(one["valid"], len(one["faults"])) for one in found["files"]] == [(False, 3), (True, 0)]


def test_a_recipe_is_checked_against_a_model_and_its_optimizer_against_timm(
    toy: Path, capsys: Capture, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('options = { depth = 3 }\n[[variant]]\nfinetune = true\noptimizer = "adamq"\n')
    status, out, _ = toys.run(capsys, "recipe", "validate", str(file), "--model", "toy/net")
    assert status == 1
    assert out.splitlines() == [
        f"{file}: options.depth: toy/net has no such option; it has: none",
        f"{file}: variant 1: optimizer = 'adamq': no such optimizer; did you mean 'adam'?",
    ]
    assert shown(capsys, "validate", _with(file, 'optimizer = "kron"\n')) == f"{file}: valid\n"


def test_an_option_that_a_model_does_not_take_gets_the_closest_and_a_head_must_be_there(
    capsys: Capture, tmp_path: Path
) -> None:
    file = _with(tmp_path / "mine.toml", "head_epochs = 1\noptions = { dims = 3 }\n")
    status, out, _ = toys.run(capsys, "recipe", "validate", file, "--model", "transformer/gpt")
    assert status == 1
    assert out.splitlines() == [
        f"{file}: head_epochs: the model declares no head; leave the setting out",
        f"{file}: options.dims: transformer/gpt has no such option; did you mean 'dim'?",
    ]


def _with(file: Path, text: str) -> str:
    file.write_text(text)
    return str(file)


def test_optimizers_that_are_not_looked_up_are_timms() -> None:
    import timm.optim

    assert {*COMMON} <= {*timm.optim.list_optimizers()}


# -- in a process of its own ------------------------------------------------------------------


def test_neither_seeing_copying_nor_checking_a_recipe_imports_torch(tmp_path: Path) -> None:
    _with(tmp_path / "bad.toml", "epohcs = 5\n")
    commands = [
        (["recipe", "show", "cnn/lenet5", "--data", "digits", "--full"], 0),
        (["recipe", "show", "timm/resnet50", "--samples", "30"], 0),
        (["recipe", "copy", "cnn/textcnn", "mine.toml"], 0),
        (["recipe", "validate", "mine.toml", "--model", "cnn/textcnn"], 0),
        (["recipe", "validate", "bad.toml"], 1),
        (["train", "cnn/lenet5", "--data", "digits", "-o", "epohcs=5"], 1),
    ]
    code = (
        "import json, sys\nfrom zoo.cli import main\nfound = []\n"
        f"for command in {[command for command, _ in commands]!r}:\n"
        "    try:\n        main(command)\n"
        "    except SystemExit as stop:\n        found.append([stop.code or 0, 'torch' in sys.modules])\n"
        "print(json.dumps(found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [[status, False] for _, status in commands]


@pytest.mark.parametrize(
    ("words", "completed"),
    [("zoo recipe show cnn/le", ["plain,cnn/lenet5"]), ("zoo recipe validate --model cnn/nothing", [])],
)
def test_a_shell_completes_the_names_of_models(words: str, completed: list[str]) -> None:
    asked = {"_ZOO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": f"{len(words.split()) - 1}"}
    done = subprocess.run(
        [sys.executable, "-c", "from zoo.cli import main; main()"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.stderr) == (completed, "")


def test_what_a_recipe_differs_in_is_a_recipe_again() -> None:
    found = parsed(VARIED).resolved(700, finetune=True)
    recipe = zoo.Recipe(**found)
    assert parsed(to_toml(to_builtins(recipe))).resolved() == found

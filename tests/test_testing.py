"""The conformance kit can fail: for each check a plugin that breaks it, and one that keeps to all."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from safetensors.torch import load_file, save_file
from toys import PREFIX, SPECKS, Site, forget

import zoo
import zoo.testing
from zoo.errors import PluginError, SpecError, UnknownNameError
from zoo.testing.kinds import KINDS
from zoo.testing.session import run_checks

IMAGES = """
PROBLEM = zoo.Problem(
    task="image-classification",
    input=zoo.ImageInput(channels=1, height=12, width=12),
    output=zoo.Classes(count=10),
)
MORE = {"head": ("head",)}

def build(problem):
    import os, threading
    import torch
    from torch import nn
    image, classes = problem.expect("net", zoo.ImageInput, zoo.Classes)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(image.channels * image.height * image.width, 16)
            self.head = nn.Linear(16, classes.count)
            self.calls = 0

        def forward(self, images):
            features = self.hidden(images.flatten(1)).relu()
            return self.head(features)

    return Net()
"""
TEXTS = """
PROBLEM = zoo.Problem(
    task="text-classification",
    input=zoo.TokenInput(vocab_size=259, length=32),
    output=zoo.Classes(count=4),
)
MORE = {"head": ("head",)}

def build(problem):
    from torch import nn
    tokens, classes = problem.expect("net", zoo.TokenInput, zoo.Classes)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.vectors = nn.Embedding(tokens.vocab_size, 16)
            self.head = nn.Linear(16, classes.count)

        def forward(self, tokens):
            real = (tokens != 0)[:, :, None]
            mean = (self.vectors(tokens) * real).sum(dim=1) / real.sum(dim=1).clamp_min(1)
            return self.head(mean)

    return Net()
"""
LANGUAGE = """
TOKENS = {"vocab_size": 259, "length": 32}
PROBLEM = zoo.Problem(
    task="language-modeling", input=zoo.TokenInput(**TOKENS), output=zoo.TokenOutput(**TOKENS)
)
MORE = {}

def build(problem):
    import torch
    from torch import nn
    tokens, following = problem.expect("net", zoo.TokenInput, zoo.TokenOutput)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.vectors = nn.Embedding(tokens.vocab_size, 64)
            self.hidden = nn.Linear(128, 64)
            self.head = nn.Linear(64, following.vocab_size, bias=False)
            self.head.weight = self.vectors.weight

        def forward(self, tokens):
            found = self.vectors(tokens)
            seen = found.cumsum(dim=1)
            return self.head(self.hidden(torch.cat([found, seen], dim=2)).tanh())

    return Net()
"""
HOOK = """
@zoo.hookimpl
def zoo_models():
    return [net(tasks=(PROBLEM.task,), reference=PROBLEM, **MORE)]
"""
SLOW = {"compile", "import", "side-effects"}  # seconds each: looked at where they are to fail


class Fault(NamedTuple):
    """An edit that breaks a sound plugin, the checks that see it, and what the first of them says."""

    base: str
    old: str
    new: str
    checks: str
    says: str


FEATURES = "features = self.hidden(images.flatten(1)).relu()"
RETURN = "return self.head(features)"
INIT = "self.calls = 0"
FAULTS = {
    "a parameter is not used": Fault(
        IMAGES,
        INIT,
        "self.spare = nn.Linear(2, 2)",
        "gradients",
        "no gradient reaches spare.weight, spare.bias",
    ),
    "a part gets no gradient": Fault(
        IMAGES, FEATURES, f"{FEATURES}.detach()", "gradients", "no gradient reaches hidden.weight"
    ),
    "a gradient is not finite": Fault(
        IMAGES,
        RETURN,
        "return self.head(features) + (features * 0).sqrt().sum(dim=1, keepdim=True)",
        "gradients overfit bf16 compile recipe resume",
        "the gradient of hidden.weight is not finite",
    ),
    "the input is not used": Fault(
        IMAGES,
        "images.flatten(1)",
        "0 * images.flatten(1)",
        "overfit gradients",
        "lower the loss on 4 samples",
    ),
    "it acts at random in evaluation": Fault(
        IMAGES,
        RETURN,
        "return self.head(features + torch.rand_like(features))",
        "eval batch copy round-trip compile",
        "in evaluation mode two answers to one input differ by",
    ),
    "evaluation changes a buffer": Fault(
        IMAGES,
        RETURN,
        "self.seen += 1; return self.head(features)",
        "eval",
        "a forward in evaluation mode changes seen",
    )._replace(base=IMAGES.replace(INIT, 'self.register_buffer("seen", torch.zeros(()))')),
    "it mixes the samples of a batch": Fault(
        IMAGES,
        RETURN,
        "return self.head(features - features.mean(dim=0))",
        "batch",
        "between a batch of 4 and one of its own; in evaluation mode compute nothing over the batch",
    ),
    "it reads padding": Fault(
        TEXTS,
        "real = (tokens != 0)",
        "real = (tokens == tokens)",
        "padding",
        "4 tokens of padding after a text",
    ),
    "it sees later tokens": Fault(
        LANGUAGE,
        "found.cumsum(dim=1)",
        "found + (found * (tokens != 0)[:, :, None]).sum(dim=1, keepdim=True)",
        "causality",
        "the answer at the first 1 tokens depends on later ones",
    ),
    "its builder looks at values": Fault(
        IMAGES,
        "return Net()",
        "return Net() if torch.ones(()).item() else None",
        "meta round-trip head",
        "building toy/net failed: RuntimeError: Tensor.item",
    ),
    "its forward looks at values": Fault(
        IMAGES,
        RETURN,
        "return self.head(features if images.sum() > -1e9 else images)",
        "meta",
        "the forward of",
    ),
    "a tensor is made on the CPU": Fault(
        IMAGES,
        INIT,
        'self.register_buffer("seen", torch.zeros(1, device="cpu"))',
        "meta",
        "seen has memory although it is built on the meta device",
    ),
    "it is built in another precision": Fault(
        IMAGES,
        "return Net()",
        "return Net().double()",
        "build meta forward facts seed copy eval batch gradients overfit recipe resume round-trip bf16 "
        "compile",
        "hidden.weight and 3 more tensors is of torch.float64; build in float32",
    ),
    "a buffer holds no numbers": Fault(
        IMAGES,
        INIT,
        'self.register_buffer("seen", torch.full((1,), torch.nan))',
        "build eval round-trip",
        "seen holds no finite numbers; initialise it",
    ),
    "its facts are another model's": Fault(
        IMAGES,
        'MORE = {"head"',
        'MORE = {"facts": zoo.Facts(parameters=7, macs=5), "head"',
        "facts",
        r"states .*macs 5 where 2,464 is traced; parameters 7 where 2,490 is traced",
    ),
    "its builder sets a seed": Fault(
        IMAGES, "return Net()", "torch.manual_seed(0); return Net()", "seed", "another seed gives the same 4"
    ),
    "it begins as chance will have it": Fault(
        IMAGES,
        INIT,
        "nn.init.constant_(self.head.bias, int.from_bytes(os.urandom(4)) / 2**32)",
        "seed resume compile",
        "head.bias differs although torch.manual_seed was the same",
    ),
    "it cannot be copied": Fault(
        IMAGES,
        INIT,
        "self.lock = threading.Lock()",
        "copy",
        "copy.deepcopy fails \\(TypeError: cannot pickle",
    ),
    "a tensor is not registered": Fault(
        IMAGES,
        RETURN,
        "return self.head(features) * self.scale",
        "round-trip copy",
        "failed: .* meta",
    )._replace(base=IMAGES.replace(INIT, "self.scale = torch.ones(1) + 1"), checks="round-trip"),
    "a tie is made by halves": Fault(
        LANGUAGE,
        "self.head.weight = self.vectors.weight",
        "self.head.weight = self.head.weight if self.head.weight.is_meta else self.vectors.weight",
        "round-trip",
        "weights just saved cannot be loaded: .*head.weight is missing",
    ),
    "its answer has another shape": Fault(
        IMAGES,
        RETURN,
        "return self.head(features)[:, None]",
        "forward overfit recipe resume",
        r"a batch of 1 gives \[1, 1, 3\]; the task asks for \[1, 3\]",
    ),
    "its answer has another precision": Fault(
        IMAGES, RETURN, f"{RETURN}.double()", "forward", "the output is torch.float64; give float32"
    ),
    "its answer is no tensor": Fault(
        IMAGES,
        RETURN,
        f"{RETURN},",
        "forward meta eval batch copy bf16 compile gradients overfit recipe resume round-trip",
        "the forward gives a tuple; give one tensor",
    ),
    "it does not ask for the classes": Fault(
        IMAGES,
        "nn.Linear(16, classes.count)",
        "nn.Linear(16, 10)",
        "forward recipe resume",
        r"gives \[1, 10\]; the task asks for \[1, 3\]",
    ),
    "its head is not declared": Fault(
        IMAGES,
        '{"head": ("head",)}',
        "{}",
        "head",
        r"head.weight is 3x16 where the model has 5x16.* name in `head`",
    ),
    "its head is another's": Fault(
        IMAGES,
        '("head",)',
        '("head", "hidden")',
        "head",
        "names 'hidden' in `head`, which does not depend on the",
    ),
    "training keeps a count that no file holds": Fault(
        IMAGES,
        RETURN,
        "self.calls += self.training; return self.head(features) * (1 + self.calls % 3)",
        "resume",
        "3 steps end with other weights where the training was interrupted after 1",
    ),
    "it wants float32": Fault(
        IMAGES,
        RETURN,
        "return self.head(features) if features.dtype == torch.float32 else self.lacking",
        "bf16 recipe resume",  # which train in bf16 where this CPU is faster so
        "failed: AttributeError: 'Net' object has no attribute 'lacking'",
    ),
    "it answers otherwise when compiled": Fault(
        IMAGES,
        RETURN,
        "return self.head(features) + torch.compiler.is_compiling()",
        "compile",
        "compiled, the output differs by",
    ),
    "its recipe is not there": Fault(
        IMAGES,
        'MORE = {"head"',
        'MORE = {"recipes": {"*": "lacking.toml"}, "head"',
        "manifest recipe resume",
        "lacking.toml: no such file in the package",
    ),
    "it names a task that nobody brings": Fault(
        IMAGES,
        "tasks=(PROBLEM.task,)",
        'tasks=(PROBLEM.task, "image-classifikation")',
        "manifest",
        "names a task 'image-classifikation', which no plugin brings; did you mean image-classification",
    ),
    "it prints when it is imported": Fault(
        IMAGES, "MORE =", "print('hello')\nMORE =", "import", "printed 'hello'; keep what needs torch in"
    ),
    "it imports torch at the top": Fault(
        IMAGES, "MORE =", "import torch\nMORE =", "import", "imports torch when it is loaded"
    ),
}


@pytest.fixture(autouse=True)
def _strict_about_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What plugins do wrong is told on stderr, and no error by itself."""
    monkeypatch.setenv("ZOO_QUIET", "1")


def failures(*, slow: str = "") -> dict[str, str]:
    """What each check of the toy says that fails; slow ones are made only where they are named."""
    found = {}
    for check in zoo.testing.collect("toy"):
        if check.name in SLOW and check.name not in slow.split():
            continue
        try:
            check.run()
        except pytest.skip.Exception:
            continue
        except Exception as error:
            found[check.name] = str(error)
    return found


def as_package(install: Site, **files: str) -> Path:
    """Makes the toy's module a package, with these files by name; `__` in a name stands for a dot."""
    module = install.folder / f"{PREFIX}toy.py"
    package = install.folder / f"{PREFIX}toy"
    package.mkdir()
    module.rename(package / "__init__.py")
    for name, content in files.items():
        (package / name.replace("__", ".")).write_text(content)
    forget()
    return package


@pytest.mark.parametrize("base", [IMAGES, TEXTS, LANGUAGE], ids=["images", "texts", "language"])
def test_a_sound_model_passes_every_check(install: Site, base: str) -> None:
    install("toy", base + HOOK)
    assert failures(slow=" ".join(SLOW)) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_check_fails_where_a_model_does_not_keep_to_it_and_says_why(install: Site, fault: str) -> None:
    base, old, new, checks, says = FAULTS[fault]
    code = base + HOOK
    assert code.count(old) == 1
    install("toy", code.replace(old, new))
    found = failures(slow=checks)
    first, *others = checks.split()
    assert first in found
    assert re.search(says, found[first])
    assert found.keys() <= {first, *others}


def test_every_check_of_models_has_a_fault_that_it_sees() -> None:
    seen = {fault.checks.split()[0] for fault in FAULTS.values()}
    assert {kind.name for kind in KINDS if kind.of == "model"} - seen == {
        "recipe"
    }  # see the one without file


def only(name: str, plugin: str = "toy") -> zoo.testing.Check:
    """The one check of that name."""
    (check,) = zoo.testing.collect(plugin, checks=(name,))
    return check


# -- checks with needs of their own --


def test_a_builders_module_that_changes_the_process_is_told(install: Site) -> None:
    install("toy", IMAGES + HOOK.replace("**MORE", f'builder="{PREFIX}side:build", **MORE'))
    side = "import torch\ntorch.set_default_dtype(torch.float64)\nprint('hello')\n"
    (install.folder / f"{PREFIX}side.py").write_text(f"{side}from {PREFIX}toy import build\n")
    says = "the modules of its builders printed 'hello'; changed torch's default dtype, which was put back"
    with pytest.raises(zoo.testing.ConformanceError, match=says):
        only("side-effects").run()


def test_a_builder_takes_any_number_of_classes(install: Site) -> None:
    refusal = 'if classes.count != 10: raise zoo.SpecError("net", ["10 classes only"])\n\n    class Net'
    install("toy", IMAGES.replace("class Net", refusal) + HOOK)
    says = (
        r"from 1 x 12 x 12 pixels to 3 classes: the builder refuses \(net: 10 classes only\); it is to take"
    )
    with pytest.raises(zoo.testing.ConformanceError, match=says):
        only("build").run()


def test_what_a_builder_refuses_with_a_reason_is_not_held_against_it(install: Site) -> None:
    refusal = 'if image.height != 12: raise zoo.SpecError("net", ["12 pixels only"])\n\n    class Net'
    install("toy", IMAGES.replace("class Net", refusal) + HOOK)
    assert failures() == {}


def test_what_is_not_stated_is_not_checked(install: Site) -> None:
    install("toy", IMAGES + HOOK)
    with pytest.raises(
        pytest.skip.Exception, match="states no facts; trace them: zoo profile 'toy/net' --write"
    ):
        only("facts").run()


def sized(sizes: str = "()") -> str:
    """A sound plugin whose facts are right at the reference, with facts at other sizes."""
    kept = "activation_bytes=dict(fp32=640, bf16=320), largest_tensor_bytes=dict(fp32=576, bf16=576)"
    facts = f"zoo.Facts(parameters=2490, macs=2464, {kept}, sizes={sizes})"
    return IMAGES.replace('MORE = {"head"', f'MORE = {{"facts": {facts}, "head"') + HOOK


SIZED = "(zoo.SizedFacts(size={}, parameters={}, macs=9376, activation_bytes=dict(fp32=2368, bf16=1184), \
largest_tensor_bytes=dict(fp32=2304, bf16=2304)),)"


@pytest.mark.parametrize("sizes", ["()", SIZED.format(24 * 24, 9402)])
def test_facts_at_other_sizes_may_be_stated(install: Site, sizes: str) -> None:
    install("toy", sized(sizes))
    only("facts").run()


@pytest.mark.parametrize(
    ("size", "parameters", "says"),
    [
        (24 * 24, 9401, "states parameters 9,401 where 9,402 is traced at size 576; trace them"),
        (23 * 24, 9402, "states facts at size 552, where none are traced; trace them"),
    ],
)
def test_facts_at_other_sizes_that_are_wrong_are_told(
    install: Site, size: int, parameters: int, says: str
) -> None:
    install("toy", sized(SIZED.format(size, parameters)))
    with pytest.raises(zoo.testing.ConformanceError, match=says):
        only("facts").run()


def test_facts_at_a_size_that_is_refused_are_told(install: Site) -> None:
    refusal = 'if image.height > 12: raise zoo.SpecError("net", ["12 pixels"])\n\n    class Net'
    install("toy", sized(SIZED.format(24 * 24, 9402)).replace("class Net", refusal))
    says = r"facts at size 576, which cannot be traced \(net: 12 pixels\)"
    with pytest.raises(zoo.testing.ConformanceError, match=says):
        only("facts").run()


FOREIGN = """
@zoo.hookimpl
def zoo_tasks():
    return [zoo.TaskSpec(name="darkness", implementation=f"{__name__}:darkness", metric="accuracy")]

def __getattr__(name):
    if name != "darkness":
        raise AttributeError(name)
    from dataclasses import replace
    from zoo.tasks.classification import image_classification
    return replace(image_classification, name="darkness")
"""


def test_a_task_of_the_plugins_own_is_checked_on_its_own_data(install: Site) -> None:
    """Without a reference problem: that of the data set."""
    specks = SPECKS.replace('task="image-classification"', 'task="darkness"')
    hook = HOOK.replace("(PROBLEM.task,), reference=PROBLEM", '("darkness",)')
    install("toy", IMAGES + hook + FOREIGN + specks)
    assert failures() == {}
    assert only("resume").subject == "toy/net"


# -- weights --

WEIGHTS = """
@zoo.hookimpl
def zoo_weights():
    return zoo.read_weights(__name__, "weights.json")
"""


def publish(install: Site, **changes: Any) -> Path:
    """Weights of the toy, with a true record but for the changes; returns the file."""
    import msgspec
    import torch

    from zoo.golden import golden_output
    from zoo.registry import installed

    install("toy", IMAGES + HOOK + WEIGHTS)
    record = install.folder / "weights.json"
    record.write_text('{"weights": []}')
    torch.manual_seed(0)
    module = zoo.load("toy/net")
    file = install.folder / "net.safetensors"
    save_file(module.state_dict(), file)
    problem = module.zoo.problem
    preprocess = zoo.ImagePreprocess(channels=1, height=12, width=12)
    task = installed().task_implementation(problem.task)
    spec = zoo.WeightsSpec(
        tag="own",
        model="toy/net",
        source=f"file:{file}",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        problem=problem,
        preprocess=preprocess,
        golden={"output": golden_output(module, task, problem, preprocess)},
    )
    record.write_bytes(msgspec.json.encode({"weights": [spec.replace(**changes)]}))
    forget()
    return file


def test_true_weights_pass(install: Site) -> None:
    publish(install)
    check = only("weights")
    assert check.id == "toy/net.own-weights"
    check.run()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sha256": "0" * 64}, "its sha256 is .* its record says 000000000000"),
        ({"golden": {"output": [[9.0] * 6] * 2}}, "does not give the output that its record promises"),
    ],
)
def test_weights_that_are_not_what_their_record_says_are_told(
    install: Site, changes: dict[str, Any], says: str
) -> None:
    publish(install, **changes)
    with pytest.raises(zoo.testing.ConformanceError, match=f"{says}.*; publish the file and its record anew"):
        only("weights").run()


def test_weights_that_do_not_fill_their_model_are_told(install: Site) -> None:
    file = publish(install, sha256=None)
    tensors = load_file(file)
    save_file({name: tensors[name] for name in tensors if name != "hidden.bias"}, file)
    with pytest.raises(zoo.testing.ConformanceError, match=r"hidden\.bias is missing"):
        only("weights").run()


def test_weights_that_are_elsewhere_are_passed_over_by_name(install: Site) -> None:
    publish(install, source="hf://somebody/net@0/model.safetensors")
    says = "toy/net.own-weights: is not on this machine: hf://somebody/net@0/model.safetensors"
    with pytest.raises(pytest.skip.Exception, match=says):
        only("weights").run()


# -- which checks --


def test_checks_are_named_after_models_and_chosen_by_globs(install: Site) -> None:
    install(
        "toy",
        (IMAGES + HOOK).replace(
            "[net(", "[net('other', builder=f'{__name__}:build', tasks=(PROBLEM.task,)), net("
        ),
    )
    names = [check.id for check in zoo.testing.collect("toy")]
    assert names[:4] == ["toy-manifest", "toy-import", "toy-side-effects", "toy/net-meta"]
    assert "toy/other-gradients" in names
    assert "toy/net-padding" not in names
    some = zoo.testing.collect("toy", models="ot*", checks=("seed", "gr*"))
    assert [check.id for check in some] == ["toy/other-seed", "toy/other-gradients"]


def test_what_does_not_exist_is_named_with_what_was_meant(install: Site) -> None:
    install("toy", IMAGES + HOOK)
    with pytest.raises(UnknownNameError, match=r"no plugin named 'tyo' among .*; did you mean toy"):
        zoo.testing.collect("tyo")
    with pytest.raises(UnknownNameError, match=r"no check named 'gradiens'; did you mean gradients"):
        zoo.testing.collect("toy", checks=("gradiens",))
    with pytest.raises(UnknownNameError, match="toy has nothing to check that matches 'resnet"):
        zoo.testing.collect("toy", models="resnet*")


def test_a_plugin_that_is_set_aside_cannot_be_checked(install: Site) -> None:
    install("toy", "raise RuntimeError('boom')")
    with pytest.raises(PluginError, match=r"quarantined: RuntimeError: boom; upgrade or fix toy-toy 1\.0"):
        zoo.testing.collect("toy")


# -- known failures --

KNOWN = '[[known_failure]]\nmodel = "net"\ncheck = "gradients"\nreason = "a spare wheel"\n'
SPARE = IMAGES.replace(INIT, "self.spare = nn.Linear(2, 2)")


def test_a_known_failure_carries_its_reason(install: Site) -> None:
    install("toy", SPARE + HOOK)
    as_package(install, conformance__toml=KNOWN)
    assert {check.name: check.known for check in zoo.testing.collect("toy") if check.known} == {
        "gradients": "a spare wheel"
    }


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"net"', '"nte"', r"check = 'gradients', model = 'nte': no such model \(did you mean 'net'\?\)"),
        (
            '"gradients"',
            '"gradiens"',
            r"check = 'gradiens', .* no such check there \(did you mean 'gradients'",
        ),
        ('"gradients"', '"padding"', "check = 'padding', model = 'net': no such check there; remove it"),
        ('reason = "a spare wheel"', "", "reason: missing"),
        ('"a spare wheel"', '""', "reason = ''"),
        ("[[known_failure]]", "[[unknown_failure]]", "expected a list of 'known_failure' records"),
    ],
)
def test_a_known_failure_that_cannot_be_is_a_fault(install: Site, old: str, new: str, says: str) -> None:
    install("toy", SPARE + HOOK)
    as_package(install, conformance__toml=KNOWN.replace(old, new))
    with pytest.raises(SpecError, match=says):
        zoo.testing.collect("toy")


# -- under pytest, in processes of their own --

OWN_TESTS = """
import zoo.testing

@zoo.testing.parametrize("toy", models="n*", checks=["seed", "gradients"])
def test_conformance(check: zoo.testing.Check) -> None:
    check.run()
"""


def shell(site: Path, cwd: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """`python -m ARGUMENTS` in a folder, with the toys on the path."""
    variables = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", **extra}
    command = [sys.executable, "-P", "-m", *arguments]
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)


def project(tmp_path: Path) -> Path:
    """A folder in which pytest would run into trouble."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (folder / "conftest.py").write_text("raise RuntimeError('not to be read')\n")
    (folder / "torch.py").write_text("raise RuntimeError('not to be imported')\n")
    return folder


def test_the_command_tells_what_fails_and_leaves_the_folder_alone(install: Site, tmp_path: Path) -> None:
    install("toy", SPARE + HOOK)
    folder = project(tmp_path)
    before = sorted(folder.rglob("*"))
    command = ["zoo", "plugins", "check", "toy", "-k", "seed", "-k", "gradients"]
    done = shell(install.folder, folder, *command, PYTEST_ADDOPTS="--no-such-option")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout
    assert "no gradient reaches spare.weight, spare.bias; use them in the forward" in done.stdout
    assert "test_conformance[toy/net-gradients]" in done.stdout
    assert "learning.py" not in done.stdout  # how the kit found it is of no interest
    assert sorted(folder.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "status", "says"), [(SPARE, 0, "1 passed, 1 xfailed"), (IMAGES, 1, "XPASS(strict)")]
)
def test_a_known_failure_must_go_on_failing(
    install: Site, tmp_path: Path, code: str, status: int, says: str
) -> None:
    """In both ways: by the command, and in the plugin's own tests."""
    install("toy", code + HOOK)
    as_package(install, conformance__toml=KNOWN)
    command = ["zoo", "plugins", "check", "toy", "-k", "seed", "-k", "gradients"]
    (tmp_path / "test_toy.py").write_text(OWN_TESTS)
    for arguments in (command, ["pytest", "-p", "no:cacheprovider", "-rA", "test_toy.py"]):
        done = shell(install.folder, tmp_path, *arguments)
        assert done.returncode == status, done.stdout + done.stderr
        assert says in done.stdout
        assert "a spare wheel" in done.stdout


@pytest.mark.slow
def test_a_plugins_own_tests_say_in_one_line_what_cannot_be_collected(install: Site, tmp_path: Path) -> None:
    install("toy", "raise RuntimeError('boom')")
    (tmp_path / "test_toy.py").write_text(OWN_TESTS)
    done = shell(install.folder, tmp_path, "pytest", "-p", "no:cacheprovider", "test_toy.py")
    assert done.returncode == 2
    assert "plugin 'toy': quarantined: RuntimeError: boom; upgrade or fix toy-toy 1.0" in done.stdout
    assert "Traceback" not in done.stdout


def test_where_pytest_is_missing_one_line_says_what_to_install(
    install: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("toy", IMAGES + HOOK)
    monkeypatch.setattr("zoo.testing.session.find_spec", lambda name: None)
    with pytest.raises(zoo.ZooError, match=r"not installed; pip install 'torch-zoo\[testing\]'$"):
        run_checks("toy")

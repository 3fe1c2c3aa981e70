"""Every way in which a plugin can be bad: the others list, train and load, and the reason is shown.

The plugins are real: modules with their metadata on the path. What makes a plugin unusable sets it aside,
bad manners are contained and remarked on, and what shows on use only is told then, with the plugin's name.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import GOOD, HOOK, SPECKS, Capture, Site, document, run

import zoo

REFERENCE = (
    "zoo.Problem(task='image-classification', input=zoo.ImageInput(channels=1, height=2, width=2),"
    " output=zoo.Classes(count=2))"
)
QUICK = ("--data", "specks", "-o", "steps=1", "-o", "batch_size=4", "--device", "cpu")
BROKEN = {  # what is wrong: code, then parts of the reason and of the mend that must be shown
    "not Python": ("def", "SyntaxError: ", "upgrade or fix toy-bad 1.0"),
    "import error": ("raise ImportError('libtoy is old')", "ImportError: libtoy is old", "toy-bad 1.0"),
    "missing dependency": ("import absent.part", "needs the module 'absent'", "pip install absent"),
    "missing file of its own": (
        "import zootoy_bad.part",
        "needs the module 'zootoy_bad.part'",
        "fix toy-bad",
    ),
    "exit at import": ("raise SystemExit('no GPU here')", "called sys.exit('no GPU here')", "toy-bad 1.0"),
    "endless recursion": ("def again():\n    again()\nagain()", "RecursionError: maximum recursion", "fix"),
    "misspelt hook": (
        "@zoo.hookimpl\ndef zoo_modles():\n    return []",
        "zoo_modles: no such hook; did you mean zoo_models?",
        "toy-bad 1.0",
    ),
    "unmarked hook": (
        "def zoo_models():\n    return []",
        "zoo_models: is not marked with @zoo.hookimpl",
        "fix",
    ),
    "unknown argument": (
        "@zoo.hookimpl\ndef zoo_models(registry):\n    return []",
        "{'registry'} are declared in the hookimpl but can not be found",
        "fix",
    ),
    "hook that is no function": ("zoo_models = []", "zoo_models: is a list, not a function", "fix"),
    "hook that raises": (HOOK + "raise RuntimeError('disk\\nfull')", "RuntimeError: disk", "disable bad"),
    "hook that exits": (HOOK + "raise SystemExit(3)", "called sys.exit(3)", "fix"),
    "returns None": (HOOK + "return None", "zoo_models returned None, not an iterable", "fix"),
    "returns text": (HOOK + "return 'net'", "zoo_models returned a str, not an iterable", "fix"),
    "returns one record": (HOOK + "return net()", "zoo_models returned a ModelSpec, not an iterable", "fix"),
    "wrong type": (HOOK + "return [{'name': 'net'}]", "returned a dict where ModelSpec was expected", "fix"),
    "fails midway": (HOOK + "yield net()\n    raise OSError('gone')", "OSError: gone", "fix"),
    "one name twice": (
        HOOK + "return [net(), net()]",
        "names 'bad/net', which itself has already",
        "rename it",
    ),
    "bad values": (
        HOOK + "return [net('Bad Name', image_size=0)]",
        "2 faults: name = 'Bad Name': ",
        "fix",
    ),
    "no manifest": (
        HOOK + "return zoo.read_models(__name__, 'models.toml')",
        "zootoy_bad/models.toml: no such file in the package",
        "fix",
    ),
    "weights that another has": (
        "@zoo.hookimpl\ndef zoo_weights():\n"
        "    return [zoo.WeightsSpec(tag='x', model='good/net', source='file:a')] * 2",
        "names 'good/net.x', which itself has already",
        "rename it",
    ),
}
METADATA: dict[str, tuple[dict[str, str], str]] = {  # what its files say, then a part of the reason
    "another version of zoo": ({"requires": "torch-zoo>=99"}, "needs torch-zoo>=99, installed is "),
    "nonsense required": ({"requires": "torch-zoo ==!!"}, "InvalidRequirement: "),
    "an object as entry point": (
        {"entry_points": "[zoo]\nbad = zootoy_bad:plugin"},
        "names 'zootoy_bad:plugin'",
    ),
    "no entry point": ({"entry_points": "[zoo]\nbad ="}, "its entry point names nothing, not a module"),
    "a name for no model": (
        {"entry_points": "[zoo]\nBad.Name = zootoy_bad"},
        "name 'Bad.Name' is not of lower-case",
    ),
}
MANNERS = {  # what it does besides: code before a sound plugin, then the remark
    "prints": ("print('loading', 3)\nprint('more')", "printed 'loading 3' and 1 more lines"),
    "imports torch": ("import torch", "imports torch when it is loaded"),
    "imports a part of torch": ("from torch.nn import Linear", "imports torch when it is loaded"),
    "default dtype": (
        "import torch\ntorch.set_default_dtype(torch.float64)",
        "changed torch's default dtype",
    ),
    "default device": ("import torch\ntorch.set_default_device('meta')", "changed torch's default device"),
    "threads": ("import torch\ntorch.set_num_threads(3)", "changed torch's number of threads"),
    "torch's seed": ("import torch\ntorch.manual_seed(54321)", "changed torch's seed"),
    "gradients": ("import torch\ntorch.set_grad_enabled(False)", "changed torch's gradient mode"),
    "random's seed": ("import random\nrandom.seed(54321)", "changed random's state"),
    "numpy's seed": ("import numpy as np\nnp.random.seed(54321)", "changed numpy.random's state"),
    "warnings": ("import warnings\nwarnings.simplefilter('ignore')", "changed the filters of warnings"),
    "variables": (
        "import os\nos.environ['ZOO_OFFLINE'] = '0'\nos.environ['TOY'] = '1'",
        "changed environment variables (TOY, ZOO_OFFLINE), which was put back",
    ),
    "current folder": ("import os\nos.chdir('/')", "changed the current directory"),
    "stdout": ("import sys\nsys.stdout = sys.stderr = None", ""),
}


def shown(capsys: Capture) -> dict[str, Any]:
    """The toys among the plugins as `zoo plugins --json` has them."""
    rows = document(capsys, "plugins")["plugins"]
    return {row["name"]: row for row in rows if row["distribution"].startswith("toy")}


def check_good(capsys: Capture, folder: Path) -> None:
    """The model of the good plugin lists, trains and loads, and the commands end well."""
    listed = document(capsys, "list", "good/*")["models"]
    assert [model["name"] for model in listed] == ["good/net"]
    status, out, err = run(capsys, "train", "good/net", *QUICK, "--output", str(folder / "run"))
    assert status == 0, err
    assert "good/net on specks" in out
    assert "Traceback" not in err
    loaded = zoo.load(folder / "run")
    assert loaded(torch.zeros(1, 1, 2, 2)).shape == (1, 2)
    assert loaded.zoo.labels == ("dark", "light")


# -- what sets a plugin aside -----------------------------------------------------------------


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_shown_and_harms_no_other(
    install: Site, capsys: Capture, tmp_path: Path, kind: str
) -> None:
    code, reason, mend = BROKEN[kind]
    install("bad", code)
    install("good", GOOD + SPECKS)

    status, out, err = run(capsys, "list", "--json")
    assert status == 0
    assert [model["name"] for model in json.loads(out)["models"]] == ["good/net"]
    assert err.count("\n") == 1
    assert err.startswith("zoo: plugin 'bad' (toy-bad 1.0) set aside: ")
    assert reason in err

    rows = shown(capsys)
    assert (rows["good"]["state"], rows["good"]["models"]) == ("active", 1)
    assert (rows["bad"]["state"], rows["bad"]["models"]) == ("quarantined", 0)
    assert reason in rows["bad"]["reason"]
    assert mend in rows["bad"]["mend"]

    for command in (("info", "bad/net"), ("train", "bad/net", *QUICK)):
        status, out, err = run(capsys, *command)
        assert (status, out) == (1, "")
        assert err.splitlines()[-1].startswith("zoo: plugin 'bad': quarantined: ")
        assert reason in err.splitlines()[-1]
        assert mend in err.splitlines()[-1]
        assert "Traceback" not in err
    check_good(capsys, tmp_path)


@pytest.mark.parametrize("kind", METADATA)
def test_a_plugin_whose_metadata_is_wrong_harms_no_other(
    install: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    fields, reason = METADATA[kind]
    install("bad", GOOD, **fields)
    install("good", GOOD + SPECKS)
    monkeypatch.setenv("ZOO_PLUGINS", "good,bad" + (",Bad.Name" if "Bad.Name" in reason else ""))
    told = run(capsys, "list")[2]
    assert " (toy-bad 1.0) set aside: " in told
    assert reason in told
    assert "zootoy_bad" not in sys.modules
    (row,) = (row for name, row in shown(capsys).items() if name != "good")
    assert row["state"] == "quarantined"
    assert reason in row["reason"]
    assert run(capsys, "info", "bad/net")[0] == 1
    check_good(capsys, tmp_path)


def test_two_distributions_of_one_name_harm_no_other(install: Site, capsys: Capture, tmp_path: Path) -> None:
    install("bad", GOOD, module="zootoy_one", distribution="toy-one")
    install("bad", GOOD, module="zootoy_two", distribution="toy-two")
    install("good", GOOD + SPECKS)
    assert "toy-one 1.0 and toy-two 1.0 both bring a plugin named 'bad'" in run(capsys, "list")[2]
    status, _, err = run(capsys, "info", "bad/net")
    assert status == 1
    assert "pip uninstall toy-two" in err
    check_good(capsys, tmp_path)


def test_a_file_of_entry_points_that_is_no_such_file_leaves_the_commands_that_need_no_torch(
    install: Site, capsys: Capture
) -> None:
    """Torch itself asks `importlib.metadata`, which such a file stops: no test can train beside it."""
    install("bad", GOOD, entry_points="[zoo]\nbad")
    install("good", GOOD)
    status, out, err = run(capsys, "list", "--json")
    assert (status, [model["name"] for model in json.loads(out)["models"]]) == (0, ["good/net"])
    assert "'bad' (toy-bad 1.0) set aside: its entry point names nothing, not a module" in err
    assert run(capsys, "info", "bad/net")[0] == 1


def test_a_distribution_without_metadata_still_brings_its_plugin(install: Site, capsys: Capture) -> None:
    install("bad", GOOD)
    (install.folder / "toy_bad-1.0.dist-info" / "METADATA").unlink()
    install("good", GOOD)
    listed = [model["name"] for model in document(capsys, "list")["models"]]
    assert listed == ["bad/net", "good/net"]


def test_a_whole_process_with_every_fault_lists_what_works(install: Site) -> None:
    """Each fault in a distribution of its own, met by the command as a user starts it."""
    for number, (code, _, _) in enumerate(BROKEN.values()):
        install(f"bad{number}", code.replace("zootoy_bad", f"zootoy_bad{number}"))
    install("good", GOOD)
    path = os.pathsep.join([str(install.folder), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    del environment["ZOO_PLUGINS"]
    command = [sys.executable, "-m", "zoo", "list", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "good/net" in [model["name"] for model in json.loads(done.stdout)["models"]]
    told = [line for line in done.stderr.splitlines() if line.startswith("zoo: plugin 'bad")]
    assert len(told) == len(BROKEN)
    assert "Traceback" not in done.stderr


# -- bad manners ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["import", "hook"])
@pytest.mark.parametrize("kind", MANNERS)
def test_bad_manners_are_contained_and_remarked_on(
    install: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, where: str
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # which `zoo` itself would set
    code, remark = MANNERS[kind]
    inside = HOOK + code.replace("\n", "\n    ") + "\n    return [net()]\n"
    install("bad", inside if where == "hook" else code + GOOD)
    install("good", GOOD + SPECKS)
    before = state()

    found = run(capsys, "list", "--json")
    assert found[0] == 0
    assert [model["name"] for model in json.loads(found[1])["models"]] == ["bad/net", "good/net"]
    assert state() == before
    assert found[2].count("zoo: plugin 'bad' (toy-bad 1.0): ") == found[2].count("\n") == bool(remark)
    assert remark in found[2]

    row = shown(capsys)["bad"]
    assert row["state"] == "active"
    assert any(remark in told for told in row["remarks"]) == bool(remark)
    assert state() == before
    check_good(capsys, tmp_path)


def state() -> tuple[Any, ...]:
    """What of the process a plugin must leave alone."""
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
        list(warnings.filters),
        dict(os.environ),
        Path.cwd(),
        sys.stdout,
    )


NUMERIC = """
import os, random, warnings
import numpy as np
import torch
torch.set_default_dtype(torch.float64)
torch.set_num_threads(3)
torch.manual_seed(54321)
random.seed(54321)
np.random.seed(54321)
os.environ["TOY"] = "1"
"""
ASK = """
import sys
if sys.argv[1] == "before":
    import random, numpy.random, torch
import zoo
assert zoo.list_models("good/*") == ["good/net"]
bad = zoo.installed().plugins["bad"]
import os, random, numpy, torch
seeded = random.Random(54321).random(), numpy.random.RandomState(54321).rand(), 54321
drawn = random.random(), numpy.random.rand(), torch.initial_seed()
print([remark for remark in bad.remarks if not remark.startswith("took")])
print(torch.get_default_dtype(), torch.get_num_threads(), os.environ.get("TOY"))
print([one == other for one, other in zip(seeded, drawn)])
"""


def test_it_makes_no_difference_whether_torch_was_imported_before(install: Site) -> None:
    install("bad", NUMERIC + GOOD)
    install("good", GOOD)
    environment = {**os.environ, "PYTHONPATH": str(install.folder), "OMP_NUM_THREADS": "1"}
    told = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", ASK, when],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        ).stdout.splitlines()
        for when in ("before", "after")
    ]
    remarks, values, seeded = told[0]
    assert "imports torch when it is loaded" in remarks
    for part in ("variables (TOY)", "random's state", "numpy.random's state", "seed", "dtype", "threads"):
        assert part in remarks
    assert values == "torch.float32 1 None"
    assert seeded == "[False, False, False]"
    assert told[1] == told[0]


def test_what_is_written_beside_python_does_not_spoil_stdout(install: Site) -> None:
    noise = "import os\nos.write(1, b'from C')\nos.system('echo from a child')\nprint('from Python')"
    install("bad", noise + GOOD)
    install("good", GOOD)
    environment = {**os.environ, "PYTHONPATH": str(install.folder)}
    command = [sys.executable, "-m", "zoo", "list", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert [model["name"] for model in json.loads(done.stdout)["models"]] == ["bad/net", "good/net"]
    assert "from C" in done.stderr
    assert "from a child" in done.stderr
    assert "plugin 'bad' (toy-bad 1.0): printed 'from Python'" in done.stderr


def test_what_another_thread_prints_meanwhile_is_not_the_plugin_s(install: Site, capsys: Capture) -> None:
    code = """
import threading
thread = threading.Thread(target=lambda: print("from another thread"))
thread.start()
thread.join()
"""
    install("good", code + GOOD)
    status, out, err = run(capsys, "list", "good/*")
    assert (status, err) == (0, "")
    assert "from another thread" in out


def test_a_slow_import_shows_its_time(
    install: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("zoo.registry.SLOW_SECONDS", 0.2)
    install("bad", "import time\ntime.sleep(0.25)" + GOOD)
    install("good", GOOD + SPECKS)
    assert "plugin 'bad' (toy-bad 1.0): took 0.3 s to load" in run(capsys, "list")[2].replace(
        "0.2 s", "0.3 s"
    )
    rows = shown(capsys)
    assert 0.25 <= rows["bad"]["load_seconds"] < 5
    assert rows["good"]["load_seconds"] < 0.2
    assert "to load, for which every command waits" in rows["bad"]["remarks"][0]
    assert rows["good"]["remarks"] == []
    check_good(capsys, tmp_path)


def test_what_a_library_sets_when_it_is_imported_is_not_the_plugin_s_doing(install: Site) -> None:
    install("good", "import numpy" + GOOD)
    environment = {**os.environ, "PYTHONPATH": str(install.folder)}
    ask = "import sys, zoo; zoo.list_models(); assert 'numpy' in sys.modules; print(zoo.installed().plugins)"
    done = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=True, env=environment
    )
    assert "remarks=[]" in done.stdout
    assert done.stderr == ""


def test_a_task_that_no_plugin_brings_is_remarked_on_with_the_closest(
    install: Site, capsys: Capture, tmp_path: Path
) -> None:
    install("bad", HOOK + "return [net(tasks=('image-clasification',))]")
    install("good", GOOD + SPECKS)
    (remark,) = shown(capsys)["bad"]["remarks"]
    assert remark == (
        "bad/net names a task 'image-clasification', which no plugin brings; "
        "did you mean image-classification?"
    )
    status, _, err = run(capsys, "train", "bad/net", *QUICK)
    assert status == 1
    assert "bad/net: does not do 'image-classification'; its tasks: image-clasification" in err
    status, out, _ = run(capsys, "plugins", "doctor", "bad")
    assert status == 1
    assert f"fault: {remark} -> fix toy-bad 1.0" in out.replace("upgrade or ", "")
    check_good(capsys, tmp_path)


def test_remarks_are_told_once_and_not_with_quiet(install: Site, capsys: Capture) -> None:
    install(
        "bad",
        "print('hello')" + GOOD + "@zoo.hookimpl\ndef zoo_weights():\n    print('hello')\n    return []",
    )
    assert run(capsys, "list", "bad/*")[2].count("printed 'hello'") == 1
    assert run(capsys, "-q", "list", "bad/*")[2] == ""


# -- what shows on use only -------------------------------------------------------------------

ON_USE = {  # code of the plugin, then a part of what is told of it; files beside it stand in `FILES`
    "no such function": (HOOK + "return [net(builder='zootoy_bad:absent')]", "has no attribute 'absent'"),
    "no such module": (HOOK + "return [net(builder='zootoy_none:build')]", "No module named 'zootoy_none'"),
    "torch side lacks a package": (
        HOOK + "return [net(builder='zootoy_lacks:build')]",
        "No module named 'absent'; pip install absent",
    ),
    "torch side exits": (HOOK + "return [net(builder='zootoy_exits:build')]", "no GPU here"),
    "builder fails": (
        HOOK + "return [net(builder='zootoy_fails:build')]",
        "building bad/net failed: KeyError",
    ),
    "builder gives no module": (
        HOOK + "return [net(builder='zootoy_wrong:build')]",
        "zootoy_wrong:build returned a str, no module",
    ),
    "no such recipe": (HOOK + "return [net(recipes={'*': 'none.toml'})]", "none.toml: no such file"),
    "malformed recipe": (
        HOOK + "return [net(recipes={'*': 'zootoy_cut.toml'})]",
        "zootoy_cut.toml: cannot be read",
    ),
    "recipe with bad values": (
        HOOK + "return [net(recipes={'*': 'zootoy_odd.toml'})]",
        "zootoy_odd.toml: 2 faults: unknown key 'bacth_size'; did you mean 'batch_size'?",
    ),
}
FILES = {
    "zootoy_lacks.py": "import absent",
    "zootoy_exits.py": "raise SystemExit('no GPU here')",
    "zootoy_fails.py": "def build(problem):\n    return {}['width']",
    "zootoy_wrong.py": "def build(problem):\n    return 'net'",
    "zootoy_cut.toml": "epochs = ",
    "zootoy_odd.toml": "bacth_size = 3\nepochs = 0",
}


@pytest.mark.parametrize("kind", ON_USE)
def test_what_shows_on_use_is_told_with_the_plugin_s_name_and_the_doctor_finds_it(
    install: Site, capsys: Capture, tmp_path: Path, kind: str
) -> None:
    code, reason = ON_USE[kind]
    if "recipe" not in kind:
        code = code.replace("[net(", f"[net(reference={REFERENCE}, ")
    install("bad", code)
    install("good", GOOD + SPECKS)
    for file, content in FILES.items():
        (install.folder / file).write_text(content)
    listed = [model["name"] for model in document(capsys, "list")["models"]]
    assert listed == ["bad/net", "good/net"]

    status, out, err = run(capsys, "train", "bad/net", *QUICK, "--output", str(tmp_path / "bad"))
    assert (status, out) == (1, "")
    assert err.startswith("zoo: plugin 'bad': ")
    assert reason in err
    assert err.count("\n") == 1
    assert not (tmp_path / "bad").exists()

    status, out, _ = run(capsys, "plugins", "doctor", "--json")
    assert status == 1
    found = {row["name"]: row for row in json.loads(out)["plugins"]}
    (fault,) = found["bad"]["faults"]
    assert reason in fault["reason"]
    assert "toy-bad 1.0" in fault["mend"]
    assert found["good"]["faults"] == []
    check_good(capsys, tmp_path)


def test_weights_whose_file_is_missing_are_told_on_use_and_found_before(
    install: Site, capsys: Capture, tmp_path: Path
) -> None:
    made = "zoo.WeightsSpec(tag={!r}, model={!r}, source='package://zootoy_bad/x.safetensors')"
    specs = f"[{made.format('here', 'good/net')}, {made.format('there', 'good/nett')}]"
    install("bad", f"@zoo.hookimpl\ndef zoo_weights():\n    return {specs}\n")
    install("good", HOOK + f"return [net(reference={REFERENCE})]" + SPECKS)
    status, _, err = run(capsys, "evaluate", "good/net.here", "--data", "specks")
    assert status == 1
    assert "good/net.here cannot be had" in err
    status, out, _ = run(capsys, "plugins", "doctor", "bad")
    assert status == 1
    assert "weights good/nett.there: no such model; did you mean good/net?" in out
    assert "good/net.here cannot be had" in out
    check_good(capsys, tmp_path)


def test_a_data_set_that_fails_is_told_with_the_plugin_s_name(
    install: Site, capsys: Capture, tmp_path: Path
) -> None:
    record = "zoo.DatasetSpec(name='dots', loader=f'{__name__}:dots', problem=PROBLEM)"
    hook = (
        f"@zoo.hookimpl\ndef zoo_datasets():\n    return [{record}]\ndef dots():\n    raise OSError('gone')"
    )
    install("bad", SPECKS.partition("@zoo.hookimpl")[0] + hook)
    install("good", GOOD + SPECKS)
    status, _, err = run(capsys, "train", "good/net", "--data", "dots")
    assert status == 1
    assert "zoo: plugin 'bad': loading the data set 'dots' failed: OSError: gone" in err
    check_good(capsys, tmp_path)


def test_a_task_whose_torch_side_is_missing_is_found_before(install: Site, capsys: Capture) -> None:
    record = "zoo.TaskSpec(name='counting', implementation='zootoy_none:task', metric='error')"
    install("bad", f"@zoo.hookimpl\ndef zoo_tasks():\n    return [{record}]")
    status, out, _ = run(capsys, "plugins", "doctor", "bad")
    assert status == 1
    assert "fault: 'zootoy_none:task' cannot be imported: No module named 'zootoy_none'" in out


@pytest.mark.parametrize(
    ("hook", "body"),
    [
        ("zoo_callbacks(run)", "raise OSError('gone')"),
        ("zoo_callbacks(run)", "return [3]"),
        ("zoo_evidence()", "return None"),
        ("zoo_devices()", "raise SystemExit(4)"),
        ("zoo_tasks()", "return ['counting']"),
        ("zoo_datasets()", "yield 3"),
    ],
)
def test_every_other_hook_that_fails_sets_its_plugin_aside(
    install: Site, capsys: Capture, tmp_path: Path, hook: str, body: str
) -> None:
    install("bad", f"{GOOD}\n@zoo.hookimpl\ndef {hook}:\n    {body}\n")
    install("good", GOOD + SPECKS)
    check_good(capsys, tmp_path)
    if "callbacks" not in hook:
        status, out, _ = run(capsys, "plugins", "doctor")
        assert status == 1
        assert "bad (toy-bad 1.0): 1 faults" in out
        assert "good (toy-good 1.0): sound" in out


def test_a_callback_that_fails_in_a_run_is_told_with_the_plugin_s_name(
    install: Site, capsys: Capture, tmp_path: Path
) -> None:
    code = """
@zoo.hookimpl
def zoo_callbacks(run):
    from zoo.training import Callback
    class Watcher(Callback):
        def step(self, step):
            raise ValueError("no server")
    return [Watcher()]
"""
    install("bad", code)
    install("good", GOOD + SPECKS)
    status, _, err = run(capsys, "train", "good/net", *QUICK, "--output", str(tmp_path / "run"))
    assert status == 1
    assert err.splitlines()[-1].startswith("zoo: plugin 'bad': ValueError: no server; see where with: ")
    assert "Traceback" not in err


# -- which plugins are asked for --------------------------------------------------------------


def test_an_unknown_name_in_zoo_plugins_gets_the_closest(
    install: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("good", GOOD)
    monkeypatch.setenv("ZOO_PLUGINS", "good,goood, third")
    for command in ("list", "plugins"):
        status, _, err = run(capsys, command)
        assert status == 0
        first, second = err.splitlines()
        assert first.startswith("zoo: ZOO_PLUGINS: no plugin named 'goood' among ")
        assert first.endswith("did you mean good?")
        assert "no plugin named 'third'" in second
    monkeypatch.setenv("ZOO_STRICT", "1")
    assert run(capsys, "list")[0] == 1

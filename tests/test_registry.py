"""Discovery and names, with real plugins: packages with their metadata on the path."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from toys import GOOD, HOOK, Capture, Site, run

import zoo
from zoo.errors import PluginError, UnknownNameError
from zoo.registry import Plugin, Registry, discover, iterate_weights


def names(registry: Registry) -> list[str]:
    return list(registry.models)


def silent(plugins: list[Plugin]) -> Registry:
    return Registry(plugins, report=lambda line: None)


# -- setting aside ----------------------------------------------------------------------------


def test_strict_raises_where_it_would_set_aside(
    install: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("bad", "raise ImportError('libtoy is old')")
    monkeypatch.setenv("ZOO_STRICT", "1")
    with pytest.raises(PluginError, match="plugin 'bad': ImportError: libtoy is old"):
        Registry(discover())
    status, out, err = run(capsys, "list")
    assert (status, out, err.count("\n")) == (1, "", 1)


def test_ctrl_c_while_a_plugin_is_loaded_is_not_the_plugin_s_fault(install: Site) -> None:
    install("bad", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        silent(discover())


def test_a_hook_that_fails_later_takes_the_models_listed_before_with_it(install: Site) -> None:
    install("bad", GOOD + "@zoo.hookimpl\ndef zoo_evidence():\n    return 3\n")
    install("good", GOOD)
    registry = silent(discover())
    assert names(registry) == ["bad/net", "good/net"]
    assert all(record.model != "bad/net" for record in registry.evidence)
    assert names(registry) == ["good/net"]
    with pytest.raises(PluginError, match="zoo_evidence returned a int, not an iterable"):
        registry.model("bad/net")


def test_a_hook_is_called_once_a_process(install: Site) -> None:
    install("good", "calls = []\n" + HOOK + "calls.append(1)\n    return [net()]")
    registry = silent(discover())
    assert names(registry) == names(registry) == ["good/net"]
    registry.model("good/net")
    assert sys.modules["zootoy_good"].calls == [1]


def test_one_plugin_may_give_a_list_and_another_a_generator(install: Site) -> None:
    install("good", GOOD)
    install("third", HOOK + "yield net()\n    yield net('other')")
    assert names(silent(discover())) == ["good/net", "third/net", "third/other"]


# -- names that clash -------------------------------------------------------------------------


def weights(tag: str, model: str = "good/net") -> str:
    made = f"zoo.WeightsSpec(tag={tag!r}, model={model!r}, source='file:x', license='MIT')"
    return f"@zoo.hookimpl\ndef zoo_weights():\n    return [{made}]\n"


def test_weights_named_by_two_plugins_set_the_later_one_aside(install: Site) -> None:
    install("bad", GOOD + weights("digits"))
    install("good", GOOD)
    install("third", GOOD + weights("digits"))
    registry = silent(discover())
    assert names(registry) == ["bad/net", "good/net"]
    assert "'good/net.digits', which plugin 'bad' has already" in registry.plugins["third"].reason
    assert [record.tag for record in registry.model("good/net")[0].weights] == ["digits"]


def test_a_plugin_set_aside_keeps_no_name_from_another(install: Site) -> None:
    made = "zoo.WeightsSpec(tag='digits', model='good/net', source='file:x')"
    install("bad", f"@zoo.hookimpl\ndef zoo_weights():\n    return [{made}, {made}]\n")
    install("good", GOOD)
    install("third", weights("digits"))
    registry = silent(discover())
    assert registry.model("good/net.digits")[1] is not None
    assert (registry.plugins["bad"].active, registry.plugins["third"].active) == (False, True)


@pytest.mark.parametrize(
    ("hook", "record"),
    [
        ("zoo_tasks", "zoo.TaskSpec(name='forecasting', implementation='a:b', metric='mase')"),
        ("zoo_devices", "zoo.DeviceSpec(name='h100-sxm', kind='cuda')"),
    ],
)
def test_a_plugin_cannot_replace_what_the_core_brings(install: Site, hook: str, record: str) -> None:
    install("bad", GOOD + f"@zoo.hookimpl\ndef {hook}():\n    return [{record}]\n")
    registry = silent(discover())
    known = getattr(silent([]), hook.removeprefix("zoo_"))
    assert getattr(registry, hook.removeprefix("zoo_")) == known
    assert "which plugin 'zoo.core' has already" in registry.plugins["bad"].reason


def test_two_distributions_of_one_name_are_both_set_aside(
    install: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("bad", GOOD, module="zootoy_one", distribution="toy-one")
    install("bad", GOOD, module="zootoy_two", distribution="toy-two")
    install("good", GOOD)
    status, out, err = run(capsys, "list", "--json")
    assert (status, [model["name"] for model in json.loads(out)["models"]]) == (0, ["good/net"])
    assert "toy-one 1.0 and toy-two 1.0 both bring a plugin named 'bad'" in err
    assert not {"zootoy_one", "zootoy_two"} & sys.modules.keys()
    status, _, err = run(capsys, "info", "bad/net")
    assert status == 1
    assert "pip uninstall toy-two" in err
    monkeypatch.setenv("ZOO_STRICT", "1")
    with pytest.raises(PluginError, match="both bring"):
        Registry(discover())


def test_two_distributions_of_one_name_that_is_left_out_are_no_fault(
    install: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("bad", GOOD, module="zootoy_one", distribution="toy-one")
    install("bad", GOOD, module="zootoy_two", distribution="toy-two")
    monkeypatch.setenv("ZOO_PLUGINS", "good")
    said: list[str] = []
    assert Registry(discover(), report=said.append).plugins["bad"].state == "disabled"
    assert said == []


def test_a_distribution_found_twice_on_the_path_is_one(
    install: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("good", GOOD)
    other = install.folder.parent / "other"
    other.symlink_to(install.folder)
    monkeypatch.syspath_prepend(other)
    assert names(silent(discover())) == ["good/net"]


def test_two_names_for_one_module_leave_the_first(install: Site) -> None:
    install("bad", GOOD, module="zootoy_shared")
    install("good", GOOD, module="zootoy_shared")
    registry = silent(discover())
    assert names(registry) == ["bad/net"]
    assert registry.plugins["good"].state == "quarantined"


# -- versions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "requires", ["torch-zoo>=99", "Torch_Zoo (>=99)", "torch-zoo[x]<0.0.1 ; python_version>'3'"]
)
def test_a_plugin_for_another_version_is_set_aside_before_it_is_imported(
    install: Site, capsys: Capture, requires: str
) -> None:
    install("bad", GOOD, requires=requires)
    install("good", GOOD)
    status, out, err = run(capsys, "list", "--json")
    assert (status, [model["name"] for model in json.loads(out)["models"]]) == (0, ["good/net"])
    assert "needs torch-zoo" in err
    assert f"installed is {zoo.__version__}" in err
    assert "zootoy_bad" not in sys.modules
    assert run(capsys, "info", "bad/net")[0] == 1


@pytest.mark.parametrize(
    "requires",
    [
        "",
        "torch-zoo",
        "torch-zoo>=0.1,<99",
        "torch-zoo==99; extra == 'next'",
        "torch-zoo-weights>=99",
        "torch-zookeeper>=99",
        "torch>=99",
    ],
)
def test_a_plugin_for_this_version_is_loaded(install: Site, requires: str) -> None:
    install("good", GOOD, requires=requires)
    assert names(silent(discover())) == ["good/net"]


# -- builders ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("zootoy_good:absent", "has no attribute 'absent'"),
        ("zootoy_absent:build", "No module named 'zootoy_absent'"),
        ("zootoy_exits:build", "no GPU here"),
        ("zootoy_raises:build", "CUDA is too old"),
    ],
)
def test_a_builder_that_does_not_resolve_is_told_on_use_and_listed_until_then(
    install: Site, target: str, reason: str
) -> None:
    (install.folder / "zootoy_exits.py").write_text("raise SystemExit('no GPU here')")
    (install.folder / "zootoy_raises.py").write_text("raise RuntimeError('CUDA is too old')")
    install("good", HOOK + f"return [net().replace(builder={target!r})]")
    registry = silent(discover())
    model, _ = registry.model("net")
    with pytest.raises(PluginError) as caught:
        registry.resolve(model.plugin, model.spec.builder)
    assert str(caught.value).startswith(f"plugin 'good': {target!r} cannot be imported: ")
    assert reason in str(caught.value)


def test_a_builder_is_imported_on_use_only(install: Site) -> None:
    (install.folder / "zootoy_later.py").write_text("def build(problem): return 'built'")
    install("good", HOOK + "return [net().replace(builder='zootoy_later:build')]")
    registry = silent(discover())
    model, _ = registry.model("net")
    assert "zootoy_later" not in sys.modules
    assert registry.resolve(model.plugin, model.spec.builder)(None) == "built"


# -- which plugins count ----------------------------------------------------------------------


def test_zoo_plugins_loads_only_those(
    install: Site, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("bad", "raise ImportError")
    install("good", GOOD)
    install("third", GOOD)
    monkeypatch.setenv("ZOO_PLUGINS", "good, third")
    status, out, err = run(capsys, "list", "--json")
    assert (status, err) == (0, "")
    assert [model["name"] for model in json.loads(out)["models"]] == ["good/net", "third/net"]
    status, _, err = run(capsys, "info", "bad/net")
    assert (status, err.count("\n")) == (1, 1)
    assert "ZOO_PLUGINS=good, third leaves it out; unset ZOO_PLUGINS, or add bad to it" in err


def test_an_empty_zoo_plugins_leaves_only_the_core(install: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    install("good", GOOD)
    monkeypatch.setenv("ZOO_PLUGINS", "")
    registry = silent(discover())
    assert names(registry) == []
    assert "image-classification" in registry.tasks


def test_a_plugin_put_off_in_the_settings_is_not_imported(install: Site, capsys: Capture) -> None:
    install("bad", "raise ImportError")
    install("good", GOOD)
    settings = Path(os.environ["ZOO_HOME"], "settings.json")
    settings.parent.mkdir()
    settings.write_text('{"disabled": ["bad"]}')
    status, out, err = run(capsys, "list", "--json")
    assert (status, [model["name"] for model in json.loads(out)["models"]], err) == (0, ["good/net"], "")
    status, _, err = run(capsys, "info", "bad/net")
    assert status == 1
    assert "run 'zoo plugins enable bad'" in err


def test_settings_that_cannot_be_read_are_one_line(install: Site, capsys: Capture) -> None:
    settings = Path(os.environ["ZOO_HOME"], "settings.json")
    settings.parent.mkdir()
    settings.write_text("{")
    status, _, err = run(capsys, "list")
    assert (status, err.count("\n")) == (1, 1)
    assert str(settings) in err


# -- names to models --------------------------------------------------------------------------


@pytest.fixture
def registry(install: Site) -> Registry:
    facts = "zoo.Facts(parameters={}, macs=1)"
    install(
        "good",
        HOOK + f"yield net(facts={facts.format(1000)})\n"
        "    yield net('convnet', license='MIT', tasks=('forecasting',))\n\n"
        "@zoo.hookimpl\ndef zoo_weights():\n"
        "    spec = zoo.WeightsSpec(tag='digits', model='good/net', source='file:x', license='CC-BY-4.0')\n"
        "    return [spec, spec.replace(tag='cbf'), spec.replace(model='absent/net')]\n",
    )
    install("third", HOOK + f"return [net(facts={facts.format(5000)}).replace(family='rnn')]")
    install("bad", "raise ImportError('libtoy is old')")
    return silent(discover())


def test_a_full_name_and_an_unambiguous_bare_name_find_the_same(registry: Registry) -> None:
    assert registry.model("convnet") == registry.model("good/convnet")
    assert registry.model("convnet")[1] is None


def test_what_may_be_used_commercially_has_only_such_weights(install: Site) -> None:
    install(
        "good",
        HOOK + "yield net()\n"
        "    yield net('closed', license='research-only')\n\n"
        "@zoo.hookimpl\ndef zoo_weights():\n"
        "    spec = zoo.WeightsSpec(tag='free', model='good/net', source='file:x', license='MIT')\n"
        "    others = {'nc': {'license': 'CC-BY-NC-4.0'}, 'data': {'data_license': 'CC-BY-NC-4.0'}}\n"
        "    others['none'] = {'license': ''}\n"
        "    return [spec, *(spec.replace(tag=tag, **of) for tag, of in others.items())]\n",
    )
    registry = silent(discover())
    (model,) = registry.list_models("good/*", commercial=True)
    assert (model.name, [weights.tag for weights in model.weights]) == ("good/net", ["free"])
    assert len(registry.list_models("good/*")) == 2


def test_an_ambiguous_name_lists_the_full_names_and_where_they_come_from(registry: Registry) -> None:
    with pytest.raises(UnknownNameError) as caught:
        registry.model("net.digits")
    assert str(caught.value) == "'net' is ambiguous: say good/net (toy-good 1.0) or third/net (toy-third 1.0)"
    assert caught.value.close == ("good/net", "third/net")


@pytest.mark.parametrize(
    ("wrong", "close"),
    [("convnt", "convnet"), ("good/convnt", "good/convnet"), ("god/convnet", "good/convnet")],
)
def test_a_mistyped_name_gets_the_closest(registry: Registry, wrong: str, close: str) -> None:
    with pytest.raises(UnknownNameError, match=f"no model named '{wrong}' among 3 installed") as caught:
        registry.model(wrong)
    assert caught.value.close[0] == close
    assert close in str(caught.value)


def test_a_name_like_no_other_mentions_the_plugins_set_aside(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match=r"\(set aside: bad; see 'zoo plugins'\)"):
        registry.model("zzz")


@pytest.mark.parametrize("name", ["", "a/b/c", "good/", ".digits"])
def test_what_is_no_name_says_what_one_looks_like(registry: Registry, name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"expected \[plugin/\]model\[.tag\]"):
        registry.model(name)


def test_a_tag_names_weights(registry: Registry) -> None:
    model, found = registry.model("good/net.digits")
    assert found is not None
    assert found.name == "good/net.digits"
    assert model.weights[0] is found
    assert [record.name for _, record in iterate_weights(registry)] == ["good/net.digits", "good/net.cbf"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("good/net.digit", "did you mean digits"),
        ("good/net.zzz", "tags: digits, cbf"),
        ("convnet.zzz", "tags: none"),
    ],
)
def test_an_unknown_tag_gets_the_tags_there_are(registry: Registry, name: str, hint: str) -> None:
    with pytest.raises(UnknownNameError, match=hint):
        registry.model(name)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["good/convnet", "good/net", "third/net"]),
        ({"pattern": "net"}, ["good/net", "third/net"]),
        ({"pattern": "good/*"}, ["good/convnet", "good/net"]),
        ({"pattern": "NET"}, []),
        ({"task": "forecasting"}, ["good/convnet"]),
        ({"family": "rnn"}, ["third/net"]),
        ({"plugin": "good"}, ["good/convnet", "good/net"]),
        ({"license": "mit"}, ["good/convnet"]),
        ({"license": "cc-by-4.0"}, ["good/net"]),
        ({"pretrained": True}, ["good/net"]),
        ({"pretrained": False}, ["good/convnet", "third/net"]),
        ({"max_parameters": 1000}, ["good/net"]),
        ({"pattern": "net", "plugin": "third", "pretrained": True}, []),
    ],
)
def test_every_filter_must_be_passed(
    registry: Registry, filters: dict[str, Any], expected: list[str]
) -> None:
    assert [model.name for model in registry.list_models(**filters)] == expected


def test_an_unknown_task_is_no_empty_list(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match="did you mean forecasting"):
        registry.list_models(task="forcasting")


def test_an_unknown_data_set_is_suggested(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match="did you mean digits"):
        registry.dataset_loader("digit")


# -- hooks with arguments ---------------------------------------------------------------------

COMMAND = """
import click

@zoo.hookimpl
def zoo_commands():
    @click.command()
    def toy():
        click.echo("hello from a plugin")
    return [toy]
"""


def test_a_plugin_brings_a_command(install: Site, capsys: Capture) -> None:
    install("good", COMMAND)
    assert run(capsys, "toy") == (0, "hello from a plugin\n", "")


def test_a_plugin_cannot_replace_a_command(install: Site, capsys: Capture) -> None:
    install("good", GOOD + COMMAND.replace("click.command()", "click.command('list')"))
    status, out, _ = run(capsys, "list", "--json")
    assert (status, json.loads(out)["models"][0]["name"]) == (0, "good/net")


@pytest.mark.parametrize("code", ["raise SystemExit(5)", "raise OSError('gone')", "return ['toy']"])
def test_commands_that_fail_leave_the_others(install: Site, capsys: Capture, code: str) -> None:
    install("bad", f"@zoo.hookimpl\ndef zoo_commands():\n    {code}")
    install("good", COMMAND)
    status, out, err = run(capsys, "--help")
    assert status == 0
    assert "toy" in out
    assert "plugin 'bad' (toy-bad 1.0) set aside" in err


@pytest.mark.parametrize(("signature", "expected"), [("run", "seen 7"), ("", "seen nothing")])
def test_a_hook_takes_only_the_arguments_it_names(install: Site, signature: str, expected: str) -> None:
    seen = "f'seen {run}'" if signature else "'seen nothing'"
    install("good", f"@zoo.hookimpl\ndef zoo_callbacks({signature}):\n    return [{seen}]")
    registry = silent(discover())
    assert registry.call("zoo_callbacks", str, run=7) == [expected]
    assert registry.plugins["good"].active


def test_two_plugins_of_one_name_made_in_python_clash_too() -> None:
    said: list[str] = []
    registry = Registry([Plugin("a", "json"), Plugin("a", "csv")], report=said.append)
    assert registry.plugins["a"].reason == "json and csv both bring a plugin named 'a'"
    assert len(said) == 1

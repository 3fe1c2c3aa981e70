"""Models as Hugging Face lays them out: `config.json`, `model.safetensors`, `tokenizer.json`.

A sentence encoder has `modules.json` besides, which says how the tokens' vectors become one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from torch import Tensor, nn

import zoo
from zoo_transformer.bert import Bert
from zoo_transformer.configs import (
    Describer,
    Read,
    Shapes,
    check_plain,
    describe_bert,
    describe_distilbert,
    describe_gpt2,
    describe_padded_gpt2,
    document,
)
from zoo_transformer.described import config_of, is_sentence_encoder, longest, sentence_files
from zoo_transformer.gpt import GPT
from zoo_transformer.keymap import KeyMap, matches, read_key_maps, to_ours, to_theirs
from zoo_transformer.vocabulary import ends, tokenizer_files


@dataclass(frozen=True)
class HuggingFace:
    """The layout of some `model_type`s, with what reads each one's configuration.

    Where it is optional (`bare`), a file of tensors alone is read as it is, under our own names.
    """

    describers: Mapping[str, Describer]
    bare: bool = False

    def describe(self, shapes: Shapes, read: Read) -> dict[str, Any]:
        """What the files beside weights say of them, as fields of a `zoo.WeightsSpec`.

        Raises `zoo.WeightsError` for a model of another kind, or a variant that is not built here.
        """
        config = document(read, "config.json", needed=not self.bare)
        if not config and self.bare:
            return {}
        kind = config.get("model_type")
        if kind not in self.describers:
            known = " or ".join(self.describers)
            raise zoo.WeightsError(f"config.json says model_type = {kind!r}, where {known} is read")
        check_plain(config)
        try:
            return self.describers[kind](config, shapes, read)
        except (KeyError, TypeError, AttributeError) as error:
            raise zoo.WeightsError(f"config.json is not one of {kind}: {error!r}") from None

    def read(self, tensors: dict[str, Tensor], module: nn.Module) -> dict[str, str]:
        """Gives `tensors` the module's own names; returns what was done to which, beyond the name."""
        maps: list[KeyMap] = [read_key_maps()[kind] for kind in self.describers]
        best = max(maps, key=lambda keys: matches(keys, list(tensors)))
        return to_ours(best, tensors, module.state_dict())

    def write(self, module: nn.Module) -> tuple[dict[str, Tensor], dict[str, bytes]]:
        """Their tensors by name, and their other files by name, for a module that `zoo.load` gave.

        Raises `zoo.WeightsError` where theirs has no such variant.
        """
        config, bare = config_of(module)
        preprocess = getattr(getattr(module, "zoo", None), "preprocess", None)
        padding = isinstance(module, Bert) or (isinstance(module, GPT) and module.padded)
        beside = tokenizer_files(preprocess, longest(config), padding=padding)
        if isinstance(module, GPT):
            config |= ends(beside)
        elif is_sentence_encoder(module):
            beside |= sentence_files(module, preprocess)
        beside["config.json"] = msgspec.json.format(msgspec.json.encode(config), indent=2)
        tensors = to_theirs(read_key_maps()[config["model_type"]], module.state_dict(), bare=bare)
        return tensors, beside


gpt = HuggingFace({"gpt2": describe_padded_gpt2}, bare=True)
gpt2 = HuggingFace({"gpt2": describe_gpt2})
encoder = HuggingFace({"bert": describe_bert, "distilbert": describe_distilbert})

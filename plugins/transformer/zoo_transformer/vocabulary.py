"""Tokenizers of the zoo as Hugging Face's libraries read them: `tokenizer.json` and its configuration."""

from __future__ import annotations

from typing import Any

import msgspec

import zoo

FOREIGN = "huggingface"  # the kind of those that are theirs already
PAD, BEGIN, END = "<pad>", "<begin>", "<end>"  # the zoo's first token, and what frames its texts
ROLES = {
    "pad_token": ("[PAD]", PAD),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]",),
    "sep_token": ("[SEP]",),
    "mask_token": ("[MASK]",),
    "bos_token": ("<|endoftext|>", BEGIN),
    "eos_token": ("<|endoftext|>", END),
}


def tokenizer_files(preprocess: Any, length: int, *, padding: bool) -> dict[str, bytes]:
    """Their files by name; none for a model that reads no texts.

    Models without `padding` number their tokens from the one after it. `length` is the most that the model
    can see.
    """
    if not isinstance(preprocess, zoo.TextPreprocess):
        return {}
    content = preprocess.definition.encode() or msgspec.json.encode(_bytes())
    document = msgspec.json.decode(content)
    if preprocess.tokenizer != FOREIGN and not padding:
        document = _renumbered(document)
        content = msgspec.json.encode(document)
    known = {token["content"] for token in document.get("added_tokens", ())}
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": length}
    told |= {role: name for role, names in ROLES.items() for name in names if name in known}
    return {"tokenizer.json": content, "tokenizer_config.json": msgspec.json.encode(told)}


def ends(files: dict[str, bytes]) -> dict[str, int]:
    """The tokens between which a language model's texts stand, for its configuration."""
    if not files:
        return {}
    told = msgspec.json.decode(files["tokenizer_config.json"])
    added = msgspec.json.decode(files["tokenizer.json"])["added_tokens"]
    known = {token["content"]: token["id"] for token in added}
    roles = [role for role in ("bos_token", "eos_token") if role in told]
    return {f"{role}_id": known[told[role]] for role in roles}


def _renumbered(document: dict[str, Any]) -> dict[str, Any]:
    """The definition without padding, its first token."""
    model = document["model"]
    vocabulary = {name: number - 1 for name, number in model["vocab"].items() if number}
    added = [{**token, "id": token["id"] - 1} for token in document["added_tokens"] if token["id"]]
    return {**document, "added_tokens": added, "model": {**model, "vocab": vocabulary}}


def _bytes() -> dict[str, Any]:
    """The zoo's own tokenizer, each byte plus one, as one of byte pairs of which none are joined."""
    letters = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in letters]
    shown = {byte: chr(byte) for byte in letters} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    vocabulary = {PAD: 0, **{shown[byte]: byte + 1 for byte in range(256)}, BEGIN: 257, END: 258}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    split = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": vocabulary[name], "content": name, "special": True, **flags} for name in (PAD, BEGIN, END)
        ],
        "normalizer": None,
        "pre_tokenizer": split,
        "post_processor": None,
        "decoder": split,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }

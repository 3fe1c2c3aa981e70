"""Texts as tensors of tokens: which tokenizer, how long, and what had to be left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import msgspec
import torch
from torch import Tensor

from zoo.data.dataset import Columns, Dataset
from zoo.data.language import LONGEST
from zoo.data.memory import fetch_rows, has_room, mapped_tensor
from zoo.data.splits import Batch, Split, WindowSplit
from zoo.data.tokens import Cut, Layout, Packed, count_cut, pack_texts, size_of, some_of
from zoo.errors import DataError
from zoo.specs import Preprocess, Recipe, TextPreprocess, TokenInput, TokenOutput
from zoo.tokenizers import PADDING, Tokenizer, open_tokenizer, train_tokenizer

CPU = torch.device("cpu")
FREE_SHARE = 0.5  # of a GPU's free memory that tokens may take; more of them stay with the CPU


@dataclass(frozen=True)
class PaddedTexts:
    """Texts as one run of tokens, `starts[n]` to `starts[n + 1]` each; padded to `length` when taken.

    They stay in the CPU's memory, or in their file, where they would not fit on the device.
    """

    tokens: Tensor  # [T] int16 or int32
    starts: Tensor  # [N + 1]
    length: int

    def take(self, rows: Tensor) -> Tensor:
        """The samples `rows` (int64 `[B]`) as int64 `[B, length]`, padded on the right."""
        return self.fetch(rows, self.tokens.device).long()

    def fetch(self, rows: Tensor, device: torch.device) -> Tensor:
        """The same on `device`, in as few bytes as the tokens are kept in."""
        rows = rows.to(self.starts.device)
        steps = torch.arange(self.length, device=rows.device)
        places = self.starts[rows, None] + steps  # [B, length]
        outside = places >= self.starts[rows + 1, None]
        if not len(self.tokens):
            return torch.zeros(places.shape, dtype=self.tokens.dtype, device=device)
        chosen = places.clamp_(max=len(self.tokens) - 1).flatten()
        found = fetch_rows(self.tokens, chosen, device).view(places.shape)
        return found.masked_fill_(outside.to(device, non_blocking=True), PADDING)

    def to(self, device: torch.device) -> PaddedTexts:
        """The same texts for `device`."""
        if not has_room(device, self.tokens.nbytes + self.starts.nbytes, share=FREE_SHARE):
            return self
        return replace(self, tokens=self.tokens.to(device), starts=self.starts.to(device))


@dataclass(frozen=True)
class TextSplit:
    """Columns of texts, and of what belongs to them; `cut` says what of the texts was left out."""

    texts: Mapping[str, PaddedTexts]
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    cut: Mapping[str, tuple[int, Cut]] = field(default_factory=dict)
    device: torch.device = CPU

    def __len__(self) -> int:
        return len(next(iter(self.texts.values())).starts) - 1

    @property
    def resident(self) -> bool:
        """Whether all texts are where the model is, so that a batch is there at once."""
        return all(texts.tokens.device == self.device for texts in self.texts.values())

    def take(self, rows: Tensor) -> Batch:
        """The rows of every column; tokens as int64 `[B, length]`."""
        return self.finish(self.fetch(rows), rows)

    def fetch(self, rows: Tensor) -> Batch:
        """The tokens of the samples, as few bytes as they are kept in."""
        return {name: texts.fetch(rows, self.device) for name, texts in self.texts.items()}

    def finish(self, raw: Batch, rows: Tensor) -> Batch:
        """The batch of the samples that were fetched."""
        columns = {name: column[rows.to(column.device)] for name, column in self.columns.items()}
        return {name: tokens.long() for name, tokens in raw.items()} | columns

    def to(self, device: torch.device) -> TextSplit:
        """The same samples for `device`."""
        return replace(
            self,
            texts={name: texts.to(device) for name, texts in self.texts.items()},
            columns={name: column.to(device) for name, column in self.columns.items()},
            device=device,
        )


@dataclass(frozen=True)
class StreamSplit:
    """Windows over one long stream of tokens, and how many bytes of text each predicts.

    The stream stays in the CPU's memory, or in its file, where it would not fit on the `device`.
    """

    windows: WindowSplit
    sizes: Tensor  # [V] bytes that each token stands for
    device: torch.device = CPU

    @property
    def stream(self) -> Tensor:
        """All tokens, `[T]`."""
        return self.windows.stream

    @property
    def resident(self) -> bool:
        """Whether the stream is where the model is, so that a batch is there at once."""
        return self.stream.device == self.device

    def __len__(self) -> int:
        return len(self.windows)

    def take(self, rows: Tensor) -> Batch:
        """`tokens` `[B, length + 1]`, and `bytes` `[B]` of all but the first of them."""
        return self.finish(self.fetch(rows), rows)

    def fetch(self, rows: Tensor) -> Tensor:
        """The windows' tokens, as few bytes as they are kept in."""
        steps = torch.arange(sum(self.windows.parts.values()), device=self.stream.device)
        places = rows.to(steps.device)[:, None] * self.windows.stride + steps  # [B, length + 1]
        return fetch_rows(self.stream, places.flatten(), self.device).view(places.shape)

    def finish(self, raw: Tensor, rows: Tensor) -> Batch:
        """The batch of the windows that were fetched."""
        tokens = raw.long()
        return {"tokens": tokens, "bytes": self.sizes[tokens[:, 1:]].sum(dim=1)}

    def to(self, device: torch.device) -> StreamSplit:
        """The same windows for `device`."""
        fits = has_room(device, self.stream.nbytes, share=FREE_SHARE)
        windows = self.windows.to(device) if fits else self.windows
        return replace(self, windows=windows, sizes=self.sizes.to(device), device=device)


# -- fitting ----------------------------------------------------------------------------------


def fit_texts(dataset: Dataset, recipe: Recipe) -> TextPreprocess:
    """The recipe's tokenizer, trained where it must be, and room for the longest text or the recipe's length.

    Of bytes, and of tokens in a trained vocabulary, there is room for `LONGEST` at most. Raises `DataError`
    where the data holds no text.
    """
    native = dataset.problem.input
    if not isinstance(native, TokenInput):
        raise DataError(f"data {dataset.name!r} holds no text")
    kept = _learn(dataset, recipe, ("text",))
    if recipe.length or kept.tokenizer == "bytes":
        return kept.replace(length=recipe.length or native.length)
    longest = _longest(dataset, "text", open_tokenizer(kept))
    return kept.replace(length=min(LONGEST, longest))


def fit_pairs(dataset: Dataset, recipe: Recipe) -> TextPreprocess:
    """As `fit_texts`, for a source and a target, which one vocabulary serves."""
    source, target = dataset.problem.input, dataset.problem.output
    if not isinstance(source, TokenInput) or not isinstance(target, TokenOutput):
        raise DataError(f"data {dataset.name!r} holds no pairs of texts")
    kept = _learn(dataset, recipe, ("source", "target"))
    check_lossless(kept, "seq2seq")
    if kept.tokenizer == "bytes":
        return kept.replace(length=recipe.length or source.length, target_length=target.length)
    tokenizer = open_tokenizer(kept)
    return kept.replace(
        length=recipe.length or min(LONGEST, _longest(dataset, "source", tokenizer)),
        target_length=min(LONGEST, _longest(dataset, "target", tokenizer)) + 2,  # begin and end
    )


def fit_stream(dataset: Dataset, recipe: Recipe) -> TextPreprocess:
    """The recipe's tokenizer, and windows as long as the recipe says, else as the data does.

    Shorter ones where a split of few texts would not fill one.
    """
    native = dataset.problem.input
    if not isinstance(native, TokenInput):
        raise DataError(f"data {dataset.name!r} holds no text")
    kept = _learn(dataset, recipe, ("text",))
    check_lossless(kept, "language-modeling")
    if recipe.length or kept.tokenizer == "bytes":
        return kept.replace(length=recipe.length or native.length)
    tokenizer, length = open_tokenizer(kept), native.length
    for columns in dataset.splits.values():
        texts = cast(Sequence[str], columns["text"])
        if size_of(texts) < 64 * length:  # of longer texts, a window is filled whatever the tokens
            length = min(length, len(pack_stream(texts, tokenizer).tokens) - 1)
    return kept.replace(length=max(1, length))


def _learn(dataset: Dataset, recipe: Recipe, columns: Iterable[str]) -> TextPreprocess:
    """The recipe's tokenizer, trained on those columns of the training split; of no length yet."""
    if recipe.tokenizer == "bytes":
        return TextPreprocess(length=1)
    train = dataset.splits["train"]
    texts = (text for name in columns for text in some_of(cast(Sequence[str], train[name])))
    definition = train_tokenizer(recipe.tokenizer, texts, recipe.vocab_size)
    sha256 = hashlib.sha256(definition.encode()).hexdigest()
    return TextPreprocess(tokenizer=recipe.tokenizer, definition=definition, sha256=sha256, length=1)


def _longest(dataset: Dataset, column: str, tokenizer: Tokenizer) -> int:
    """The tokens of the longest text; in large data, of the longest of many."""
    return max(
        len(tokens)
        for columns in dataset.splits.values()
        for piece in some_of(cast(Sequence[str], columns[column]))
        for tokens in tokenizer.encode([piece])
    )


def check_lossless(preprocess: TextPreprocess, task: str) -> None:
    """Raises `DataError` where a task that writes texts is to do so with a tokenizer that only reads them."""
    if not open_tokenizer(preprocess).lossless:
        raise DataError(
            f"a {preprocess.tokenizer} tokenizer passes over white space, so {task} cannot use it; say "
            "tokenizer=bpe, or bytes"
        )


def check_kept(preprocess: Preprocess | None, recipe: Recipe, name: str) -> None:
    """Raises `DataError` where the recipe wants another tokenizer than the weights to start from have."""
    if isinstance(preprocess, TextPreprocess) and recipe.tokenizer not in ("bytes", preprocess.tokenizer):
        raise DataError(
            f"{name} reads texts with its {preprocess.tokenizer} tokenizer, which training goes on with; "
            f"leave out tokenizer={recipe.tokenizer}, or --weights"
        )


# -- encoding ---------------------------------------------------------------------------------


def token_input(preprocess: TextPreprocess) -> TokenInput:
    """What a model is given: the tokenizer's tokens."""
    return TokenInput(vocab_size=_vocab_size(preprocess), length=preprocess.length)


def token_output(preprocess: TextPreprocess) -> TokenOutput:
    """What a model is to write: the tokenizer's tokens."""
    length = preprocess.target_length or preprocess.length
    return TokenOutput(vocab_size=_vocab_size(preprocess), length=length)


def _vocab_size(preprocess: TextPreprocess) -> int:
    return max(len(open_tokenizer(preprocess).sizes), preprocess.vocab_size or 0)


def encode_texts(texts: Sequence[str], preprocess: TextPreprocess) -> tuple[PaddedTexts, Cut]:
    """Texts cut and padded to the preprocessing's length."""
    tokenizer = open_tokenizer(preprocess)
    return _padded(texts, tokenizer, _reading(tokenizer, preprocess))


def encode_targets(texts: Sequence[str], preprocess: TextPreprocess) -> tuple[PaddedTexts, Cut]:
    """Texts framed in begin and end, cut and padded to the preprocessing's target length."""
    tokenizer, room = open_tokenizer(preprocess), preprocess.target_length or preprocess.length
    layout = Layout(room=room, before=(tokenizer.begin,), after=(tokenizer.end,))
    return _padded(texts, tokenizer, layout)


def encode_stream(columns: Columns, preprocess: TextPreprocess) -> StreamSplit:
    """Documents as one stream, in windows that overlap by one token."""
    tokenizer = open_tokenizer(preprocess)
    packed = pack_stream(cast(Sequence[str], columns["text"]), tokenizer)
    parts = {"tokens": preprocess.length + 1}
    windows = WindowSplit(mapped_tensor(packed.tokens), parts, stride=preprocess.length)
    return StreamSplit(windows, torch.from_numpy(tokenizer.sizes))


def pack_stream(texts: Sequence[str], tokenizer: Tokenizer) -> Packed:
    """Documents one after another, each followed by the end token."""
    return pack_texts(texts, tokenizer, Layout(after=(tokenizer.end,)))


def _reading(tokenizer: Tokenizer, preprocess: TextPreprocess) -> Layout:
    """How a text that is to be read is laid out."""
    return Layout(room=preprocess.length, before=tokenizer.before, after=tokenizer.after)


def _padded(texts: Sequence[str], tokenizer: Tokenizer, layout: Layout) -> tuple[PaddedTexts, Cut]:
    packed = pack_texts(texts, tokenizer, layout)
    return PaddedTexts(
        mapped_tensor(packed.tokens), mapped_tensor(packed.starts), layout.room or 0
    ), packed.cut


# -- what was left out ------------------------------------------------------------------------


def truncation(splits: Mapping[str, Split]) -> dict[str, Any]:
    """`{"truncated": {column: {"length", "texts", "all_texts", "tokens", "all_tokens"}}}` over all splits.

    Empty where nothing was cut.
    """
    totals: dict[str, tuple[int, Cut]] = {}
    for split in splits.values():
        for name, (length, cut) in getattr(split, "cut", {}).items():
            totals[name] = length, totals.get(name, (length, Cut()))[1] + cut
    return _truncated(totals)


def _truncated(totals: Mapping[str, tuple[int, Cut]]) -> dict[str, Any]:
    told = {
        name: {"length": length, **msgspec.structs.asdict(cut)}
        for name, (length, cut) in totals.items()
        if cut.texts
    }
    return {"truncated": told} if told else {}


def cut_of(texts: Sequence[str], preprocess: TextPreprocess) -> Cut:
    """What of the texts to predict from the model cannot see."""
    tokenizer = open_tokenizer(preprocess)
    return count_cut(texts, tokenizer, _reading(tokenizer, preprocess))


def tell_cut(cut: Cut, preprocess: TextPreprocess) -> list[str]:
    """A line where some of the texts to predict from were longer than the model can see."""
    return tell_truncation(_truncated({"text": (preprocess.length, cut)}))


def tell_truncation(record: Mapping[str, Any], *, mend: str = "") -> list[str]:
    """A line for each column of which something was cut; `record` is what `truncation` gave.

    `mend` says what to do, where the length of a source can still be chosen.
    """
    return [
        f"{told['texts']:,} of {told['all_texts']:,} texts ({name}) are longer than {told['length']:,} "
        f"tokens and cut there: {told['tokens'] / told['all_tokens']:.1%} of all tokens are left out"
        + (f"; {mend}" if mend and name != "target" else "")
        for name, told in record.get("truncated", {}).items()
    ]

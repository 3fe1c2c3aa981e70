"""Texts to tokens and back: byte by byte, or by a vocabulary trained on the user's own texts.

In all of them token 0 is padding. `bpe` (Sennrich et al. 2016, over bytes as in GPT-2) loses nothing;
`wordpiece` (as in BERT, Devlin et al. 2019) passes over white space, so it reads and cannot write.
`huggingface` is one that others trained, as its own `tokenizer.json` says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from zoo.errors import DataError, WeightsError, first_line
from zoo.specs import Preprocess, Problem, TextPreprocess, TokenInput

Tokens = NDArray[np.integer[Any]]
PADDING = 0
SPECIAL = ("<pad>", "<begin>", "<end>")  # the first tokens of a trained vocabulary, in this order
UNKNOWN = "<unk>"
FOREIGN = "huggingface"
PADS = ("[PAD]", "<pad>")
RARE = 2  # times that a pair must be met to become a token


class Tokenizer(Protocol):
    """What a task needs of a tokenizer."""

    @property
    def key(self) -> str:
        """What tells this tokenizer from every other."""
        ...

    @property
    def begin(self) -> int:
        """The token before a text that is to be written."""
        ...

    @property
    def end(self) -> int:
        """The token after a text."""
        ...

    @property
    def lossless(self) -> bool:
        """Whether a text can be had back from its tokens."""
        ...

    @property
    def before(self) -> tuple[int, ...]:
        """The tokens with which a text that is to be read begins."""
        ...

    @property
    def after(self) -> tuple[int, ...]:
        """The tokens with which a text that is to be read ends."""
        ...

    @property
    def sizes(self) -> NDArray[np.int32]:
        """The bytes that each token stands for, `[V]`; zeros where it is not lossless."""
        ...

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text, without begin and end."""
        ...

    def decode(self, tokens: Iterable[int]) -> str:
        """Tokens up to the first end token as text; padding and begin are passed over."""
        ...


@dataclass(frozen=True)
class ByteTokenizer:
    """Each byte of the UTF-8 plus one; no training, no unknown text."""

    key: str = "bytes"
    begin: int = 257
    end: int = 258
    lossless: bool = True
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @property
    def sizes(self) -> NDArray[np.int32]:
        """One byte each, but for padding, begin and end."""
        sizes = np.ones(self.end + 1, dtype=np.int32)
        sizes[[PADDING, self.begin, self.end]] = 0
        return sizes

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """int16 tokens; what UTF-8 cannot hold becomes `?`."""
        return [
            np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8).astype(np.int16) + np.int16(1)
            for text in texts
        ]

    def decode(self, tokens: Iterable[int]) -> str:
        """What is no UTF-8 becomes the replacement character."""
        content = bytearray()
        for token in tokens:
            if token == self.end:
                break
            if 1 <= token <= 256:
                content.append(token - 1)
        return content.decode("utf-8", "replace")


@dataclass(frozen=True)
class TrainedTokenizer:
    """A trained vocabulary behind Hugging Face `tokenizers`.

    `shift` is added to its numbers where its first is not padding.
    """

    key: str
    inner: tokenizers.Tokenizer
    sizes: NDArray[np.int32]
    lossless: bool
    begin: int = 1
    end: int = 2
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    shift: int = 0

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """int16 tokens, int32 where the vocabulary is larger than that."""
        found = self.inner.encode_batch_fast(list(map(_clean, texts)), add_special_tokens=False)
        kind = np.int16 if len(self.sizes) <= np.iinfo(np.int16).max else np.int32
        encoded: list[Tokens] = [np.array(encoding.ids, dtype=kind) for encoding in found]
        for tokens in encoded:
            tokens += self.shift
        return encoded

    def decode(self, tokens: Iterable[int]) -> str:
        """As the vocabulary writes them."""
        kept = []
        for token in tokens:
            if token == self.end:
                break
            if token not in (PADDING, self.begin):
                kept.append(token - self.shift)
        return str(self.inner.decode(kept, skip_special_tokens=False))


def open_tokenizer(preprocess: TextPreprocess) -> Tokenizer:
    """The tokenizer that texts are to be read with.

    Raises `DataError` for a kind that is not known, `WeightsError` for a definition that cannot be read.
    """
    if preprocess.tokenizer == "bytes":
        return ByteTokenizer()
    if preprocess.tokenizer not in (*TRAINED, FOREIGN):
        known = ", ".join(("bytes", *TRAINED, FOREIGN))
        raise DataError(f"tokenizer {preprocess.tokenizer!r} is not known; known: {known}")
    return _open(preprocess.tokenizer, preprocess.definition, preprocess.sha256)


@lru_cache(maxsize=8)
def _open(kind: str, definition: str, sha256: str | None) -> Tokenizer:
    key = hashlib.sha256(definition.encode()).hexdigest()
    if sha256 not in (None, key):
        raise WeightsError(
            f"the {kind} tokenizer is not loaded: its sha256 is {key[:12]}..., its record says "
            f"{str(sha256)[:12]}...; get the weights anew"
        )
    try:
        inner = tokenizers.Tokenizer.from_str(definition)
    except Exception as error:  # tokenizers raises nothing more telling
        reason = first_line(error)
        raise WeightsError(
            f"the {kind} tokenizer is broken: {reason}; get its tokenizer.json, or the weights, anew"
        ) from None
    if kind == FOREIGN:
        return _foreign(key, inner)
    vocabulary: dict[str, int] = inner.get_vocab(with_added_tokens=True)
    first = tuple(inner.id_to_token(number) for number in range(len(SPECIAL)))
    if first != SPECIAL or sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise WeightsError(
            f"the {kind} tokenizer is none that zoo trains: its {len(vocabulary):,} tokens begin with "
            f"{', '.join(map(str, first))} where {', '.join(SPECIAL)} are expected; get the weights anew"
        )
    inner.encode_special_tokens = True  # a text that says <end> does not end there
    inner.no_padding()
    inner.no_truncation()
    sizes = np.zeros(len(vocabulary), dtype=np.int32)
    if kind == "bpe":
        for token, number in vocabulary.items():
            sizes[number] = len(token) if token not in SPECIAL else 0  # each character stands for a byte
    return TrainedTokenizer(key=key, inner=inner, sizes=sizes, lossless=kind == "bpe")


def _foreign(key: str, inner: tokenizers.Tokenizer) -> Tokenizer:
    """One that others trained: its own first and last tokens, its numbers from 1 where 0 is no padding."""
    inner.no_padding()
    inner.no_truncation()
    inner.encode_special_tokens = True
    vocabulary: dict[str, int] = inner.get_vocab(with_added_tokens=True)
    shift = 0 if inner.id_to_token(PADDING) in PADS else 1
    special = {number for number, added in inner.get_added_tokens_decoder().items() if added.special}
    inside, whole = (inner.encode("a", add_special_tokens=framed).ids for framed in (False, True))
    start = next((n for n in range(len(whole)) if whole[n : n + len(inside)] == inside), 0)
    before = tuple(number + shift for number in whole[:start])
    after = tuple(number + shift for number in whole[start + len(inside) :])
    last = max(special, default=0) + shift
    lossless = isinstance(inner.decoder, decoders.ByteLevel) and inner.normalizer is None
    sizes = np.zeros(max(vocabulary.values(), default=0) + 1 + shift, dtype=np.int32)
    if lossless:
        for token, number in vocabulary.items():
            sizes[number + shift] = 0 if number in special else len(token)
    return TrainedTokenizer(
        key=key,
        inner=inner,
        sizes=sizes,
        lossless=lossless,
        begin=(before or (last,))[0],
        end=(after or (last,))[-1],
        before=before,
        after=after,
        shift=shift,
    )


def train_tokenizer(kind: str, texts: Iterable[str], vocab_size: int) -> str:
    """The definition, as JSON, of a vocabulary of at most `vocab_size` tokens learnt from `texts`."""
    inner, trainer = TRAINED[kind](vocab_size)
    inner.train_from_iterator(map(_clean, texts), trainer)
    return str(inner.to_str())


def _clean(text: str) -> str:
    """The text without lone surrogates, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode()


def _bpe(vocab_size: int) -> tuple[tokenizers.Tokenizer, Any]:
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=RARE,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    return inner, trainer


def _wordpiece(vocab_size: int) -> tuple[tokenizers.Tokenizer, Any]:
    inner = tokenizers.Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    inner.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=RARE,
        limit_alphabet=vocab_size // 4,  # of rare characters, most of the others are never met again
        special_tokens=[*SPECIAL, UNKNOWN],
        show_progress=False,
    )
    return inner, trainer


TRAINED = {"bpe": _bpe, "wordpiece": _wordpiece}


def check_vocabulary(preprocess: Preprocess | None, problem: Problem | None, name: str) -> None:
    """Raises `WeightsError` where the tokenizer of weights makes tokens that these do not know."""
    if not isinstance(preprocess, TextPreprocess) or problem is None:
        return
    size = len(open_tokenizer(preprocess).sizes)
    known = problem.input.vocab_size if isinstance(problem.input, TokenInput) else 0
    if size > known:
        raise WeightsError(
            f"{name}: its {preprocess.tokenizer} tokenizer has {size:,} tokens, its weights know {known:,}; "
            "get both anew from one training"
        )

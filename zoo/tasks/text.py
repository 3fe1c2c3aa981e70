"""Text to tokens and back, byte by byte."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from zoo.errors import DataError
from zoo.specs import TextPreprocess

PADDING, BEGIN, END = 0, 257, 258
VOCAB_SIZE = 259  # padding, 256 bytes, begin, end


def check_tokenizer(preprocess: TextPreprocess) -> None:
    """Raises `DataError` for a tokenizer that this version does not know."""
    if preprocess.tokenizer != "bytes":
        raise DataError(f"tokenizer {preprocess.tokenizer!r} is not known; known: bytes")


def encode_texts(texts: Sequence[str], length: int, *, ends: bool = False) -> Tensor:
    """Texts as int64 `[N, length]`, cut and padded on the right; `ends` frames each in begin and end."""
    tokens = np.zeros((len(texts), length), dtype=np.int64)
    for row, text in enumerate(texts):
        encoded = encode_text(text)
        if ends:
            encoded = np.concatenate([[BEGIN], encoded[: length - 2], [END]])
        encoded = encoded[:length]
        tokens[row, : len(encoded)] = encoded
    return torch.from_numpy(tokens)


def encode_text(text: str) -> np.ndarray:
    """One text as int64 tokens: each byte of its UTF-8 plus one."""
    return np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8).astype(np.int64) + 1


def encode_stream(texts: Sequence[str]) -> Tensor:
    """Documents as one int16 stream, each followed by the end token."""
    pieces = [np.append(encode_text(text).astype(np.int16), np.int16(END)) for text in texts]
    return torch.from_numpy(np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int16))


def decode_tokens(tokens: Sequence[int]) -> str:
    """Tokens up to the first end token as text; padding and begin are passed over."""
    content = bytearray()
    for token in tokens:
        if token == END:
            break
        if 1 <= token <= 256:
            content.append(token - 1)
    return content.decode("utf-8", "replace")

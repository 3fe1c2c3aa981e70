"""Tokens as stretches of text that can be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo.specs import TextPreprocess
from zoo.tokenizers import open_tokenizer

BROKEN = "\ufffd"
LONGEST = 4  # bytes of a character in UTF-8


@dataclass(frozen=True)
class Piece:
    """A stretch of text, and how much it spoke for the answer."""

    text: str
    relevance: float


def pieces_of(
    tokens: Sequence[int], relevance: Sequence[float], preprocess: TextPreprocess
) -> tuple[Piece, ...]:
    """The text of tokens, one piece for each; of several that make one character, one for all of them."""
    tokenizer = open_tokenizer(preprocess)
    found, waiting, total = list[Piece](), list[int](), 0.0
    for token, value in zip(tokens, relevance, strict=True):
        waiting.append(token)
        total += value
        text = tokenizer.decode(waiting)
        if BROKEN in text and len(waiting) < LONGEST:
            continue
        if not tokenizer.lossless:  # which passes over white space
            text = text.removeprefix("##") if text.startswith("##") or not found else f" {text}"
        found.append(Piece(text, total))
        waiting, total = [], 0.0
    if waiting:
        found.append(Piece(tokenizer.decode(waiting), total))
    return tuple(piece for piece in found if piece.text)


def words_of(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces joined to words, without the white space between them; what a word has adds up."""
    words, text, total = list[Piece](), "", 0.0
    for piece in (*pieces, Piece(" ", 0.0)):
        if piece.text[:1].isspace() and text.strip():
            words.append(Piece(text.strip(), total))
            text, total = "", 0.0
        text, total = text + piece.text, total + piece.relevance
    return words

"""LSTM language model (Zaremba, Sutskever & Vinyals 2014) whose head is its embedding (Press & Wolf 2017)."""

from __future__ import annotations

from torch import Tensor, nn

import zoo
from zoo_lstm.cells import LockedDropout
from zoo_lstm.lengths import embed
from zoo_lstm.recurrent import Plan, read, recurrence
from zoo_lstm.state import State, rows_of


def language_model(
    problem: zoo.Problem,
    *,
    cell: str = "lstm",
    embedding: int = 64,
    units: int = 256,
    layers: int = 1,
    dropout: float = 0.0,
    variational: bool = False,
    weight_dropout: float = 0.0,
    residual: bool = False,
    projection: int = 0,
    remember: int = 0,
) -> nn.Module:
    """A causal language model: tokens `[B, T]` to logits `[B, T, V]`, each of the token that follows.

    `embedding` is the size of a token's vector, `units` and `layers` that of the recurrent layers. `dropout`
    lies where Zaremba et al. put it: before, between and after the layers, never from one step to the next.
    Normalisation after the layers is an addition: it lets the network learn with larger steps. The other
    options are those of `zoo_lstm.recurrent.Plan`.

    Raises `zoo.SpecError` for a problem that does not go from tokens to the same tokens, and for options
    that do not fit.
    """
    plan = Plan(
        model="language_model",
        cell=cell,
        units=(units,) * layers,
        dropout=dropout,
        variational=variational,
        weight_dropout=weight_dropout,
        residual=residual,
        projection=projection,
        remember=remember,
    )
    return LanguageModel(vocabulary(problem, "language_model"), embedding, plan)


def vocabulary(problem: zoo.Problem, model: str) -> int:
    """How many tokens there are; raises `zoo.SpecError` where other ones follow than are read."""
    tokens, following = problem.expect(model, zoo.TokenInput, zoo.TokenOutput)
    if tokens.vocab_size != following.vocab_size:
        sizes = f"{tokens.vocab_size} tokens in and {following.vocab_size} out"
        raise zoo.SpecError(model, [f"goes on with the tokens that it reads, not {sizes}"])
    return tokens.vocab_size


def token_vectors(vocab_size: int, size: int) -> nn.Embedding:
    """Vectors for a head that shares them, by which logits are about 1; layers want `size**0.5` as much."""
    embedding = nn.Embedding(vocab_size, size)
    nn.init.normal_(embedding.weight, std=size**-0.5)
    return embedding


def tied_head(embedding: nn.Embedding) -> nn.Linear:
    """From a vector to the logits of all tokens, by the tokens' own vectors."""
    head = nn.Linear(embedding.embedding_dim, embedding.num_embeddings)
    head.weight = embedding.weight
    nn.init.zeros_(head.bias)
    return head


class LanguageModel(nn.Module):
    """Embedding, recurrent layers, and the embedding again to tell which token follows."""

    def __init__(self, vocab_size: int, embedding: int, plan: Plan) -> None:
        super().__init__()
        self.embedding = token_vectors(vocab_size, embedding)
        self.scale = embedding**0.5  # as the layers want it: numbers of about 1 (Vaswani et al. 2017)
        self.dropout = LockedDropout(plan.dropout) if plan.variational else nn.Dropout(plan.dropout)
        self.lstm = recurrence(plan, embedding)  # so named since it was nothing else
        self.norm = nn.LayerNorm(plan.width)
        self.project = nn.Linear(plan.width, embedding)
        self.head = tied_head(self.embedding)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, T]` to logits `[B, T, V]`; no token sees a later one."""
        return self.step(tokens)[0]

    def start(self) -> State:
        """The state of no text yet."""
        return None

    def step(self, tokens: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Some more tokens `[B, T]` to logits `[B, T, V]`, and the state from which the next ones go on.

        A text read in pieces gets the logits that it gets as a whole. Raises `zoo.DataError` for the state
        of another number of texts, and for tokens that are none.
        """
        vectors = self.dropout(embed(self.embedding, tokens) * self.scale)  # [B, T, embedding]
        states, state = read(self.lstm, vectors, state=state)  # [B, T, width]
        logits: Tensor = self.head(self.project(self.dropout(self.norm(states))))
        return logits, state

    def choose(self, state: State, rows: Tensor) -> State:
        """The state of some rows of the batch, `[N]`, in any order."""
        return rows_of(state, rows)

"""AWD-LSTM (Merity, Keskar & Socher, "Regularizing and optimizing LSTM language models", 2017)."""

from __future__ import annotations

from torch import Tensor, nn

import zoo
from zoo_lstm.cells import LockedDropout
from zoo_lstm.language_model import tied_head, token_vectors, vocabulary
from zoo_lstm.lengths import embed
from zoo_lstm.recurrent import Plan, read, recurrence
from zoo_lstm.state import State, rows_of


def awd_lstm(
    problem: zoo.Problem,
    *,
    cell: str = "lstm",
    embedding: int = 96,
    units: int = 288,
    layers: int = 3,
    token_dropout: float = 0.1,
    input_dropout: float = 0.4,
    dropout: float = 0.3,
    weight_dropout: float = 0.5,
    output_dropout: float = 0.4,
) -> nn.Module:
    """A causal language model that is kept from learning by heart: tokens `[B, T]` to logits `[B, T, V]`.

    The last of `layers` has as many units as a token's vector, `embedding`, and the head is the embedding
    itself. What is left out stays left out for a whole text: tokens (`token_dropout`, each wherever it
    occurs), features of vectors (`input_dropout`), of states between layers (`dropout`) and of the last ones
    (`output_dropout`), and recurrent weights (`weight_dropout`). The defaults are the paper's for
    hundreds of passes over a small text; sizes are for bytes, not for its ten thousand words.

    The paper's penalties on the size and change of states would be parts of the loss. Its averaged SGD is
    `recipes/awd_lstm-asgd.toml`; the model's own recipe, for few passes, has another optimizer. Vectors are
    scaled up before the layers, which is an addition: the network learns from the first steps.

    Raises `zoo.SpecError` for a problem that does not go from tokens to the same tokens, and for options
    that do not fit.
    """
    plan = Plan(
        model="awd_lstm",
        cell=cell,
        units=(*[units] * (layers - 1), embedding),
        dropout=dropout,
        variational=True,
        weight_dropout=weight_dropout,
    )
    return AWDLSTM(
        vocabulary(problem, "awd_lstm"), embedding, plan, token_dropout, input_dropout, output_dropout
    )


class AWDLSTM(nn.Module):
    """Embedding, layers with dropped weights, and the embedding again to tell which token follows."""

    def __init__(
        self,
        vocab_size: int,
        embedding: int,
        plan: Plan,
        token_dropout: float,
        input_dropout: float,
        output_dropout: float,
    ) -> None:
        super().__init__()
        self.embedding = token_vectors(vocab_size, embedding)
        self.scale = embedding**0.5  # as the layers want it: numbers of about 1 (Vaswani et al. 2017)
        self.tokens = nn.Dropout(token_dropout)
        self.before = LockedDropout(input_dropout)
        self.layers = recurrence(plan, embedding)
        self.after = LockedDropout(output_dropout)
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
        states, state = read(self.layers, self.before(self._vectors(tokens) * self.scale), state=state)
        logits: Tensor = self.head(self.after(states))
        return logits, state

    def choose(self, state: State, rows: Tensor) -> State:
        """The state of some rows of the batch, `[N]`, in any order."""
        return rows_of(state, rows)

    def _vectors(self, tokens: Tensor) -> Tensor:
        """`[B, T, embedding]`; in training without some tokens of the vocabulary (Gal & Ghahramani 2016)."""
        if not self.training:
            return embed(self.embedding, tokens)
        kept = self.tokens(self.embedding.weight.new_ones(self.embedding.num_embeddings, 1))  # [V, 1]
        return embed(self.embedding, tokens, kept=kept)

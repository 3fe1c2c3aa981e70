"""The same networks in Keras, begun with the weights that the torch modules begin with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from train_rivals.cases import Case

Weights = Mapping[str, NDArray[Any]]
NORM = {"epsilon": 1e-5}  # torch's


def make_model(case: Case, weights: Weights) -> keras.Model:
    """The case's network; `weights` are by the torch module's names and in its layout."""
    makers = {"cnn/convnet": _convnet, "lstm/classifier": _lstm, "transformer/gpt": _gpt}
    return makers[case.model](case, weights)


def _convnet(case: Case, weights: Weights) -> keras.Model:
    channels, height, width = case.shape
    maps = case.options["width"]
    model = keras.Sequential(
        [
            keras.Input((height, width, channels)),
            layers.Conv2D(maps, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(2 * maps, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(4 * maps, activation="relu"),
            layers.Dropout(case.options["dropout"]),
            layers.Dense(case.classes),
        ]
    )
    _, *sides, _ = model.layers[3].output.shape  # [B, H, W, C]
    dense = weights["dense.weight"].reshape(4 * maps, 2 * maps, *sides)  # [out, C, H, W]
    model.set_weights(
        [
            weights["conv1.weight"].transpose(2, 3, 1, 0),
            weights["conv1.bias"],
            weights["conv2.weight"].transpose(2, 3, 1, 0),
            weights["conv2.bias"],
            dense.transpose(2, 3, 1, 0).reshape(-1, 4 * maps),
            weights["dense.bias"],
            weights["head.weight"].T,
            weights["head.bias"],
        ]
    )
    return model


def _lstm(case: Case, weights: Weights) -> keras.Model:
    """The LSTM of torch adds up two biases, Keras has the one that is their sum: so many parameters fewer."""
    (length, channels), options = case.shape, case.options
    model = keras.Sequential(
        [
            keras.Input((length, channels)),
            layers.Reshape((length // options["patch"], options["patch"] * channels)),
            layers.Bidirectional(layers.LSTM(options["units"], return_sequences=True)),
            layers.LayerNormalization(**NORM),
            layers.GlobalMaxPooling1D(),
            layers.Dropout(options["dropout"]),
            layers.Dense(case.classes),
        ]
    )
    recurrent = [
        array
        for way in ("layers.0.ahead", "layers.0.back")
        for array in (
            weights[f"{way}.weight_ih_l0"].T,
            weights[f"{way}.weight_hh_l0"].T,
            weights[f"{way}.bias_ih_l0"] + weights[f"{way}.bias_hh_l0"],
        )
    ]
    norm = [weights["norm.weight"], weights["norm.bias"]]
    model.set_weights([*recurrent, *norm, weights["head.weight"].T, weights["head.bias"]])
    return model


def _gpt(case: Case, weights: Weights) -> keras.Model:
    (length,), options = case.shape, case.options
    dim, depth, heads = options["dim"], options["depth"], options["heads"]
    tokens = keras.Input((length,), dtype="int32")
    embedding = layers.Embedding(case.classes, dim)
    hidden = embedding(tokens)
    for _ in range(depth):
        hidden = _block(hidden, heads)
    hidden = layers.LayerNormalization(center=False, **NORM)(hidden)
    model = keras.Model(tokens, Tied(embedding)(hidden))
    matrices = [embedding.embeddings.path]  # kept as it is; dense layers hold the transpose
    model.set_weights(
        [
            weights[name].T if weights[name].ndim == 2 and variable.path not in matrices else weights[name]
            for name, variable in zip(weights, model.weights, strict=True)
        ]
    )
    return model


def _block(hidden: Any, heads: int) -> Any:
    """Attention, then a gated MLP, each of the normalised and added to what it was given."""
    dim = hidden.shape[-1]
    seen = layers.LayerNormalization(center=False, **NORM)(hidden)
    query = layers.Dense(dim, use_bias=False)(seen)
    key_value = layers.Dense(2 * dim, use_bias=False)(seen)
    found = CausalAttention(heads)([query, key_value])
    hidden = layers.Add()([hidden, layers.Dense(dim, use_bias=False)(found)])
    inner = 8 * -(-dim // 3)
    both = layers.Dense(2 * inner, use_bias=False)(layers.LayerNormalization(center=False, **NORM)(hidden))
    return layers.Add()([hidden, layers.Dense(dim, use_bias=False)(Gate()(both))])


class CausalAttention(layers.Layer):
    """Scaled dot products of queries and keys turned by their positions."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def build(self, shapes: Any) -> None:
        """The angles of every position, which are the same in each step."""
        (_, length, dim), _ = shapes
        pairs = dim // self.heads // 2
        frequencies = 10_000.0 ** (-np.arange(pairs) / pairs)
        angles = (np.arange(length)[:, None] * frequencies)[None, :, None]  # [1, T, 1, pairs]
        self.cos, self.sin = (turn.astype(np.float32) for turn in (np.cos(angles), np.sin(angles)))

    def call(self, inputs: Any) -> Any:
        """Queries `[B, T, D]`, keys and values `[B, T, 2 D]` to `[B, T, D]`."""
        query, key_value = inputs
        key, value = ops.split(key_value, 2, axis=-1)
        query, key, value = (self._split(part) for part in (query, key, value))  # [B, T, N, D / N]
        found = ops.dot_product_attention(self._turn(query), self._turn(key), value, is_causal=True)
        return ops.reshape(found, ops.shape(inputs[0]))

    def _split(self, features: Any) -> Any:
        _, length, dim = features.shape
        return ops.reshape(features, (-1, length, self.heads, dim // self.heads))

    def _turn(self, features: Any) -> Any:
        first, second = ops.split(features, 2, axis=-1)
        return ops.concatenate(
            [first * self.cos - second * self.sin, first * self.sin + second * self.cos], axis=-1
        )


class Gate(layers.Layer):
    """One half of the features opens the other."""

    def call(self, both: Any) -> Any:
        """`[B, T, 2 H]` to `[B, T, H]`."""
        gate, value = ops.split(both, 2, axis=-1)
        return ops.silu(gate) * value


class Tied(layers.Layer):
    """The table of token vectors once more, to score the token that follows."""

    def __init__(self, embedding: layers.Embedding) -> None:
        super().__init__()
        self.embedding = embedding

    def call(self, hidden: Any) -> Any:
        """`[B, T, D]` to logits `[B, T, V]`."""
        return ops.matmul(hidden, ops.transpose(self.embedding.embeddings))

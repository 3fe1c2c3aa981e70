"""How fast the transformer plugin trains, writes and embeds, beside models by hand and Hugging Face's.

    python benchmarks/transformer.py [--smoke] [--runs N] [--threads N] [--cpu-time] [--only KIND ...]
        [--rivals PYTHON]

Training: tokens a second of `transformer/gpt` in the shape of nanoGPT (learned positions, biases, an MLP
with GELU, a tied head), of a GPT by hand in nanoGPT's way, and of `transformers.GPT2LMHeadModel`, all of 4
blocks of 128 features and 4 heads, on the same random tokens, in the same plain loop with fused AdamW; and of
`transformer/gpt` as it is by default (rotary positions, SwiGLU), which is more work for the same size.

Writing: tokens a second, greedily, of the same GPT-2 with the same random weights, by ours with its state, by
ours reading the whole text for each token, and by `transformers`' `generate` with its cache.

Embedding: texts a second of a sentence encoder in the shape of MiniLM (6 blocks of 384 features), the same
random weights for both, by `zoo.predict` and by sentence-transformers' `encode`, 32 texts a batch; texts have
2 to 200 words, half of them fewer than 20. `make rivals` installs the latter into `.venv-rivals`, where
both are run.

Each run is a process of its own; the contestants take turns, and the medians are shown. `--cpu-time` counts
the seconds of the processor instead of the clock's, for a machine that does other work: with `--threads 1`,
since threads that wait for one another count too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

VOCABULARY, LENGTH, BATCH = 259, 128, 8
DIM, DEPTH, HEADS = 128, 4, 4
CONTEXT, PROMPT, WRITTEN = 512, 16, 400
TEXTS, TEXT_BATCH, WORDS = 384, 32, 4000
WARMUP = 5
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
RIVALS = Path(__file__).parents[1] / ".venv-rivals" / "bin" / "python"
Result = dict[str, float]
Clock = Callable[[], float]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a few steps of each; the figures mean nothing")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--only", nargs="*", choices=tuple(AIMS), default=tuple(AIMS), metavar="KIND")
    parser.add_argument("--rivals", type=Path, default=RIVALS, metavar="PYTHON")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(run(arguments.way, arguments)))
        return
    runs = 1 if arguments.smoke else arguments.runs
    os.environ |= OFFLINE
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    clock = ", seconds of the processor" if arguments.cpu_time else ""
    print(f"{arguments.threads} threads, {runs} runs{clock} (load before: {os.getloadavg()[0]:.1f})")
    with tempfile.TemporaryDirectory() as folder:
        arguments.folder = Path(folder)
        for kind in arguments.only:
            measure(kind, runs, arguments)


def measure(kind: str, runs: int, arguments: argparse.Namespace) -> None:
    """The contestants in turn, and their table."""
    python = Path(sys.executable)
    if kind == "embedding":
        if not _has(arguments.rivals, "sentence_transformers"):
            print("embedding: sentence-transformers is not installed: make rivals")
            return
        python = arguments.rivals
        save_encoder(arguments.folder, 40 if arguments.smoke else TEXTS)
    found: dict[str, list[Result]] = {way: [] for way in WAYS[kind]}
    for _ in range(runs):
        for way, results in found.items():
            results.append(_child(python, way, arguments))
    report(kind, found)
    if kind == "embedding":
        print(f"{'largest difference':<24}{_apart(arguments.folder):>10.1e}")


def run(way: str, arguments: argparse.Namespace) -> Result:
    """One contestant's figures, in its own process."""
    import torch

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    clock = process_time if arguments.cpu_time else perf_counter
    if way in TRAINING:
        return train(*TRAINING[way](), clock, steps=3 if arguments.smoke else 60)
    if way in WRITING:
        return write(WRITING[way], clock, tokens=8 if arguments.smoke else WRITTEN)
    return embed(way, clock, arguments.folder)


# -- training ---------------------------------------------------------------------------------


def train(model: Any, logits_of: Callable[[Any], Any], clock: Clock, *, steps: int) -> Result:
    """Tokens a second of the loop that one writes by hand."""
    import torch
    from torch.nn import functional as F

    data = torch.randint(1, VOCABULARY, (WARMUP + steps, BATCH, LENGTH + 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    model.train()
    started = 0.0
    for number, tokens in enumerate(data):
        if number == WARMUP:
            started = clock()
        logits = logits_of(tokens[:, :-1])  # [B, T, V]
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    seconds = clock() - started
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"rate": steps * BATCH * LENGTH / seconds, "parameters": parameters}


def our_nanogpt() -> tuple[Any, Callable[[Any], Any]]:
    """`transformer/gpt` in the shape of nanoGPT."""
    return our_gpt(positions="learned", activation="gelu", bias=True)


def our_gpt(**options: Any) -> tuple[Any, Callable[[Any], Any]]:
    """`transformer/gpt`, by default as it is."""
    import zoo

    problem = zoo.Problem(
        task="language-modeling",
        input=zoo.TokenInput(vocab_size=VOCABULARY, length=LENGTH),
        output=zoo.TokenOutput(vocab_size=VOCABULARY, length=LENGTH),
    )
    sizes: dict[str, Any] = {"dim": DIM, "depth": DEPTH, "heads": HEADS, "dropout": 0.0}
    model = zoo.load("transformer/gpt", problem=problem, **sizes, **options)
    return model, model


def gpt_by_hand() -> tuple[Any, Callable[[Any], Any]]:
    """A GPT in the way of nanoGPT, written here."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.between = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
            self.attention, self.out = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
            self.mlp = nn.Sequential(nn.Linear(DIM, 4 * DIM), nn.GELU(), nn.Linear(4 * DIM, DIM))

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            parts = self.attention(self.before(hidden)).split(DIM, dim=2)
            query, key, value = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in parts)
            found = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            hidden = hidden + self.out(found.transpose(1, 2).flatten(2))
            out: torch.Tensor = hidden + self.mlp(self.between(hidden))
            return out

    class Gpt(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Embedding(VOCABULARY, DIM), nn.Embedding(LENGTH, DIM)
            self.blocks = nn.Sequential(*(Block() for _ in range(DEPTH)))
            self.norm = nn.LayerNorm(DIM)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            hidden = self.words(tokens) + self.places.weight[: tokens.shape[1]]
            return F.linear(self.norm(self.blocks(hidden)), self.words.weight)

    model = Gpt()
    return model, model


def their_gpt2() -> tuple[Any, Callable[[Any], Any]]:
    """`transformers.GPT2LMHeadModel`."""
    model = _gpt2(LENGTH)
    return model, lambda tokens: model(tokens, use_cache=False).logits


def _gpt2(length: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    options: dict[str, Any] = {"n_embd": DIM, "n_layer": DEPTH, "n_head": HEADS, "n_positions": length}
    options |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    options |= dict.fromkeys(("bos_token_id", "eos_token_id"), VOCABULARY - 1)
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, **options))


# -- writing ----------------------------------------------------------------------------------


def write(way: Callable[[Any, Any, Any, int], None], clock: Clock, *, tokens: int) -> Result:
    """Tokens a second, after a few that are not timed."""
    import torch

    import zoo

    theirs = _gpt2(CONTEXT).eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(Path(folder, "gpt2"))
        ours = zoo.load("transformer/gpt2", weights=f"file:{Path(folder, 'gpt2')}")
    prompt = torch.randint(VOCABULARY, (1, PROMPT))
    with torch.inference_mode():
        way(ours, theirs, prompt, WARMUP)
        started = clock()
        way(ours, theirs, prompt, tokens)
    return {"rate": tokens / (clock() - started)}


def _ours(model: Any, prompt: Any, tokens: int) -> None:
    from itertools import islice

    from zoo.tasks.generation import Sampling, write_on

    for _ in islice(write_on(model, prompt + 1, context=CONTEXT, sampling=Sampling(temperature=0)), tokens):
        pass


def with_state(ours: Any, theirs: Any, prompt: Any, tokens: int) -> None:
    """Ours, each token read once."""
    _ours(ours, prompt, tokens)


def without_state(ours: Any, theirs: Any, prompt: Any, tokens: int) -> None:
    """Ours, the whole text read for each token."""
    from torch import nn

    class Plain(nn.Module):
        def forward(self, given: Any) -> Any:
            return ours(given)

    _ours(Plain(), prompt, tokens)


def generate(ours: Any, theirs: Any, prompt: Any, tokens: int) -> None:
    """`transformers`."""
    theirs.generate(prompt, max_new_tokens=tokens, do_sample=False, eos_token_id=None, pad_token_id=0)


# -- embedding --------------------------------------------------------------------------------


def save_encoder(folder: Path, count: int) -> None:
    """A random encoder as both libraries read it, and the texts."""
    import torch
    import transformers

    import zoo

    torch.manual_seed(0)
    texts = _texts(count)
    shape: dict[str, Any] = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12}
    config = transformers.BertConfig(vocab_size=30_522, intermediate_size=1536, **shape)
    first = folder / "bert"
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(first)
    _tokenizer(texts).save(str(first / "tokenizer.json"))
    kinds = ("Transformer", "Pooling", "Normalize")
    parts = [{"idx": n, "path": f"{n}_{kind}" if n else "", "type": kind} for n, kind in enumerate(kinds)]
    Path(first, "1_Pooling").mkdir()
    Path(first, "modules.json").write_text(json.dumps(parts))
    Path(first, "1_Pooling", "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    Path(first, "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 256}))
    encoder = zoo.load("transformer/minilm", weights=f"file:{first}")
    zoo.export(encoder, folder / "encoder", format="huggingface")
    Path(folder, "texts.json").write_text(json.dumps(texts))


def _texts(count: int) -> list[str]:
    """Made-up words, of which some are frequent; lengths are even on a logarithmic scale."""
    draw = random.Random(0)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(WORDS)]
    weights = [1 / (1 + place) for place in range(WORDS)]
    sizes = [round(2 * 100 ** draw.random()) for _ in range(count)]
    return [" ".join(draw.choices(words, weights, k=size)) for size in sizes]


def _tokenizer(texts: list[str]) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=8000, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def embed(way: str, clock: Clock, folder: Path) -> Result:
    """Texts a second, after a few that are not timed; the vectors stay in the folder."""
    import numpy as np

    texts = json.loads(Path(folder, "texts.json").read_text())
    encode = EMBEDDING[way](folder / "encoder")
    encode(texts[:TEXT_BATCH])
    started = clock()
    vectors = encode(texts)
    seconds = clock() - started
    np.save(folder / f"{way}.npy", np.asarray(vectors))
    return {"rate": len(texts) / seconds}


def by_zoo(source: Path) -> Callable[[list[str]], Any]:
    """`zoo.predict`."""
    import zoo

    model = zoo.load("transformer/minilm", weights=f"file:{source}")
    return lambda texts: [each["embedding"] for each in zoo.predict(model, texts, batch_size=TEXT_BATCH)]


def by_sentence_transformers(source: Path) -> Callable[[list[str]], Any]:
    """`SentenceTransformer.encode`."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(source), device="cpu")
    return lambda texts: model.encode(texts, batch_size=TEXT_BATCH, show_progress_bar=False)


def _apart(folder: Path) -> float:
    import numpy as np

    ours, theirs = (np.load(folder / f"{way}.npy") for way in EMBEDDING)
    return float(np.abs(ours - theirs).max())


TRAINING = {
    "zoo, shape of nanoGPT": our_nanogpt,
    "by hand, as nanoGPT": gpt_by_hand,
    "transformers": their_gpt2,
    "zoo, default shape": our_gpt,
}
WRITING = {"zoo, state": with_state, "zoo, whole text": without_state, "transformers, cache": generate}
EMBEDDING = {"zoo, predict": by_zoo, "sentence-transformers": by_sentence_transformers}
WAYS: dict[str, Any] = {"training": TRAINING, "writing": WRITING, "embedding": EMBEDDING}
AIMS = {"training": 1.0, "writing": 1.5, "embedding": 1.0}  # times the better of the others
UNITS = {"training": "tokens/s", "writing": "tokens/s", "embedding": "texts/s"}


# -- what came of it --------------------------------------------------------------------------


def _has(python: Path, package: str) -> bool:
    """Whether that Python can import a package."""
    looking = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return python.exists() and not subprocess.run([python, "-c", looking], check=False).returncode


def _child(python: Path, way: str, arguments: argparse.Namespace) -> Result:
    command = [python, __file__, "--way", way, "--folder", arguments.folder]
    command += ["--threads", str(arguments.threads)]
    command += ["--smoke"] * arguments.smoke + ["--cpu-time"] * arguments.cpu_time
    done = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(arguments.threads), **OFFLINE},
    )
    found: Result = json.loads(done.stdout.splitlines()[-1])
    return found


def report(kind: str, found: dict[str, list[Result]]) -> None:
    """A table of medians, and ours to the better of the others."""
    rates = {way: [result["rate"] for result in results] for way, results in found.items()}
    print(f"{kind:<24}{UNITS[kind]:>10}{'lowest':>10}{'highest':>10}{'parameters':>12}")
    for way, values in rates.items():
        cells = "".join(f"{value:>10,.0f}" for value in (statistics.median(values), min(values), max(values)))
        parameters = found[way][0].get("parameters")
        print(f"{way:<24}{cells}{f'{parameters:,.0f}' if parameters else '':>12}")
    middles = {way: statistics.median(values) for way, values in rates.items()}
    ours = next(iter(middles.values()))
    best = max(value for way, value in middles.items() if not way.startswith("zoo"))
    print(f"{'zoo to the better':<24}{ours / best:>10.2f}    aim {AIMS[kind]}")


if __name__ == "__main__":
    main()

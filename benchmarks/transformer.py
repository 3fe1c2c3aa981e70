"""How fast the transformer plugin trains and writes, beside a model by hand and Hugging Face's.

    python benchmarks/transformer.py [--smoke] [--runs N] [--threads N]

Training: tokens a second of `transformer/gpt`, of a GPT as nanoGPT has it (learned positions, one matrix for
queries, keys and values, an MLP with GELU, a tied head) and of `transformers.GPT2LMHeadModel`, all of 4
blocks of 128 features and 4 heads, on the same random tokens, in the same plain loop with fused AdamW.

Writing: tokens a second, greedily, of the same GPT-2 with the same random weights, by ours with its state, by
ours reading the whole text for each token, and by `transformers`' `generate` with its cache.

Each run is a process of its own; the contestants take turns, and the medians are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

VOCABULARY, LENGTH, BATCH = 259, 128, 8
DIM, DEPTH, HEADS = 128, 4, 4
CONTEXT, PROMPT, WRITTEN = 512, 16, 400
WARMUP = 5
Result = dict[str, float]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a few steps of each; the figures mean nothing")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(run(arguments.way, smoke=arguments.smoke, threads=arguments.threads)))
        return
    runs = 1 if arguments.smoke else arguments.runs
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    print(f"{arguments.threads} threads, {runs} runs (load before: {os.getloadavg()[0]:.1f})")
    for kind, ways in (("training", TRAINING), ("writing", WRITING)):
        found: dict[str, list[Result]] = {way: [] for way in ways}
        for _ in range(runs):
            for way, results in found.items():
                results.append(_child(way, arguments))
        report(kind, found)


def run(way: str, *, smoke: bool, threads: int) -> Result:
    """One contestant's figures, in its own process."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if way in TRAINING:
        return train(*TRAINING[way](), steps=3 if smoke else 60)
    return write(WRITING[way], tokens=8 if smoke else WRITTEN)


# -- training ---------------------------------------------------------------------------------


def train(model: Any, logits_of: Callable[[Any], Any], *, steps: int) -> Result:
    """Tokens a second of the loop that one writes by hand."""
    import torch
    from torch.nn import functional as F

    data = torch.randint(1, VOCABULARY, (WARMUP + steps, BATCH, LENGTH + 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    model.train()
    started = 0.0
    for number, tokens in enumerate(data):
        if number == WARMUP:
            started = perf_counter()
        logits = logits_of(tokens[:, :-1])  # [B, T, V]
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    seconds = perf_counter() - started
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"rate": steps * BATCH * LENGTH / seconds, "parameters": parameters}


def our_gpt() -> tuple[Any, Callable[[Any], Any]]:
    """`transformer/gpt`."""
    import zoo

    problem = zoo.Problem(
        task="language-modeling",
        input=zoo.TokenInput(vocab_size=VOCABULARY, length=LENGTH),
        output=zoo.TokenOutput(vocab_size=VOCABULARY, length=LENGTH),
    )
    model = zoo.load("transformer/gpt", problem=problem, dim=DIM, depth=DEPTH, heads=HEADS, dropout=0.0)
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


def write(way: Callable[[Any, Any, Any, int], None], *, tokens: int) -> Result:
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
        started = perf_counter()
        way(ours, theirs, prompt, tokens)
    return {"rate": tokens / (perf_counter() - started)}


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


TRAINING = {"zoo": our_gpt, "by hand, as nanoGPT": gpt_by_hand, "transformers": their_gpt2}
WRITING = {"zoo, state": with_state, "zoo, whole text": without_state, "transformers, cache": generate}
AIMS = {"training": 1.0, "writing": 1.5}  # times the better of the others, or transformers


# -- what came of it --------------------------------------------------------------------------


def _child(way: str, arguments: argparse.Namespace) -> Result:
    command = [sys.executable, __file__, "--way", way, "--threads", str(arguments.threads)]
    done = subprocess.run(
        command + ["--smoke"] * arguments.smoke,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "HF_HUB_OFFLINE": "1"},
    )
    found: Result = json.loads(done.stdout.splitlines()[-1])
    return found


def report(kind: str, found: dict[str, list[Result]]) -> None:
    """A table of medians, and ours to the better of the others."""
    rates = {way: [result["rate"] for result in results] for way, results in found.items()}
    print(f"{kind:<24}{'tokens/s':>10}{'lowest':>10}{'highest':>10}{'parameters':>12}")
    for way, values in rates.items():
        cells = "".join(f"{value:>10,.0f}" for value in (statistics.median(values), min(values), max(values)))
        parameters = found[way][0].get("parameters")
        print(f"{way:<24}{cells}{f'{parameters:,.0f}' if parameters else '':>12}")
    ours, *others = (statistics.median(values) for values in rates.values())
    best = max(others) if kind == "training" else others[-1]
    print(f"{'zoo to it':<24}{ours / best:>10.2f}    aim {AIMS[kind]}")


if __name__ == "__main__":
    main()

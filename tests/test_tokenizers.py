"""Tokenizers: trained on the user's texts, carried by runs and weights, packed into maps, and what is cut."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import filelock
import msgspec
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

import zoo
from zoo import api
from zoo.data.dataset import SPLITS
from zoo.data.documents import Documents, cut, look_at
from zoo.data.table import Texts
from zoo.data.tokens import MAPPED, Layout, pack_texts, pieces_of, some_of
from zoo.golden import golden_output
from zoo.registry import installed
from zoo.specs import Recipe, TextPreprocess
from zoo.tasks.base import Prepared, prepare
from zoo.tasks.language_modeling import language_modeling
from zoo.tasks.seq2seq import seq2seq
from zoo.tasks.text import StreamSplit, tell_truncation, truncation
from zoo.testing.training import StopAt
from zoo.tokenizers import SPECIAL, ByteTokenizer, TrainedTokenizer, open_tokenizer, train_tokenizer
from zoo.training import Callback
from zoo.weights.headers import read_header

NOUNS = ("harbour", "garden", "letter", "window", "kettle", "orchard", "lantern", "meadow")
VERBS = ("waits for", "remembers", "forgets", "follows", "carries", "paints")
SENTENCES = [f"The {one} {verb} the {other}." for one in NOUNS for verb in VERBS for other in NOUNS]
BOOK = "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(SENTENCES)) + "\nGrüße, 世界 🙂\n"
VOCABULARY = 300


def definition(kind: str = "bpe", texts: Sequence[str] = (BOOK,), vocab_size: int = VOCABULARY) -> str:
    return train_tokenizer(kind, texts, vocab_size)


def opened(kind: str = "bpe", **options: Any) -> Any:
    return open_tokenizer(TextPreprocess(tokenizer=kind, definition=definition(kind, **options), length=8))


def book(folder: Path, text: str = BOOK) -> Path:
    path = folder / "book.txt"
    path.write_text(text, encoding="utf-8")
    return path


def mail(folder: Path) -> Path:
    """Sentences by their verb, in a table."""
    path = folder / "mail.jsonl"
    rows = [
        {
            "text": f"{sentence} " * (1 + number % 3),
            "label": "keeps" if "forgets" not in sentence else "drops",
        }
        for number, sentence in enumerate(SENTENCES[::2])
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pairs(folder: Path) -> Path:
    path = folder / "pairs.jsonl"
    rows = [{"source": sentence, "target": sentence.split()[1]} for sentence in SENTENCES[:90]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


JOBS: dict[str, tuple[str, Any, dict[str, Any], dict[str, Any]]] = {
    "text-classification": ("cnn/textcnn", mail, {}, {}),
    "language-modeling": ("transformer/gpt", book, {"length": 16}, {"dim": 16, "depth": 1, "heads": 2}),
    "seq2seq": ("lstm/seq2seq", pairs, {}, {"units": 16}),
}
ASKED = "The kettle forgets the orchard."


def train(task: str, tmp_path: Path, output: str = "run", *callbacks: Callback, **settings: Any) -> zoo.Run:
    model, data, own, options = JOBS[task]
    chosen = {"steps": 6, "batch_size": 8, "precision": "fp32", "tokenizer": "bpe", "vocab_size": VOCABULARY}
    chosen |= {**own, **settings}
    return zoo.train(
        model,
        str(data(tmp_path)),
        output=tmp_path / output,
        settings=chosen,
        device="cpu",
        callbacks=callbacks,
        **options,
    )


def refused(error: type[Exception], call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- tokenizers -------------------------------------------------------------------------------


@given(st.text())
def test_bytes_are_lossless_and_padding_is_no_byte(text: str) -> None:
    tokenizer = ByteTokenizer()
    (tokens,) = tokenizer.encode([text])
    assert tokenizer.decode(tokens.tolist()) == text
    assert len(tokens) == len(text.encode()) == tokenizer.sizes[tokens].sum()
    assert 0 not in tokens


@pytest.fixture(scope="module")
def bpe() -> TrainedTokenizer:
    tokenizer: TrainedTokenizer = opened()
    return tokenizer


@given(text=st.text())
def test_bpe_is_lossless_and_each_token_knows_its_bytes(bpe: TrainedTokenizer, text: str) -> None:
    (tokens,) = bpe.encode([text])
    assert bpe.decode(tokens.tolist()) == text
    assert bpe.sizes[tokens].sum() == len(text.encode())
    assert not {0, bpe.begin, bpe.end} & set(tokens.tolist())


def test_bpe_needs_fewer_tokens_than_bytes(bpe: TrainedTokenizer) -> None:
    (tokens,) = bpe.encode([SENTENCES[5]])
    assert 2 * len(tokens) < len(SENTENCES[5])
    assert len(bpe.sizes) == VOCABULARY


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_a_text_that_names_a_special_token_does_not_become_one(kind: str) -> None:
    tokenizer = opened(kind)
    (tokens,) = tokenizer.encode([f"before {' '.join(SPECIAL)} after"])
    assert not {0, tokenizer.begin, tokenizer.end} & set(tokens.tolist())


def test_decoding_stops_at_the_end_and_passes_over_padding(bpe: TrainedTokenizer) -> None:
    first, second = (tokens.tolist() for tokens in bpe.encode(["one", "two"]))
    assert bpe.decode([bpe.begin, 0, *first, bpe.end, *second]) == "one"


def test_a_lone_surrogate_is_no_reason_to_fail(bpe: TrainedTokenizer) -> None:
    for tokenizer in (bpe, ByteTokenizer()):
        assert tokenizer.decode(tokenizer.encode(["a\ud800b"])[0].tolist()) == "a?b"


def test_wordpiece_keeps_words_and_knows_what_it_has_not_seen() -> None:
    tokenizer = opened("wordpiece", vocab_size=400)
    known, strange = tokenizer.encode(["The harbour waits", "☃"])
    assert len(known) == 3
    assert tokenizer.decode(known.tolist()) == "The harbour waits"
    assert strange.tolist() == [3]
    assert not tokenizer.lossless


def test_the_same_texts_give_the_same_vocabulary_in_any_process(tmp_path: Path) -> None:
    program = (
        "import sys; from zoo.tokenizers import train_tokenizer; "
        f"print(train_tokenizer('bpe', [open(sys.argv[1], encoding='utf-8').read()], {VOCABULARY}))"
    )
    command = (sys.executable, "-c", program, str(book(tmp_path)))
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.rstrip("\n") == definition()


def test_a_vocabulary_past_int16_is_told_apart() -> None:
    words = {"<pad>": 0, "<begin>": 1, "<end>": 2} | {f"w{n}": n + 3 for n in range(40_000)}
    model = {"type": "WordPiece", "unk_token": "w0", "continuing_subword_prefix": "##", "vocab": words}
    document = {"version": "1.0", "model": {**model, "max_input_chars_per_word": 100}}
    document |= {"pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": None, "added_tokens": []}
    preprocess = TextPreprocess(tokenizer="wordpiece", definition=json.dumps(document), length=4)
    (tokens,) = open_tokenizer(preprocess).encode(["w39999 w1"])
    assert tokens.tolist() == [40_002, 4]


BROKEN = {
    "no JSON": ("{", "the bpe tokenizer is broken: EOF"),
    "nothing": ("", "the bpe tokenizer is broken: EOF"),
    "another document": ('{"version": "1.0"}', "the bpe tokenizer is broken: Model missing"),
    "other special tokens": (
        '{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}',
        "none that zoo trains: its 2 tokens begin with a, b",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_definition_is_one_line(name: str) -> None:
    content, told = BROKEN[name]
    preprocess = TextPreprocess(tokenizer="bpe", definition=content, length=8)
    assert told in refused(zoo.WeightsError, open_tokenizer, preprocess)


def test_a_tokenizer_of_another_kind_is_refused() -> None:
    told = refused(zoo.DataError, open_tokenizer, TextPreprocess(tokenizer="words", length=8))
    assert told == "tokenizer 'words' is not known; known: bytes, bpe, wordpiece, huggingface"


@pytest.mark.parametrize(("key", "value"), [("tokenizer", "words"), ("vocab_size", 259)])
def test_a_recipe_with_a_bad_tokenizer_is_refused(key: str, value: Any) -> None:
    with pytest.raises(zoo.SpecError, match=key):
        Recipe(**{key: value})


# -- packing ----------------------------------------------------------------------------------


@given(st.lists(st.text(alphabet="ab \n", max_size=60), min_size=1, max_size=5), st.integers(2, 20))
def test_pieces_make_the_text_again(blocks: list[str], size: int) -> None:
    pieces = list(cut(blocks, size))
    assert "".join(pieces) == "".join(blocks)
    assert pieces
    assert max(map(len, pieces)) <= size


def test_pieces_begin_where_words_do() -> None:
    pieces = list(cut([BOOK], 200))
    assert len(pieces) > 10
    assert all(piece[0] in " \n" for piece in pieces[1:])


def test_each_text_ends_with_its_last_piece() -> None:
    texts = ["", "x" * 7, "ab"]
    assert list(pieces_of(texts, 3)) == [
        ("", True),
        ("xxx", False),
        ("xxx", False),
        ("x", True),
        ("ab", True),
    ]


def test_a_vocabulary_is_learnt_from_texts_that_are_evenly_spread() -> None:
    texts = [f"{number:04}" for number in range(1000)]
    assert list(some_of(texts)) == texts
    some = list(some_of(texts, limit=400))
    assert some == texts[::10]


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_texts_are_packed_within_their_room_and_what_is_cut_is_counted(
    kind: str, bpe: TrainedTokenizer
) -> None:
    tokenizer = bpe if kind == "bpe" else ByteTokenizer()
    texts = ["", SENTENCES[0], SENTENCES[1] * 50, "a"]
    whole = tokenizer.encode(texts)
    layout = Layout(room=12, before=(tokenizer.begin,), after=(tokenizer.end,))
    packed = pack_texts(texts, tokenizer, layout)
    for row, tokens in enumerate(whole):
        found = packed.tokens[packed.starts[row] : packed.starts[row + 1]].tolist()
        assert found == [tokenizer.begin, *tokens[:10].tolist(), tokenizer.end]
    over = [max(0, len(tokens) - 10) for tokens in whole]
    assert packed.cut.tokens == sum(over) > 0
    assert packed.cut.texts == np.count_nonzero(over)
    assert packed.cut.all_texts == 4
    assert packed.cut.all_tokens == sum(map(len, whole))


def test_a_long_text_is_cut_in_the_piece_that_it_ends_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.data.tokens.BATCH", 1000)
    texts = ["x" * 200_000, "short"]
    packed = pack_texts(texts, ByteTokenizer(), Layout(room=70_000, after=(258,)))
    assert packed.starts.tolist() == [0, 70_000, 70_006]
    assert packed.tokens[[0, 69_998, 69_999, 70_000]].tolist() == [121, 121, 258, ord("s") + 1]
    assert packed.cut.tokens == 200_000 - 69_999


@pytest.fixture
def large(tmp_path: Path) -> Path:
    rounds = MAPPED // len(BOOK) + 2
    return book(tmp_path, "".join(f"{number} {BOOK}" for number in range(rounds)))


def test_large_texts_are_packed_into_a_map_that_is_found_again(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = Documents((look_at(large),))
    packed = pack_texts(documents, ByteTokenizer(), Layout(after=(258,)))
    assert isinstance(packed.tokens, np.memmap)
    expected = np.frombuffer(large.read_bytes(), dtype=np.uint8).astype(np.int16) + 1
    assert np.array_equal(packed.tokens, [*expected, 258])
    (folder,) = (tmp_path / "zoo-home" / "tokens").iterdir()
    monkeypatch.setattr(ByteTokenizer, "encode", None)  # so that nothing can be made tokens of anew
    again = pack_texts(documents, ByteTokenizer(), Layout(after=(258,)))
    assert np.array_equal(again.tokens, packed.tokens)
    assert (again.starts.tolist(), again.cut) == (packed.starts.tolist(), packed.cut)
    assert list((tmp_path / "zoo-home" / "tokens").iterdir()) == [folder]


def test_other_texts_tokens_or_room_make_another_map(large: Path, tmp_path: Path) -> None:
    home = tmp_path / "zoo-home" / "tokens"
    documents, layout = Documents((look_at(large),)), Layout(after=(258,))
    pack_texts(documents, ByteTokenizer(), layout)
    pack_texts(documents, ByteTokenizer(), Layout(room=9))
    pack_texts(documents, ByteTokenizer(key="others"), layout)
    large.write_text(large.read_text(encoding="utf-8") + "more", encoding="utf-8")
    pack_texts(Documents((look_at(large),)), ByteTokenizer(), layout)
    assert len(list(home.iterdir())) == 4


def test_texts_in_memory_and_in_a_file_become_the_same_tokens(large: Path) -> None:
    text = large.read_text(encoding="utf-8")
    tokenizer, layout = opened(), Layout(after=(2,))
    from_file = pack_texts(Documents((look_at(large),)), tokenizer, layout)
    assert tokenizer.sizes[from_file.tokens].sum() == len(text.encode())
    assert tokenizer.decode(from_file.tokens.tolist()) == text


class _Failing:
    """Bytes, until there is no more room on the disk."""

    key, begin, end, lossless, sizes = "failing", 257, 258, True, ByteTokenizer().sizes

    def encode(self, texts: Sequence[str]) -> list[Any]:
        raise OSError(28, "No space left on device")


def test_no_room_for_a_map_is_one_line_and_leaves_nothing(large: Path, tmp_path: Path) -> None:
    told = refused(zoo.DataError, pack_texts, Documents((look_at(large),)), _Failing(), Layout())
    home = tmp_path / "zoo-home" / "tokens"
    assert told == (
        f"the tokens of the data cannot be kept in {str(home)!r}: No space left on device; make room there, "
        "or set ZOO_HOME to another folder"
    )
    assert list(home.iterdir()) == []


def test_a_damaged_map_is_one_line(large: Path, tmp_path: Path) -> None:
    documents = Documents((look_at(large),))
    pack_texts(documents, ByteTokenizer(), Layout())
    (folder,) = (tmp_path / "zoo-home" / "tokens").iterdir()
    os.truncate(folder / "tokens.bin", 10)
    told = refused(zoo.DataError, pack_texts, documents, ByteTokenizer(), Layout())
    assert told.startswith(f"{str(folder)!r} is damaged")
    assert told.endswith("remove it, then begin anew")


def test_what_a_killed_process_left_is_removed_and_what_another_makes_is_not(
    large: Path, tmp_path: Path
) -> None:
    home = tmp_path / "zoo-home"
    for name in ("killed", "alive"):
        (home / "tokens" / f".partial-{name}").mkdir(parents=True)
    (home / "locks").mkdir()
    with filelock.FileLock(home / "locks" / "tokens-alive.lock"):
        pack_texts(Documents((look_at(large),)), ByteTokenizer(), Layout())
    assert [path.name for path in (home / "tokens").glob(".partial-*")] == [".partial-alive"]


MEASURE = """
import re, sys
import torch, zoo
from zoo.data.load import load_dataset
from zoo.registry import installed
from zoo.specs import Recipe
from zoo.tasks.base import prepare
from zoo.tasks.language_modeling import language_modeling as task
model = installed().model("transformer/gpt")[0]
for path in sys.argv[1:]:
    dataset = load_dataset(path)
    prepare(task, dataset, task.fit(dataset, model.spec, Recipe(length=64)))
    peak = re.search("VmHWM:\\\\s*(\\\\d+) kB", open("/proc/self/status").read())
    print(1024 * int(peak[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak of a process, not of its parent")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    paths = []
    for size in (32, 96):  # megabytes, each with its last split large enough for a map
        path = tmp_path / f"{size}.txt"
        with path.open("w") as file:
            for number in range(size):
                file.write(f"{number:08} a line that is as long as it is\n" * 24_000)
        paths.append(str(path))
    done = subprocess.run((sys.executable, "-c", MEASURE, *paths), check=True, capture_output=True, text=True)
    first, second = map(int, done.stdout.split())
    assert Path(paths[1]).stat().st_size - Path(paths[0]).stat().st_size > 60e6
    assert second - first < 12e6


# -- documents --------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_text_file_is_cut_in_three_by_its_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    for module in ("zoo.data.documents", "zoo.data.sources.files"):
        monkeypatch.setattr(f"{module}.CHUNK", 512)  # so that blocks end within characters
    text = "Grüße an alle, naïve café\n" * 400
    path = tmp_path / "book.txt"
    path.write_text(text, encoding=encoding)
    dataset = zoo.load_dataset(str(path))
    columns = [dataset.splits[split]["text"] for split in SPLITS]
    parts = [column[0] for column in columns]
    assert "".join(parts) == text
    assert [round(len(part) / len(text), 2) for part in parts] == [0.7, 0.15, 0.15]
    assert [column.sizes.tolist() for column in columns] == [[len(part.encode())] for part in parts]


def test_a_folder_of_texts_is_read_when_it_is_needed(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}.txt").write_text(f"{number} {BOOK}", encoding="utf-8")
    dataset = zoo.load_dataset(str(tmp_path))
    column = dataset.splits["train"]["text"]
    assert isinstance(column, Documents)
    assert sorted(text for split in SPLITS for text in dataset.splits[split]["text"]) == sorted(
        f"{number} {BOOK}" for number in range(20)
    )


def test_a_column_of_a_table_is_read_in_the_order_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.data.table.BLOCK_BYTES", 40)  # so that a few texts are a block
    texts = [f"text {number}" for number in range(50)]
    values = pa.chunked_array([texts[:7], texts[7:30], texts[30:]])
    rows = np.random.default_rng(0).permutation(50)[:30]
    assert list(Texts(values, rows)) == [texts[row] for row in rows]
    some = Texts(pa.chunked_array([["a", " \n", None], ["", "b"]]), np.array([4, 0, 1, 2, 3]))
    assert some.filled.tolist() == [True, True, False, False, False]


def test_a_text_file_that_changes_after_it_was_looked_at_is_one_line(tmp_path: Path) -> None:
    path = book(tmp_path)
    dataset = zoo.load_dataset(str(path))
    before = dataset.fingerprint()
    path.write_text("other " + BOOK, encoding="utf-8")
    told = refused(zoo.DataError, dataset.splits["train"]["text"].__getitem__, 0)
    assert told == f"{str(path)!r} changed after it was looked at; let it be, then begin anew"
    assert zoo.load_dataset(str(path)).fingerprint() != before


# -- tasks ------------------------------------------------------------------------------------


def prepared(task: Any, data: Path, **recipe: Any) -> Prepared:
    dataset = zoo.load_dataset(str(data))
    model = installed().model("transformer/gpt")[0]
    settings = {"tokenizer": "bpe", "vocab_size": VOCABULARY, **recipe}
    return prepare(task, dataset, task.fit(dataset, model.spec, Recipe(**settings)))


class _Uniform(torch.nn.Module):
    """Every token alike."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.zeros(*tokens.shape, self.vocab_size)


@pytest.mark.parametrize("tokenizer", ["bytes", "bpe"])
def test_bits_are_counted_per_byte_of_text_whatever_the_tokens(tmp_path: Path, tokenizer: str) -> None:
    found = prepared(language_modeling, book(tmp_path), tokenizer=tokenizer, length=8)
    split = found.splits["train"]
    assert isinstance(split, StreamSplit)
    batch = split.take(torch.arange(len(split)))
    output = _Uniform(found.problem.output.vocab_size)(*language_modeling.inputs(batch))  # type: ignore[union-attr]
    values, weights = language_modeling.scores(output, batch, 1.0)["bits_per_byte"]
    text = open_tokenizer(found.preprocess).decode(split.stream[1 : 8 * len(split) + 1].tolist())  # type: ignore[arg-type]
    assert weights.sum() == len(text.encode())
    bits = 8 * len(split) * math.log2(found.problem.output.vocab_size)  # type: ignore[union-attr]
    assert float((values * weights).sum() / weights.sum()) == pytest.approx(
        bits / len(text.encode()), rel=1e-5
    )


def test_the_baseline_of_a_language_model_is_per_byte_too(tmp_path: Path) -> None:
    found = prepared(language_modeling, book(tmp_path), length=8)
    train, test = (found.splits[name].stream.numpy() for name in ("train", "test"))  # type: ignore[attr-defined]
    counts = np.bincount(train, minlength=VOCABULARY) + 1.0
    bits = -np.log2(counts / counts.sum())[test].sum()
    size = len(zoo.load_dataset(str(tmp_path / "book.txt")).splits["test"]["text"][0].encode())
    baseline = language_modeling.baseline(found, "test").metrics["bits_per_byte"]
    assert baseline == pytest.approx(bits / size)


def test_windows_are_shorter_where_a_split_has_few_tokens(tmp_path: Path) -> None:
    found = prepared(language_modeling, book(tmp_path, BOOK[:1200]), vocab_size=600)
    assert 1 <= found.preprocess.length < 180  # type: ignore[union-attr]  # bytes in the test split
    assert all(len(split) >= 1 for split in found.splits.values())


@pytest.mark.parametrize(("task", "data"), [("language-modeling", book), ("seq2seq", pairs)])
def test_a_task_that_writes_refuses_a_tokenizer_that_only_reads(tmp_path: Path, task: str, data: Any) -> None:
    told = refused(zoo.DataError, train, task, tmp_path, tokenizer="wordpiece")
    assert told == (
        f"a wordpiece tokenizer passes over white space, so {task} cannot use it; say tokenizer=bpe, or bytes"
    )
    assert not (tmp_path / "run").exists()


def test_pairs_share_a_vocabulary_and_targets_are_framed(tmp_path: Path) -> None:
    found = prepared(seq2seq, pairs(tmp_path))
    batch = found.splits["train"].take(torch.arange(4))
    tokenizer = open_tokenizer(found.preprocess)  # type: ignore[arg-type]
    texts = found.dataset.splits["train"]
    assert batch["target"][:, 0].tolist() == [tokenizer.begin] * 4
    assert [tokenizer.decode(row) for row in batch["source"].tolist()] == list(texts["source"])[:4]
    assert [tokenizer.decode(row) for row in batch["target"].tolist()] == list(texts["target"])[:4]
    assert all(tokenizer.end in row for row in batch["target"].tolist())
    assert truncation(found.splits) == {}


# -- a run ------------------------------------------------------------------------------------

FRESH = """
import json, sys, zoo
model = zoo.load(sys.argv[1])
found = zoo.evaluate(sys.argv[1], sys.argv[3]).as_json()
print(json.dumps([zoo.predict(model, [sys.argv[2]]), found["metrics"]]))
"""


@pytest.mark.parametrize("task", JOBS)
def test_a_run_is_used_in_another_process_as_in_its_own(tmp_path: Path, task: str) -> None:
    run = train(task, tmp_path)
    assert run.record.problem.input.vocab_size == VOCABULARY  # type: ignore[union-attr]
    moved = shutil.move(run.path, tmp_path / "moved")
    command = (sys.executable, "-c", FRESH, str(moved), ASKED, run.record.source)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answers, metrics = json.loads(done.stdout)
    assert answers == zoo.predict(str(moved), [ASKED])
    reached = {name: metric["value"] for name, metric in metrics.items()}
    assert reached == pytest.approx(dict(run.record.metrics), abs=1e-6)


def test_a_run_on_the_hub_comes_with_its_vocabulary(tmp_path: Path) -> None:
    run = train("text-classification", tmp_path)
    expected = zoo.predict(str(run.path), [ASKED])
    repository = tmp_path / "hf" / "hub" / "models--owner--mail"  # as huggingface_hub keeps it
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.move(run.path, repository / "snapshots" / ("0" * 40))
    program = "import json, sys, zoo; print(json.dumps(zoo.predict('hf://owner/mail', sys.argv[1:])))"
    done = subprocess.run(
        (sys.executable, "-c", program, ASKED),
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HOME": str(tmp_path / "hf")},
    )
    assert json.loads(done.stdout) == expected


@pytest.mark.parametrize("task", ["text-classification", "language-modeling"])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path: Path, task: str) -> None:
    whole = train(task, tmp_path, "whole")
    with pytest.raises(KeyboardInterrupt):
        train(task, tmp_path, "broken", StopAt(3))
    resumed = zoo.resume(tmp_path / "broken")
    one, other = (load_file(run.path / "model.safetensors") for run in (whole, resumed))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert resumed.record.metrics == whole.record.metrics
    assert resumed.record.preprocess == whole.record.preprocess


def test_the_vocabulary_is_a_file_of_the_run_and_stays_out_of_its_record(tmp_path: Path) -> None:
    run = train("text-classification", tmp_path)
    preprocess = run.record.preprocess
    assert isinstance(preprocess, TextPreprocess)
    assert (run.path / "tokenizer.json").read_text() == preprocess.definition
    for name in ("run.json", "config.json"):
        content = (run.path / name).read_text()
        assert preprocess.sha256 in content
        assert "merges" not in content
    assert zoo.Run.open(run.path).record == run.record
    import tokenizers

    assert tokenizers.Tokenizer.from_file(str(run.path / "tokenizer.json")).get_vocab_size() == VOCABULARY


def test_the_weights_file_alone_is_enough(tmp_path: Path) -> None:
    run = train("text-classification", tmp_path)
    file = Path(shutil.copy(run.weights_path, tmp_path / "alone.safetensors"))
    expected = zoo.predict(str(run.path), [ASKED])
    shutil.rmtree(run.path)
    module = zoo.load("cnn/textcnn", weights=str(file))
    assert zoo.predict(module, [ASKED]) == expected


def test_training_goes_on_from_weights_with_their_tokenizer(tmp_path: Path) -> None:
    run = train("text-classification", tmp_path)
    model, data, _, _ = JOBS["text-classification"]
    for name, weights in (("folder", run.path), ("file", run.weights_path)):
        tuned = zoo.train(
            model,
            str(data(tmp_path)),
            weights=str(weights),
            output=tmp_path / name,
            settings={"steps": 2},
            device="cpu",
        )
        assert tuned.record.preprocess == run.record.preprocess
        assert (tuned.path / "tokenizer.json").read_bytes() == (run.path / "tokenizer.json").read_bytes()
    told = refused(
        zoo.DataError,
        zoo.train,
        model,
        str(data(tmp_path)),
        weights=str(run.path),
        output=tmp_path / "other",
        settings={"tokenizer": "wordpiece"},
    )
    assert "reads texts with its bpe tokenizer" in told
    assert not (tmp_path / "other").exists()


def test_weights_in_a_record_are_golden_with_their_tokenizer(tmp_path: Path) -> None:
    run = train("language-modeling", tmp_path)
    spec = api.weights_of_run(run)
    assert msgspec.json.decode(msgspec.json.encode(spec), type=type(spec)) == spec
    module, task = zoo.load(run.path), installed().task_implementation("language-modeling")
    assert spec.problem
    assert spec.preprocess
    rows = golden_output(module, task, spec.problem, spec.preprocess)
    assert len(rows) == 2
    assert rows[0] != rows[1]


# -- what does not fit ------------------------------------------------------------------------


def test_a_tokenizer_file_that_is_damaged_or_gone_is_one_line(tmp_path: Path) -> None:
    run = train("text-classification", tmp_path)
    path = run.path / "tokenizer.json"
    whole = path.read_text()
    path.write_text(whole[:-40])
    told = refused(zoo.RunError, zoo.load, run.path)
    assert told.startswith(f"{str(path)!r} is damaged, or another run's: its sha256 is ")
    path.write_text(definition(texts=["another text"]))
    assert "another run's" in refused(zoo.RunError, zoo.predict, run.path, [ASKED])
    path.unlink()
    told = refused(zoo.RunError, zoo.resume, run.path)
    assert told == (
        f"{str(path)!r} cannot be read: No such file or directory; the run's texts became tokens by it, so "
        "put it back"
    )


def _rewritten(source: Path, target: Path, **changes: Any) -> Path:
    """A weights file with another preprocessing in its receipt."""
    receipt = read_header(source).document("zoo")
    receipt["preprocess"] |= changes
    save_file(load_file(source), target, {"format": "pt", "zoo": json.dumps(receipt)})
    return target


def test_a_vocabulary_that_does_not_fit_the_weights_is_one_line(tmp_path: Path) -> None:
    run = train("text-classification", tmp_path)
    larger = definition(vocab_size=VOCABULARY + 20)
    file = _rewritten(run.weights_path, tmp_path / "one.safetensors", definition=larger)
    assert "its record says" in refused(zoo.WeightsError, zoo.load, "cnn/textcnn", weights=str(file))
    file = _rewritten(file, tmp_path / "two.safetensors", sha256=None)
    assert refused(zoo.WeightsError, zoo.load, "cnn/textcnn", weights=str(file)) == (
        "cnn/textcnn.custom: its bpe tokenizer has 320 tokens, its weights know 300; get both anew from one "
        "training"
    )


# -- what is cut ------------------------------------------------------------------------------


def test_what_is_cut_is_recorded_and_told(tmp_path: Path) -> None:
    run = train("text-classification", tmp_path, length=4)
    told = run.record.data["truncated"]["text"]
    tokenizer = open_tokenizer(run.record.preprocess)  # type: ignore[arg-type]
    texts = [
        text for split in zoo.load_dataset(str(mail(tmp_path))).splits.values() for text in split["text"]
    ]
    lengths = np.array([len(tokens) for tokens in tokenizer.encode(texts)])
    assert told == {
        "length": 4,
        "texts": int((lengths > 4).sum()),
        "all_texts": len(texts),
        "tokens": int(np.maximum(0, lengths - 4).sum()),
        "all_tokens": int(lengths.sum()),
    }
    (line,) = tell_truncation(run.record.data, mend="-o length=N keeps more")
    assert line.startswith("192 of 192 texts (text) are longer than 4 tokens and cut there: ")
    assert line.endswith("of all tokens are left out; -o length=N keeps more")
    assert len(zoo.evaluate(str(run.path), str(mail(tmp_path))).notes) == 1


def test_nothing_is_told_where_nothing_was_cut(tmp_path: Path) -> None:
    run = train("text-classification", tmp_path, tokenizer="bytes", length=512)
    assert "truncated" not in run.record.data
    assert not (run.path / "tokenizer.json").exists()
    assert tell_truncation(run.record.data) == []


@pytest.mark.slow
def test_the_command_tells_it_once_on_stderr(tmp_path: Path) -> None:
    data, run = mail(tmp_path), tmp_path / "run"
    settings = ("steps=2", "length=4", "tokenizer=bpe", f"vocab_size={VOCABULARY}")
    chosen = [part for setting in settings for part in ("-o", setting)]
    command = ["train", "cnn/textcnn", "--data", str(data), "--output", str(run), "--device", "cpu", *chosen]
    done = _zoo(*command)
    assert done.stderr.count("texts (text) are longer than 4 tokens and cut there") == 1
    assert "longer" not in done.stdout
    assert "keeps more" not in _zoo("evaluate", str(run)).stderr
    assert _zoo("-q", "evaluate", str(run)).stderr == ""
    assert _zoo("predict", str(run), ASKED).stdout.startswith(f"{ASKED}: ")


def _zoo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "zoo", *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True)

"""Hostile safetensors: every one is a `ZooError`, or loads exactly the tensors that its header describes.

`ZOO_HOSTILE_CASES=1000000` sets how many cases the longer ones try.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

import zoo
from zoo.build import build_with_weights
from zoo.registry import installed
from zoo.weights.headers import read_header

FEW, MANY = 2_000, int(os.environ.get("ZOO_HOSTILE_CASES", "24000"))
HEADERS, BYTES, NOISE, WHOLE = 0.5, 0.34, 0.06, 0.1  # shares of the cases

# A small model with all that loading has to think of: tied weights, an integer that is a scalar, and, in one
# of the two, a buffer that no file holds.
PLUGIN = """
from collections import OrderedDict

@zoo.hookimpl
def zoo_models():
    fields = {"builder": f"{__name__}:tied", "reference": PIXELS, "head": ("head",)}
    return [net("plain", **fields), net("computed", **fields, options={"computed": True})]

def tied(problem, *, width=3, depth=2, computed=False):
    import torch
    from torch import nn
    image, classes = problem.expect("tied", zoo.ImageInput, zoo.Classes)
    pixels = image.channels * image.height * image.width
    layers = OrderedDict(flatten=nn.Flatten(), first=nn.Linear(pixels, width), norm=nn.BatchNorm1d(width))
    for number in range(depth):
        layers[f"twin{number}"] = nn.Linear(width, width, bias=False)
        layers[f"twin{number}"].weight = layers["twin0"].weight
    net = nn.Sequential(OrderedDict(layers, head=nn.Linear(width, classes.count)))
    if computed:
        net.register_buffer("steps", torch.linspace(0, 1, width * pixels), persistent=False)
    return net
"""
TIED = {"twin1.weight"}  # to twin0.weight
Entries = list[list[Any]]  # pairs of a name and what the header says of it: a list, so that names may repeat


@pytest.fixture
def models(install: toys.Site) -> tuple[str, str]:
    install("hostile", PLUGIN)
    return "hostile/plain", "hostile/computed"


# -- files ------------------------------------------------------------------------------------


def packed(header: bytes, body: bytes = b"") -> bytes:
    """A file as the format lays it out, whatever the header says."""
    return len(header).to_bytes(8, "little") + header + body


def written(
    entries: Entries, body: bytes, separators: tuple[str, str] = (",", ":"), padding: str = ""
) -> bytes:
    comma, colon = separators
    pairs = (
        json.dumps(name) + colon + json.dumps(entry, separators=separators, ensure_ascii=False)
        for name, entry in entries
    )
    return packed(("{" + comma.join(pairs) + "}" + padding).encode("utf-8", "surrogatepass"), body)


def laid_out(tensors: dict[str, Tensor]) -> tuple[Entries, bytes]:
    """What a sound file of these tensors has in its header and after it."""
    names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}
    names |= {torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.float8_e5m2: "F8_E5M2"}
    chunks = [tensor.reshape(-1).view(torch.uint8).numpy().tobytes() for tensor in tensors.values()]
    ends = list(accumulate(map(len, chunks)))
    entries = [
        [
            name,
            {"dtype": names[tensor.dtype], "shape": [*tensor.shape], "data_offsets": [end - len(chunk), end]},
        ]
        for (name, tensor), chunk, end in zip(tensors.items(), chunks, ends, strict=True)
    ]
    return entries, b"".join(chunks)


def sound() -> list[tuple[Entries, bytes]]:
    """Files that must load: of several types, in several orders, with and without the tied name."""
    torch.manual_seed(0)
    model = zoo.load("hostile/plain")
    state = {name: torch.randn(tensor.shape) for name, tensor in model.state_dict().items()}
    state["norm.num_batches_tracked"] = torch.tensor(7)
    once = {name: tensor for name, tensor in state.items() if name not in TIED}
    types = (torch.float16, torch.bfloat16, torch.float64, torch.float8_e5m2)
    found = [laid_out(tensors) for tensors in (state, once, dict(reversed(once.items())))]
    for dtype in types:
        kept = {
            name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in once.items()
        }
        found.append(laid_out(kept))
    return found


RECEIPT: dict[str, Any] = {
    "model": "hostile/plain",
    "options": {"width": 3},
    "problem": {
        "task": "image-classification",
        "input": {"kind": "image", "channels": 1, "height": 2, "width": 2},
        "output": {"kind": "classes", "count": 2, "names": ["dark", "light"]},
    },
    "preprocess": {"kind": "image", "channels": 1, "height": 2, "width": 2, "mean": [0.5], "std": [0.5]},
    "labels": ["dark", "light"],
    "recipe": {"epochs": 3},
}


# -- what a file describes, told without the library ------------------------------------------------------


NUMPY = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "U64": "<u8", "I32": "<i4", "U32": "<u4"}
NUMPY |= {"I16": "<i2", "U16": "<u2", "I8": "i1", "U8": "u1"}
ONLY_TORCH = {
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E8M0": torch.float8_e8m0fnu,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
}


def described(content: bytes) -> dict[str, np.ndarray]:
    """The tensors of a file that was loaded, by its header alone."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start].decode(), object_pairs_hook=distinct)
    header.pop("__metadata__", None)
    spans = sorted(entry["data_offsets"] for entry in header.values())
    assert [first for first, _ in spans] == [0, *(end for _, end in spans)][: len(spans)], "holes or overlaps"
    assert start + max(end for _, end in spans) == len(content)
    return {name: decoded(entry, content[start:]) for name, entry in header.items()}


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs), "a file with equal names was loaded"
    return dict(pairs)


def decoded(entry: dict[str, Any], body: bytes) -> np.ndarray:
    first, end = entry["data_offsets"]
    raw, dtype = np.frombuffer(body[first:end], "u1"), entry["dtype"]
    if dtype == "BF16":
        values = (raw.view("<u2").astype("<u4") << 16).view("<f4")
    elif dtype == "F8_E5M2":
        values = (raw.astype("<u2") << 8).view("<f2")
    elif dtype in ONLY_TORCH:
        values = torch.from_numpy(raw.copy()).view(ONLY_TORCH[dtype]).float().numpy()
    else:
        values = raw.view(NUMPY[dtype])
    return values.reshape(entry["shape"])


def check_loaded(module: nn.Module, report: zoo.LoadReport, content: bytes) -> None:
    """That every tensor of a model is the one that its file describes, or is told to be new."""
    state, told = module.state_dict(), described(content)
    tied = {name for name in state if name.startswith("twin") and name not in told}
    assert {*report.loaded, *report.new} == {*state} - tied
    assert {*report.loaded, *report.new} >= {*told}
    for name in report.loaded:
        found = state[name].numpy()
        with np.errstate(all="ignore"):  # numbers that are no float32, as a flipped bit makes them
            np.testing.assert_array_equal(found, told[name].astype(found.dtype), name)
    for name in tied:
        assert module.get_parameter(name) is module.get_parameter("twin0.weight")
    if "steps" in dict(module.named_buffers()):
        assert torch.equal(module.get_buffer("steps"), torch.linspace(0, 1, len(module.get_buffer("steps"))))


# -- trying -----------------------------------------------------------------------------------

Load = Callable[[Path], tuple[nn.Module, zoo.LoadReport]]


def fill(name: str) -> Load:
    """The part of `zoo.load` that reads a file: the header checked, the file mapped, a model filled."""
    registry = installed()
    model = registry.models[name]
    problem = model.spec.reference
    assert problem is not None

    def load(path: Path) -> tuple[nn.Module, zoo.LoadReport]:
        return build_with_weights(registry, model, problem, {}, path=path, source="it", trained=None)

    return load


def whole(name: str, **options: Any) -> Load:
    """`zoo.load` itself, which also believes the file's receipt."""

    def load(path: Path) -> tuple[nn.Module, zoo.LoadReport]:
        module: Any = zoo.load(name, weights=str(path), **options)
        return module, module.zoo.report

    return load


def outcome(load: Load, path: Path, content: bytes) -> str:
    """`loaded`, and rightly, or `refused` in one line; anything else raises."""
    path.unlink(missing_ok=True)  # the last one may be mapped still
    path.write_bytes(content)
    try:
        module, report = load(path)
    except zoo.ZooError as error:
        told = str(error)
    else:
        check_loaded(module, report, content)
        return "loaded"
    assert told.isprintable(), repr(told)
    assert len(told) < 20_000
    return "refused"


def attempt(cases: float, files: st.SearchStrategy[bytes], loads: list[Load], path: Path) -> Counter[str]:
    """What became of so many files, each given to one of the `loads`."""
    seen: Counter[str] = Counter()

    @settings(max_examples=int(cases), derandomize=True, deadline=None, database=None)
    @given(files, st.sampled_from(loads))
    def each(content: bytes, load: Load) -> None:
        seen[outcome(load, path, content)] += 1

    each()
    assert seen.total() >= int(cases)
    return seen


# -- hostile files ----------------------------------------------------------------------------

COUNTS = st.integers(-1, 9) | st.sampled_from(
    [10**12, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 2**64 - 1, 10**40, -(2**63)]
)
ODD = st.sampled_from(
    [None, True, 1.5, -0.0, 1e300, float("nan"), float("inf"), "3", [], {}, [[]], {"a": [0]}]
).map(deepcopy)
TYPES = st.sampled_from(
    [*NUMPY, *ONLY_TORCH, "BF16", "F8_E5M2", "BOOL", "C64", "F4", "F6_E2M3", "F99", "f32", ""]
)
NAMES = st.sampled_from(
    ["first.weight", "twin1.weight", "head.bias", "steps", "", ".", "a\nb", "\x1b[2J", "n" * 999]
)
NAMES |= st.just("__metadata__") | st.text(max_size=5)
FIELDS = st.sampled_from(["dtype", "shape", "data_offsets"])
KEYS = st.sampled_from(["zoo", "format", "golden", "dtype"]) | st.text(max_size=3)
TEXTS = st.sampled_from(["pt", "{", "3", "[]", "null", "[" * 9_999, '{"model": 3}', "9" * 5_000]) | st.text(
    max_size=9
)

SHAPES = st.lists(COUNTS | ODD, max_size=4) | st.just(5_000).map([1].__mul__) | ODD
OFFSETS = st.lists(COUNTS | ODD, min_size=1, max_size=3) | ODD
STEPS = st.sampled_from([-8, -4, -1, 1, 4, 8, 2**32, 2**64])
SIDES = st.lists(COUNTS, max_size=3)
NOTES = st.dictionaries(KEYS, TEXTS, max_size=3) | st.dictionaries(KEYS, ODD, max_size=1)
NAME_OR_FIELD = st.sampled_from(["name", "dtype", "shape", "data_offsets"])
ODD_TYPES = TYPES | ODD

Draw = Callable[[st.SearchStrategy[Any]], Any]


def one_of(draw: Draw, entries: Entries) -> list[Any]:
    return entries[draw(st.integers(0, len(entries) - 1))]


def retype(draw: Draw, entries: Entries) -> None:
    one_of(draw, entries)[1]["dtype"] = draw(ODD_TYPES)


def reshape(draw: Draw, entries: Entries) -> None:
    one_of(draw, entries)[1]["shape"] = draw(SHAPES)


def regroup(draw: Draw, entries: Entries) -> None:
    """The same elements in another shape."""
    shape = one_of(draw, entries)[1].get("shape")
    if isinstance(shape, list):
        shape.insert(draw(st.integers(0, len(shape))), draw(st.sampled_from([0, 1, -1])))


def move(draw: Draw, entries: Entries) -> None:
    one_of(draw, entries)[1]["data_offsets"] = draw(OFFSETS)


def shift(draw: Draw, entries: Entries) -> None:
    offsets = one_of(draw, entries)[1].get("data_offsets")
    if isinstance(offsets, list) and len(offsets) == 2 and all(type(number) is int for number in offsets):
        offsets[draw(st.integers(0, 1))] += draw(STEPS)


def turn(draw: Draw, entries: Entries) -> None:
    offsets = one_of(draw, entries)[1].get("data_offsets")
    if isinstance(offsets, list):
        offsets.reverse()


def exchange(draw: Draw, entries: Entries) -> None:
    """Two tensors that take each other's name, type, shape or bytes."""
    one, other, field = one_of(draw, entries), one_of(draw, entries), draw(NAME_OR_FIELD)
    if field == "name":
        one[0], other[0] = other[0], one[0]
    else:
        one[1][field], other[1][field] = other[1].get(field), one[1].get(field)


def share(draw: Draw, entries: Entries) -> None:
    one_of(draw, entries)[1]["data_offsets"] = one_of(draw, entries)[1].get("data_offsets")


def rename(draw: Draw, entries: Entries) -> None:
    one_of(draw, entries)[0] = draw(NAMES)


def repeat(draw: Draw, entries: Entries) -> None:
    name, entry = deepcopy(one_of(draw, entries))
    entries.insert(draw(st.integers(0, len(entries))), [name, entry])


def drop(draw: Draw, entries: Entries) -> None:
    if len(entries) > 1:
        entries.remove(one_of(draw, entries))


def empty(draw: Draw, entries: Entries) -> None:
    """A tensor more, that needs no bytes."""
    sides = draw(SIDES)
    entries.append([draw(NAMES), {"dtype": "F32", "shape": [0, *sides], "data_offsets": [0, 0]}])


def add_field(draw: Draw, entries: Entries) -> None:
    one_of(draw, entries)[1][draw(KEYS)] = draw(ODD)


def lose_field(draw: Draw, entries: Entries) -> None:
    one_of(draw, entries)[1].pop(draw(FIELDS), None)


def note(draw: Draw, entries: Entries) -> None:
    metadata = draw(NOTES)
    entries.insert(draw(st.integers(0, len(entries))), ["__metadata__", metadata])


def reorder(draw: Draw, entries: Entries) -> None:
    entries.insert(draw(st.integers(0, len(entries) - 1)), entries.pop())


MUTATIONS = [
    retype, reshape, regroup, move, shift, turn, exchange, share, rename, repeat, drop, empty,
    add_field, lose_field, note, reorder,
]  # fmt: skip


SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:")])
PADDINGS = st.sampled_from(["", "   ", "\n\t", "\0", "{}", ",", "//", "]"])


def headers(files: list[tuple[Entries, bytes]]) -> st.SearchStrategy[bytes]:
    """Sound bodies under headers in which one to three things were changed."""
    chosen = st.sampled_from(files)
    changes = st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)

    @st.composite
    def changed(draw: Draw) -> bytes:
        entries, body = deepcopy(draw(chosen))
        for mutation in draw(changes):
            mutation(draw, entries)
        return written(entries, body, draw(SEPARATORS), draw(PADDINGS))

    return changed()


def edits(files: list[bytes]) -> st.SearchStrategy[bytes]:
    """Sound files in which one to four bytes, or runs of bytes, were changed: anywhere, or in tensors."""
    chosen, times, anywhere = st.sampled_from(files), st.integers(1, 4), st.booleans()
    kinds = st.sampled_from(["flip", "put", "insert", "delete", "cut", "extend", "length"])
    marks, runs = st.sampled_from(list(b'"{}[],:019-')), st.binary(min_size=1, max_size=9)
    lengths = st.sampled_from([-8, -1, 1, 8, 10**6, 2**62])

    @st.composite
    def changed(draw: Draw) -> bytes:
        content, everywhere = bytearray(draw(chosen)), draw(anywhere)
        body = 8 + int.from_bytes(content[:8], "little")
        for _ in range(draw(times)):
            place = draw(st.integers(0 if everywhere else body, max(body, len(content))))
            match draw(kinds) if everywhere else "flip":
                case "flip":
                    for flipped in content[place : place + 1]:
                        content[place] = flipped ^ 1 << draw(st.integers(0, 7))
                case "put":
                    content[place : place + 1] = bytes([draw(marks)])
                case "insert":
                    content[place:place] = draw(runs)
                case "delete":
                    del content[place : place + draw(st.integers(1, 40))]
                case "cut":
                    del content[place:]
                case "extend":
                    content += draw(runs)
                case "length":
                    length = int.from_bytes(content[:8], "little") + draw(lengths)
                    content[:8] = (length % 2**64).to_bytes(8, "little")
        return bytes(content)

    return changed()


NOISES = (
    st.binary(max_size=200)
    | st.binary(max_size=60).map(packed)
    | st.text(max_size=60).map(str.encode).map(packed)
)
JSON = st.recursive(
    st.none() | st.booleans() | COUNTS | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | FIELDS, inner, max_size=3),
    max_leaves=8,
)
NOISES |= st.dictionaries(NAMES, JSON, max_size=3).map(
    lambda found: packed(json.dumps(found).encode(), bytes(8))
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a JSON document there is a value."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


VALUES = (
    COUNTS | ODD | st.sampled_from([10**9, 10**5, "a\nb", "hostile/computed", "text", "language-modeling"])
)


def receipts(files: list[tuple[Entries, bytes]]) -> st.SearchStrategy[bytes]:
    """Sound tensors that carry a receipt in which up to three things were changed."""
    spots = st.sampled_from(
        [*places(RECEIPT), ("options", "depth"), ("options", "computed"), ("options", "x")]
    )
    chosen, times = st.sampled_from(files), st.integers(0, 3)

    @st.composite
    def changed(draw: Draw) -> bytes:
        (entries, body), receipt = draw(chosen), deepcopy(RECEIPT)
        for _ in range(draw(times)):
            put(receipt, draw(spots), draw(VALUES))
        metadata = {"format": "pt", "zoo": json.dumps(receipt)}
        return written([["__metadata__", metadata], *entries], body)

    return changed()


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    """Puts a value into a JSON document, where the place is still there."""
    *way, last = path
    try:
        for key in way:
            document = document[key]
        document[last] = value
    except (TypeError, IndexError, KeyError):
        return


TOTALS = pytest.mark.parametrize("total", [FEW, MANY])


@TOTALS
def test_a_mutated_header_is_refused_or_loads_what_it_describes(
    models: tuple[str, str], tmp_path: Path, total: int
) -> None:
    loads = [fill(name) for name in models]
    seen = attempt(total * HEADERS, headers(sound()), loads, tmp_path / "case.safetensors")
    assert min(seen["loaded"], seen["refused"]) > 0.02 * total


@TOTALS
def test_a_file_with_changed_bytes_is_refused_or_loads_what_it_describes(
    models: tuple[str, str], tmp_path: Path, total: int
) -> None:
    files = [written(entries, body) for entries, body in sound()]
    seen = attempt(
        total * BYTES, edits(files), [fill(name) for name in models], tmp_path / "case.safetensors"
    )
    assert min(seen["loaded"], seen["refused"]) > 0.02 * total


@TOTALS
def test_noise_is_refused(models: tuple[str, str], tmp_path: Path, total: int) -> None:
    seen = attempt(total * NOISE, NOISES, [fill(name) for name in models], tmp_path / "case.safetensors")
    assert seen["loaded"] == 0


@TOTALS
def test_a_hostile_receipt_is_refused_or_harms_nothing(
    models: tuple[str, str], tmp_path: Path, total: int
) -> None:
    loads = [
        whole(models[0]),
        whole(models[0], num_classes=3),
        whole(models[0], in_chans=2),
        whole(models[1]),
    ]
    files = receipts(sound()) | headers(sound())
    seen = attempt(total * WHOLE, files, loads, tmp_path / "case.safetensors")
    assert min(seen["loaded"], seen["refused"]) > 0.005 * total


def test_sound_files_load(models: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "case.safetensors"
    for entries, body in sound():
        for name in models:
            assert outcome(fill(name), path, written(entries, body)) == "loaded"
            assert outcome(whole(name), path, written(entries, body, padding="    ")) == "loaded"


# -- faults by name ---------------------------------------------------------------------------


def header(path: Path, content: bytes) -> str:
    """Why a header is refused."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    with pytest.raises(zoo.WeightsError) as caught:
        read_header(path)
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def tensor(dtype: str = "F32", shape: Any = (2,), data_offsets: Any = (0, 8), name: str = "w") -> list[Any]:
    return [name, {"dtype": dtype, "shape": shape, "data_offsets": data_offsets}]


FAULTS: dict[str, tuple[list[Any], str]] = {
    "an unknown type": ([tensor("F99")], "tensor 'w' is of type 'F99', which is not read; known: BOOL, U8"),
    "a type of half a byte": ([tensor("F4", [16])], "tensor 'w' is of type 'F4', which is not read"),
    "a negative side": ([tensor(shape=[-2])], "tensor 'w' has a number below 0"),
    "two negative sides": ([tensor(shape=[-1, -2])], "tensor 'w' has a number below 0"),
    "a negative offset": ([tensor(data_offsets=[-8, 0])], "tensor 'w' has a number below 0"),
    "a fraction": ([tensor(shape=[2.0])], "Expected `int`, got `float`"),
    "no number": ([tensor(shape=[float("nan")])], "JSON is malformed"),
    "a truth": ([tensor(shape=[True, 2])], "Expected `int`, got `bool`"),
    "a shape of words": ([tensor(shape=["two"])], "Expected `int`, got `str`"),
    "too many dimensions": ([tensor(shape=[1] * 65 + [2])], "or 66 dimensions; at most 64 are read"),
    "a product that overflows": (
        [tensor(shape=[2**32, 2**32, 2])],
        "tensor 'w' has more bytes than can be counted",
    ),
    "a product of nothing that overflows": (
        [tensor(shape=[0, 2**63], data_offsets=[0, 0])],
        "can be counted",
    ),
    "a trillion elements": (
        [tensor(shape=[10**12])],
        "has 8 bytes where 1000000000000 F32 takes 4,000,000,000,000",
    ),
    "too few elements": ([tensor(shape=[1])], "tensor 'w' has 8 bytes where 1 F32 takes 4"),
    "an offset beyond count": (
        [tensor(data_offsets=[0, 10**30])],
        "tensor 'w' has more bytes than can be counted",
    ),
    "reversed offsets": (
        [tensor(data_offsets=[8, 0])],
        "tensor 'w' has bytes from 8 where those before it end at 0",
    ),
    "one offset": ([tensor(data_offsets=[8])], "Expected `array` of length 2"),
    "three offsets": ([tensor(data_offsets=[0, 8, 8])], "Expected `array` of length 2"),
    "a hole": (
        [tensor(shape=[1], data_offsets=[4, 8])],
        "tensor 'w' has bytes from 4 where those before it end at 0",
    ),
    "an overlap": (
        [tensor(), tensor(shape=[1], data_offsets=[4, 8], name="v")],
        "tensor 'v' has bytes from 4 where those before it end at 8",
    ),
    "the same bytes twice": ([tensor(), tensor(name="v")], "has bytes from 0 where those before it end at 8"),
    "a name twice": ([tensor(), tensor()], "a key stands in it twice"),
    "a tensor that says nothing": ([tensor(), ["v", {}]], "missing required field"),
    "a name of two lines": (
        [tensor(name="a\nb")],
        r"tensor 'a\nb' has a name that is too long, or cannot be",
    ),
    "a name of a megabyte": ([tensor(name="n" * 2**20)], "has a name that is too long, or cannot be printed"),
    "metadata of numbers": ([["__metadata__", {"zoo": 3}], tensor()], "Expected `str`, got `int`"),
    "metadata that is a list": ([["__metadata__", []], tensor()], "Expected `object`, got `array`"),
    "metadata twice": ([["__metadata__", {}], ["__metadata__", {}], tensor()], "a key stands in it twice"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_header_that_does_not_add_up_says_what_is_wrong(tmp_path: Path, name: str) -> None:
    entries, told = FAULTS[name]
    assert told in header(tmp_path / "case.safetensors", written(entries, bytes(8)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            b'{"w": {"dtype": "U8", "dtype": "I8", "shape": [0], "data_offsets": [0, 0]}}',
            "stands in it twice",
        ),
        (b'{"__metadata__": {"b": "1", "b": "2"}}', "a key stands in it twice"),
        (b'{"__metadata__": {"b": ' + b"[" * 5_000 + b"}}", "maximum recursion depth exceeded"),
        (b'{"w": ' + b'{"w": ' * 5_000 + b"1" + b"}" * 5_001, "maximum recursion depth exceeded"),
        (b"[]", "Expected `object`, got `array`"),
        (b"\xef\xbb\xbf{}", "JSON is malformed"),
        ('{"w": {}}'.encode("utf-16"), "JSON is malformed"),
        (b'{"\xff": {}}', "can't decode byte 0xff"),
        (b'{"\\ud800": {}}', "unexpected end of escaped utf-16 surrogate pair"),
        (b"", "truncated"),
        (b"{}\0\0\0", "JSON is malformed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_header_that_is_no_plain_json_object_is_refused(tmp_path: Path, text: bytes, told: str) -> None:
    found = header(tmp_path / "case.safetensors", packed(text))
    assert found.startswith("its header is no safetensors header: ")
    assert told in found


def test_what_is_odd_but_allowed_is_read(tmp_path: Path) -> None:
    """Names in any order, an empty one, tensors without elements, numbers beside no boundary, padding."""
    entries = [
        tensor("U8", [1], [0, 1], name=""),
        tensor("F32", [1, 1], [1, 5], name="größe 1"),
        tensor("BF16", [0, 3], [5, 5], name="none"),
        tensor("I64", [], [5, 13], name="scalar"),
        ["__metadata__", {"dtype": "free text", "shape": "too"}],
    ]
    path = tmp_path / "odd.safetensors"
    path.write_bytes(written(entries[::-1], bytes(13), (" , ", " :\n"), "   "))
    found = read_header(path)
    assert {name: entry.kind for name, entry in found.tensors.items()} == {
        "": "integer",
        "größe 1": "float",
        "none": "float",
        "scalar": "integer",
    }
    assert found.metadata == {"dtype": "free text", "shape": "too"}


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "loop", "dangling", "missing"])
def test_what_is_no_file_is_refused_at_once(models: tuple[str, str], tmp_path: Path, kind: str) -> None:
    path = tmp_path / "case.safetensors"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)  # which nobody ever writes to
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case "dangling":
            path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(zoo.WeightsError, match=r"is no file|cannot be read: (Too many levels|No such file)"):
        read_header(path)
    with pytest.raises(zoo.ZooError):
        zoo.load(models[0], weights=str(path))
    with pytest.raises(zoo.WeightsError):
        zoo.load(models[0], weights=f"file:{path}")


@pytest.mark.parametrize("room", [0, 64 << 20])
def test_a_header_grows_only_with_its_file(tmp_path: Path, room: int) -> None:
    text = "x" * (9 << 20)
    entries = [["__metadata__", {"note": text}], tensor("U8", [room], [0, room])]
    path = tmp_path / "case.safetensors"
    if room:
        path.write_bytes(written(entries, bytes(room)))
        assert read_header(path).metadata == {"note": text}
    else:
        told = header(path, written(entries, b""))
        assert told.startswith("has a header of 9,437,")
        assert "where at most 8,683," in told


# -- against the model ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "given", "wanted"),
    [
        (torch.int64, "integer", "float"),
        (torch.complex64, "complex", "float"),
        (torch.bool, "boolean", "float"),
    ],
)
def test_a_tensor_of_another_kind_does_not_fit(
    models: tuple[str, str], tmp_path: Path, dtype: torch.dtype, given: str, wanted: str
) -> None:
    state = {name: part for name, part in zoo.load(models[0]).state_dict().items() if name not in TIED}
    state["head.bias"] = state["head.bias"].to(dtype)
    path = tmp_path / "case.safetensors"
    save_file(state, path)
    with pytest.raises(zoo.WeightsError, match=f"head.bias is 2 {given} where the model has 2 {wanted}$"):
        zoo.load(models[0], weights=str(path))


def test_a_head_is_made_anew_only_for_other_classes(models: tuple[str, str], tmp_path: Path) -> None:
    """A file whose head is not what its receipt says is not loaded without it."""
    entries, body = deepcopy(sound()[0])
    told = deepcopy(RECEIPT)
    told["problem"]["output"] = {"kind": "classes", "count": 5}
    path = tmp_path / "case.safetensors"
    path.write_bytes(written([["__metadata__", {"zoo": json.dumps(told)}], *entries], body))
    with pytest.raises(zoo.WeightsError, match=r"head.weight is 2x3 where the model has 5x3"):
        zoo.load(models[0], weights=str(path), img_size=3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_tied_weights_and_types_survive_buffers_that_no_file_holds(
    models: tuple[str, str], tmp_path: Path, dtype: torch.dtype
) -> None:
    state = {name: part for name, part in zoo.load(models[1]).state_dict().items() if name not in TIED}
    path = tmp_path / "case.safetensors"
    save_file(
        {name: part.to(dtype) if part.is_floating_point() else part for name, part in state.items()}, path
    )
    model = zoo.load(models[1], weights=str(path))
    assert model.get_parameter("twin1.weight") is model.get_parameter("twin0.weight")
    torch.testing.assert_close(model.twin1.weight, state["twin0.weight"].to(dtype).float(), rtol=0, atol=0)
    assert {part.dtype for part in model.parameters()} == {torch.float32}


def test_a_receipt_of_two_lines_is_refused_in_one(models: tuple[str, str], tmp_path: Path) -> None:
    entries, body = sound()[0]
    for change in ({"model": "a\nb"}, {"a\nb": 1}, {"precision": ["a\nb"]}, {"options": {"a\nb": 1}}):
        note = ["__metadata__", {"zoo": json.dumps(RECEIPT | change)}]
        content = written([note, *entries], body)
        assert outcome(whole(models[0]), tmp_path / "case.safetensors", content) == "refused"


@pytest.mark.parametrize("options", [{"depth": 10**9}, {"width": 10**12}, {"width": 10**30}, {"width": "x"}])
def test_a_receipt_that_asks_for_an_absurd_model_is_refused(
    models: tuple[str, str], tmp_path: Path, options: dict[str, Any]
) -> None:
    entries, body = sound()[0]
    path = tmp_path / "case.safetensors"
    path.write_bytes(
        written([["__metadata__", {"zoo": json.dumps(RECEIPT | {"options": options})}], *entries], body)
    )
    for changes in ({}, {"num_classes": 3}):
        with pytest.raises((zoo.WeightsError, zoo.PluginError)):
            zoo.load(models[0], weights=str(path), **changes)


def test_a_receipt_that_asks_for_absurd_buffers_is_refused(models: tuple[str, str], tmp_path: Path) -> None:
    """The tensors fit; only what the constructor computes would be too large."""
    plugin = PLUGIN.replace("width * pixels", "width * 10**steps").replace(
        "computed=False", "computed=False, steps=1"
    )
    (module,) = tmp_path.glob("site/*hostile.py")
    module.write_text(f"{toys.PREAMBLE}\n{plugin}\n")
    toys.forget()
    entries, body = sound()[1]
    path = tmp_path / "case.safetensors"
    for steps, fits in ((5, True), (10, False)):
        receipt = RECEIPT | {"model": models[1], "options": {"computed": True, "steps": steps}}
        path.write_bytes(written([["__metadata__", {"zoo": json.dumps(receipt)}], *entries], body))
        if fits:
            assert zoo.load(models[1], weights=str(path)).zoo.report.loaded
        else:
            with pytest.raises(zoo.WeightsError, match=r"would compute 120,000,000,000 bytes of buffers"):
                zoo.load(models[1], weights=str(path))


DOCUMENTS = [
    "[" * 99_999,
    "9" * 9_999,
    "NaN",
    "1e999",
    '"\\ud800"',
    "{",
    "\0",
    "{} {}",
    '{"a": 1, "a": 2',
    "\x7f" * 9,
]


@pytest.mark.parametrize("text", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_metadata_that_is_no_document_is_none(models: tuple[str, str], tmp_path: Path, text: str) -> None:
    entries, body = sound()[0]
    path = tmp_path / "case.safetensors"
    path.write_bytes(written([["__metadata__", {"zoo": text, "golden": text}], *entries], body))
    assert read_header(path).document("zoo") is None
    assert zoo.load(models[0], weights=str(path)).zoo.report.loaded


# -- memory and crashes -----------------------------------------------------------------------

CHILD = """
import json, re, resource, sys, time
from pathlib import Path
import psutil, torch, zoo

torch.set_num_threads(1)
model, room, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
zoo.load(model, weights=str(folder / "sound.safetensors"))  # all that is imported late is there
resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + room,) * 2)

def peak():  # bytes of this program alone; rusage counts the process that it was forked from too
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = peak()
outcomes = {}
for path in sorted(folder.glob("case*")):
    start = time.perf_counter()
    try:
        zoo.load(model, weights=str(path))
    except zoo.ZooError as error:
        outcomes[path.name] = str(error)
    else:
        outcomes[path.name] = "loaded"
    assert time.perf_counter() - start < 60, path
print(json.dumps({"grown": peak() - before, "outcomes": outcomes}))
"""


def in_a_child(model: str, folder: Path, site: Path, *, room: int) -> tuple[int, dict[str, str]]:
    """The bytes by which a process grew that loads every file of a folder, and what became of each."""
    entries, body = sound()[0]
    (folder / "sound.safetensors").write_bytes(written(entries, body))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, model, str(room), str(folder)],
        env={**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    found = json.loads(done.stdout)
    assert not any("memory" in told or "alloc" in told for told in found["outcomes"].values())
    return found["grown"], found["outcomes"]


@pytest.mark.slow
def test_a_small_hostile_file_takes_little_memory(
    models: tuple[str, str], install: toys.Site, tmp_path: Path
) -> None:
    """Nor is it mapped before its header is known to fit the model: a terabyte would not have room."""
    folder = tmp_path / "files"
    folder.mkdir()
    entries, body = sound()[0]
    trillion = 10**12
    huge = RECEIPT | {"options": {"width": 10**6}}
    cases = {
        "a trillion elements": written([tensor(shape=[trillion])], bytes(8)),
        "a trillion of nothing": written([*entries, tensor(shape=[0, trillion], data_offsets=[0, 0])], body),
        "a header of exabytes": (2**63).to_bytes(8, "little") + bytes(99),
        "a terabyte of receipt": written([["__metadata__", {"zoo": json.dumps(huge)}], *entries], body),
        "a million dimensions": written([tensor(shape=[1] * 10**6 + [2])], bytes(8)),
        "sound": written(entries, body),
    }
    for name, content in cases.items():
        (folder / f"case {name}").write_bytes(content)
    with (folder / "case a terabyte").open("wb") as file:
        file.write(written([tensor("U8", [trillion], [0, trillion])], b""))
        file.truncate(file.tell() + trillion)  # sparse: takes no room on the disk
    grown, outcomes = in_a_child(models[0], folder, install.folder, room=200 << 20)
    assert grown < 96 << 20
    assert [name for name, told in outcomes.items() if told == "loaded"] == ["case sound"]
    assert "does not fit the model: first.weight is missing" in outcomes["case a terabyte"]


HEADER_BYTES = 8 << 20
FLOODS = {
    "empty records": '"{}":{{}}',
    "numbers": '"{}":0',
    "tensors": '"{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
    "sides": "",
    "lists": "",
    "metadata": '"{}":""',
}


def flood(kind: str) -> bytes:
    """As much of one thing as a header has room for."""
    if kind == "sides":
        header = '{"w":{"dtype":"U8","shape":[' + ("9" * 3 + ",") * (HEADER_BYTES // 4 - 20) + "0]}"
    elif kind == "lists":
        header = (
            '{"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":['
            + "[]," * (HEADER_BYTES // 3 - 40)
            + "[]]}}"
        )
    else:
        once = FLOODS[kind]
        some = ",".join(once.format(f"{number:x}") for number in range(HEADER_BYTES // (len(once) + 5)))
        header = '{"__metadata__":{' + some + "}}" if kind == "metadata" else "{" + some + "}"
    assert HEADER_BYTES // 2 < len(header) <= HEADER_BYTES
    return packed(header.encode())


@pytest.mark.slow
def test_the_largest_header_takes_a_bounded_memory(
    models: tuple[str, str], install: toys.Site, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for kind in FLOODS:
        (folder / f"case {kind}").write_bytes(flood(kind))
    grown, outcomes = in_a_child(models[0], folder, install.folder, room=600 << 20)
    assert set(outcomes) == {f"case {kind}" for kind in FLOODS}
    assert "loaded" not in outcomes.values()
    assert grown < HEADER_BYTES + (256 << 20)


@pytest.mark.slow
def test_no_hostile_file_ends_the_process(
    models: tuple[str, str], install: toys.Site, tmp_path: Path
) -> None:
    """A crash, which no test in this process could tell of, would end the child."""
    files, folder = sound(), tmp_path / "files"
    folder.mkdir()
    plain = [written(entries, body) for entries, body in files]
    kept: list[bytes] = []

    @settings(max_examples=3_000, derandomize=True, deadline=None, database=None)
    @given(headers(files) | edits(plain) | NOISES | receipts(files))
    def keep(content: bytes) -> None:
        kept.append(content)

    keep()
    for number, content in enumerate(kept):
        (folder / f"case{number}").write_bytes(content)
    grown, outcomes = in_a_child(models[1], folder, install.folder, room=400 << 20)
    assert len(outcomes) == len(kept) >= 3_000
    assert 300 < Counter(outcomes.values())["loaded"] < 2_700
    assert grown < 96 << 20

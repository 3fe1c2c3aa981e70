"""What a model costs, traced without computing anything.

A forward pass runs on fake tensors: shapes without storage. It follows the kernels and the
autocast rules of a CUDA device, whether there is one or not, so that the same model has the same
facts everywhere. On the CPU, fp32 keeps the same tensors, save in recurrent layers; bf16 keeps fewer.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from zoo.errors import ZooError, describe_error
from zoo.specs import Facts, ImageInput, Precision, Problem, SeriesInput, TokenInput, TokenOutput

DTYPES: Mapping[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
BATCHES = (
    2,
    4,
)  # what differs between the two belongs to the samples; the rest, such as cast weights, does not


def profile(
    build: Callable[[], nn.Module],
    inputs: Callable[[int], tuple[Tensor, ...]],
    precisions: Sequence[Precision] = ("fp32", "bf16"),
) -> Facts:
    """The facts of the module that `build` makes, in training mode, for each further sample of a batch.

    `build` is called once, with the meta device as default; `inputs` gives the forward's arguments
    for a batch of so many samples, on the default device. The loss is no part of the module and so
    not counted. fp32 weights are assumed; other precisions are autocast. Recurrent layers are
    traced without cuDNN, whose own reserve is opaque and smaller. Raises `ZooError` where the
    module computes shapes from values, or holds tensors that are neither parameters nor buffers.
    """
    with torch.device("meta"):
        module = build().train()
    traces: dict[Precision, tuple[_Trace, _Trace]] = {}
    with FakeTensorMode(allow_non_fake_inputs=True):
        state = {name: _fake(tensor) for name, tensor in _state(module)}
        for precision in precisions:
            forward = partial(_trace, module, state, inputs, DTYPES[precision])
            traces[precision] = forward(BATCHES[0]), forward(BATCHES[1])
    first = traces[precisions[0]]
    return Facts(
        parameters=count_parameters(module),
        buffers=count_buffers(module),
        macs=_per_sample(first[0].macs, first[1].macs),
        activation_bytes={p: _per_sample(a.saved_bytes, b.saved_bytes) for p, (a, b) in traces.items()},
        largest_tensor_bytes={p: _largest(a.outputs, b.outputs) for p, (a, b) in traces.items()},
    )


def count_parameters(module: nn.Module) -> int:
    """Elements of all parameters, tied ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_buffers(module: nn.Module) -> int:
    """Elements of the state dict that are not parameters."""
    persistent = module.state_dict().keys()
    return sum(buffer.numel() for name, buffer in module.named_buffers() if name in persistent)


def example_inputs(problem: Problem, batch: int) -> tuple[Tensor, ...]:
    """Random arguments for the forward of a model that solves `problem`, on the default device.

    `images[B, C, H, W]`, `series[B, T, C]` or `tokens[B, T]` without padding; for `seq2seq`,
    `source[B, S]` and `target[B, T]`.
    """
    match problem.input:
        case ImageInput(channels=channels, height=height, width=width):
            return (torch.randn(batch, channels, height, width),)
        case SeriesInput(channels=channels, length=length):
            return (torch.randn(batch, length, channels),)
        case TokenInput() as source:
            tokens = _tokens(source, batch)
            if problem.task == "seq2seq" and isinstance(problem.output, TokenOutput):
                return tokens, _tokens(problem.output, batch)
            return (tokens,)


def _tokens(sequence: TokenInput | TokenOutput, batch: int) -> Tensor:
    first = min(1, sequence.vocab_size - 1)  # 0 is padding
    return torch.randint(first, sequence.vocab_size, (batch, sequence.length))


@dataclass(frozen=True)
class _Trace:
    """What one forward pass of a whole batch did."""

    macs: int
    saved_bytes: int
    outputs: list[int]  # bytes of each operation's largest output, in order


def _trace(
    module: nn.Module,
    state: dict[str, Tensor],
    inputs: Callable[[int], tuple[Tensor, ...]],
    dtype: torch.dtype,
    batch: int,
) -> _Trace:
    """One forward pass of `module` with `state` in place of its own tensors; under a fake mode."""
    outputs, flops, saved = _Outputs(), FlopCounterMode(display=False), _Saved()
    with torch.device("cuda"):
        arguments = inputs(batch)
    with (
        warnings.catch_warnings(action="ignore"),  # of a CUDA that is not there
        torch.backends.cudnn.flags(enabled=False),
        torch.enable_grad(),
        _autocast(dtype),
        outputs,
        flops,
        _fused_attention(),
        saved.hooks(),
    ):
        try:
            functional_call(module, state, arguments)
        except ZooError:
            raise
        except Exception as error:
            raise ZooError(
                f"the model cannot be traced without computing: {describe_error(error)}"
            ) from error
    return _Trace(flops.get_total_flops() // 2, saved.bytes, outputs.bytes)


def _state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _fake(tensor: Tensor) -> Tensor:
    """A tensor of that shape on a CUDA device that need not exist; for use under a fake mode."""
    fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")
    return nn.Parameter(fake, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fake


def _per_sample(small: int, large: int) -> int:
    return (large - small) // (BATCHES[1] - BATCHES[0])


def _largest(small: Sequence[int], large: Sequence[int]) -> int:
    """The most that any one operation's output grows by with a sample."""
    if len(small) != len(large):  # the batch decides which operations run: they cannot be paired
        return max(large, default=0) // BATCHES[1]
    return max((_per_sample(*pair) for pair in zip(small, large, strict=True)), default=0)


class _Saved:
    """Bytes of what autograd keeps, each storage once however many views of it are kept."""

    def __init__(self) -> None:
        self._storages: dict[int, torch.UntypedStorage] = {}  # held, or an address could serve twice

    @property
    def bytes(self) -> int:
        return sum(storage.nbytes() for storage in self._storages.values())

    def hooks(self) -> contextlib.AbstractContextManager[None]:
        return torch.autograd.graph.saved_tensors_hooks(self._keep, lambda nothing: nothing)

    def _keep(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self._storages[storage._cdata] = storage


class _Outputs(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Records the bytes of the largest output of every operation, in order."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # likewise
        self.bytes: list[int] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if tensors:
            self.bytes.append(max(tensor.untyped_storage().nbytes() for tensor in tensors))
        return result


@contextlib.contextmanager
def _fused_attention() -> Iterator[None]:
    """Attention as one fused kernel, as a GPU runs it; without a GPU, torch would trace the slow one.

    The function is exchanged by name, since no mode of torch's sees the calls that torch itself makes.
    """
    plain = F.scaled_dot_product_attention
    F.scaled_dot_product_attention = _attention
    try:
        yield
    finally:
        F.scaled_dot_product_attention = plain


def _attention(
    query: Tensor,  # [B, heads, T, D], or without B, or with more dimensions before it
    key: Tensor,  # [B, heads, S, D], or with a number of heads that divides the query's
    value: Tensor,
    attn_mask: Tensor | None = None,  # broadcasts to [B, heads, T, S]
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if query.dim() != 4:
        leading = query.shape[:-3]  # of windows, say; [] where there is no batch
        mask = attn_mask
        if mask is not None and mask.dim() > 3:
            mask = mask.expand(*leading, *mask.shape[-3:]).reshape(-1, *mask.shape[-3:])
        query, key, value = (each.reshape(-1, *each.shape[-3:]) for each in (query, key, value))
        output = _attention(query, key, value, mask, dropout_p, is_causal, scale, enable_gqa)
        return output.reshape(*leading, *output.shape[1:])
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else query.dtype
    query, key, value = (tensor.to(dtype) for tensor in (query, key, value))
    if enable_gqa:
        repeats = query.size(1) // key.size(1)
        key, value = key.repeat_interleave(repeats, dim=1), value.repeat_interleave(repeats, dim=1)
    if attn_mask is not None:  # booleans become zeros and infinities of that very type
        attn_mask = attn_mask.to(dtype).expand(*query.shape[:3], key.size(2))
    attended: Tensor = torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, attn_mask, True, dropout_p, is_causal, scale=scale
    )[0]
    return attended


@contextlib.contextmanager
def _autocast(dtype: torch.dtype) -> Iterator[None]:
    """CUDA autocast to `dtype`; `torch.autocast` itself does nothing where there is no CUDA."""
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", dtype != torch.float32)
    torch.set_autocast_dtype("cuda", dtype)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])
        torch.clear_autocast_cache()

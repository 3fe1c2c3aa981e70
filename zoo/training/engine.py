"""Where a model is trained: on which device, in which precision, by how many processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, PartialState
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from zoo.errors import TrainingError
from zoo.specs import ImageInput, Problem, Recipe
from zoo.tasks.base import Scores
from zoo.training.allocator import keep_freed_memory
from zoo.training.precision import choose_precision

DEVICES = ("auto", "cpu", "cuda", "mps")


class Engine:
    """One of `world` processes that train a model together, each on its `device`.

    accelerate and torch's own distributed engine do the work; this is what the trainer asks of them. With
    `shard`, each process keeps a part of every parameter, gradient and optimizer state (FSDP2).
    """

    def __init__(
        self, recipe: Recipe, problem: Problem, *, device: str = "auto", shard: bool = False
    ) -> None:
        _check_device(device)
        self.precision = choose_precision(recipe.precision, problem, device)
        # accelerate keeps one state for the process; a second run may ask for another precision or device
        AcceleratorState._reset_state()
        if not distributed.is_initialized():
            PartialState._reset_state()
        if self.precision == "fp16" and (device == "cpu" or not torch.accelerator.is_available()):
            raise TrainingError("precision = 'fp16' needs a GPU; say bf16 or fp32")
        # a backbone that is frozen for a while gives no gradients, which only this makes no error
        wrapping = DistributedDataParallelKwargs(find_unused_parameters=recipe.head_epochs > 0)
        self.accelerator = Accelerator(
            mixed_precision="no" if self.precision == "fp32" else self.precision,
            cpu=device == "cpu",
            kwargs_handlers=[wrapping],
        )
        self.device: torch.device = self.accelerator.device
        self.rank: int = self.accelerator.process_index
        self.world: int = self.accelerator.num_processes
        self.shard, self._images = shard, isinstance(problem.input, ImageInput)
        if shard and self.world == 1:
            raise TrainingError("--shard splits a model over processes, and there is one; add --processes N")
        # what processes tell each other about the run goes past the device, which need not be waited for
        self._group: Any = distributed.new_group(backend="gloo") if self.world > 1 else None
        if self.device.type == "cpu":
            keep_freed_memory()
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32
            torch.backends.cudnn.benchmark = True

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.rank == 0

    @property
    def prefers_channels_last(self) -> bool:
        """Whether convolutions are faster with the channels last: on a CPU, or on a GPU in half precision."""
        halves = self.precision != "fp32"
        return self._images and (self.device.type == "cpu" or (self.device.type == "cuda" and halves))

    def check_batch(self, recipe: Recipe, samples: int) -> None:
        """Raises `TrainingError` where a batch has not a sample for each process."""
        if min(recipe.batch_size, samples) < self.world:
            raise TrainingError(
                f"a batch of {min(recipe.batch_size, samples)} is too small for {self.world} processes; "
                "take fewer, or a larger batch_size"
            )

    # -- the model --

    def place(self, module: nn.Module) -> nn.Module:
        """The module on the device, in parts where it is to be sharded."""
        module = module.to(self.device)
        if not self.shard:
            return module
        from zoo.training.shards import shard  # slow to import

        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        return shard(module, self.device, self.world, half)

    def wrap(self, module: nn.Module) -> nn.Module:
        """What the loop calls: the module, whose gradients are averaged over all processes."""
        if self.world == 1 or self.shard:
            return module
        wrapped: nn.Module = self.accelerator.prepare_model(module)
        if not isinstance(wrapped, DistributedDataParallel):
            raise TrainingError(f"accelerate gave {type(wrapped).__name__} for {self.world} processes")
        return wrapped

    @contextlib.contextmanager
    def accumulating(self, model: nn.Module) -> Iterator[None]:
        """Gradients are summed where they are; the processes do not exchange them."""
        if self.shard:
            from zoo.training.shards import unsynced  # slow to import

            waiting = unsynced(model)
        else:
            waiting = self.accelerator.no_sync(model)
        with waiting:
            yield

    # -- the processes --

    def seed(self, number: int) -> None:
        """Seeds the CPU's random numbers and this device's.

        `torch.manual_seed` also notes the call, with its traceback, for each kind of device that is not in
        use: 0.7 ms and some memory at every step.
        """
        torch.default_generator.manual_seed(number)
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(number)

    def barrier(self) -> None:
        """Waits until every process is here."""
        if self._group is not None:
            distributed.barrier(group=self._group)

    def is_lost(self, error: RuntimeError) -> bool:
        """Whether the error says that another process is gone."""
        kinds = distributed.DistBackendError, distributed.DistNetworkError
        told = str(error).lower()
        return self.world > 1 and (isinstance(error, kinds) or "gloo" in told or "nccl" in told)

    def agree(self, *values: float) -> tuple[float, ...]:
        """The largest of each value over all processes, with no wait for the device."""
        if self._group is None:
            return values
        told = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(told, op=distributed.ReduceOp.MAX, group=self._group)
        return tuple(told.tolist())

    def told(self, text: str) -> str:
        """What the first process says, of at most 4,096 bytes."""
        if self._group is None:
            return text
        letters = torch.frombuffer(bytearray(text.encode().ljust(4096, b"\0")), dtype=torch.uint8)
        distributed.broadcast(letters, src=0, group=self._group)
        return bytes(letters.tolist()).rstrip(b"\0").decode()

    def total(self, value: Tensor) -> Tensor:
        """The sum of a scalar over all processes, on the device."""
        if self.world == 1:
            return value
        summed = value.detach().clone().to(self.device)
        distributed.all_reduce(summed)
        return summed

    def share(self, count: int) -> Tensor:
        """The rows of `count` that are this process's: as many for each, some twice where it must be."""
        each = -(-count // self.world)
        return torch.arange(self.rank, each * self.world, self.world) % count

    def gather(self, scores: Scores, count: int) -> Scores:
        """The scores of all `count` samples in their order, of which each process judged its `share`."""
        if self._group is None:
            return scores
        return {
            name: (self._gathered(values, count), self._gathered(weights, count))
            for name, (values, weights) in scores.items()
        }

    def _gathered(self, column: Tensor, count: int) -> Tensor:
        pieces = [torch.empty_like(column) for _ in range(self.world)]
        distributed.all_gather(pieces, column.contiguous(), group=self._group)
        return torch.stack(pieces, dim=1).flatten(0, 1)[:count]


def _check_device(device: str) -> None:
    if device not in DEVICES:
        raise TrainingError(f"device {device!r} cannot be trained on; known: {', '.join(DEVICES)}")
    if device in ("cuda", "mps") and not getattr(torch, device).is_available():
        raise TrainingError(f"device {device!r} is not available here; leave --device out, or use cpu")


def describe_device(device: torch.device) -> str:
    """The device by the name of its maker, or the CPU with the threads it may use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({torch.get_num_threads()} threads)"


def is_part(tensor: Tensor) -> bool:
    """Whether a tensor is one process's part of a sharded one."""
    return hasattr(tensor, "placements")

"""Checks of what a model answers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from zoo.specs import Problem
from zoo.testing.check import ConformanceError
from zoo.testing.kinds import TEXT_IN, TEXT_OUT
from zoo.testing.subject import TOLERANCE, Subject, difference
from zoo.tokenizers import PADDING
from zoo.training.contract import output_shape

ROUNDING = 1e-5  # of the largest number of an output


def check_forward(subject: Subject) -> None:
    """The output has the shape and the type that the task asks for, at a batch of one and of three."""
    for problem in subject.small():
        module = subject.build(problem).eval()
        for batch in (1, 3):
            inputs = subject.inputs(problem, batch)
            with torch.no_grad():
                output = subject.run(module, problem, inputs)
            expected = output_shape(problem, inputs)
            if tuple(output.shape) != expected:
                raise ConformanceError(
                    f"{subject.at(problem)}: the forward of a batch of {batch} gives {list(output.shape)}; "
                    f"the task asks for {list(expected)}"
                )
            if output.dtype != torch.float32:
                raise ConformanceError(f"{subject.at(problem)}: the output is {output.dtype}; give float32")
            _check_finite(subject, problem, output, "the output")


def check_eval(subject: Subject) -> None:
    """In evaluation mode the same input gives the same output, and leaves the module as it was."""
    for problem in subject.small():
        module, inputs = subject.stirred(problem), subject.inputs(problem, 3)
        before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        first, second = (_answer(subject, module, problem, inputs) for _ in range(2))
        if (apart := difference(first, second)) > 0:
            raise ConformanceError(
                f"{subject.at(problem)}: in evaluation mode two answers to one input differ by {apart:.1%}; "
                "act at random only where self.training"
            )
        changed = [name for name, tensor in module.state_dict().items() if difference(tensor, before[name])]
        if changed:
            raise ConformanceError(
                f"{subject.at(problem)}: a forward in evaluation mode changes {changed[0]}; "
                "change buffers only where self.training"
            )


def check_batch(subject: Subject) -> None:
    """The answer to a sample does not depend on the others in its batch."""
    for problem in subject.small():
        module, inputs = subject.stirred(problem), subject.inputs(problem, 4)
        together = _answer(subject, module, problem, inputs)
        alone = _answer(subject, module, problem, tuple(part[1:2] for part in inputs))
        apart = _apart(together[1:2], alone, together)
        if apart > TOLERANCE:
            raise ConformanceError(
                f"{subject.at(problem)}: the answer to a sample differs by {apart:.1%} between a batch of 4 "
                "and one of its own; in evaluation mode compute nothing over the batch"
            )


def check_padding(subject: Subject) -> None:
    """Padding after a text changes nothing, nor does the length to which a batch is padded."""
    for problem in subject.small():
        if problem.task not in TEXT_IN:
            continue
        module, inputs = subject.stirred(problem), subject.inputs(problem, 3)
        for number, tokens in enumerate(inputs):
            short = tokens[:, : max(1, tokens.shape[1] // 2)]  # [B, T / 2]
            rest = tokens[:, short.shape[1] :]
            padded = torch.cat([short, torch.full_like(rest, PADDING)], dim=1)  # [B, T]
            before, after = (
                _answer(subject, module, problem, (*inputs[:number], given, *inputs[number + 1 :]))
                for given in (short, padded)
            )
            if after.dim() == 3 and number == len(inputs) - 1:  # one answer for each token: the real ones'
                after = after[:, : short.shape[1]]
            apart = _apart(before, after, after)
            if apart > TOLERANCE:
                which = ("source", "target")[number] if len(inputs) == 2 else "text"
                raise ConformanceError(
                    f"{subject.at(problem)}: {rest.shape[1]} tokens of padding after a {which} of "
                    f"{short.shape[1]} change the answer by {apart:.1%}; mask the tokens that are {PADDING}"
                )


def check_causality(subject: Subject) -> None:
    """What is written next depends on no later token, and is the same where there is none."""
    for problem in subject.small():
        if problem.task not in TEXT_OUT:
            continue
        module, (*source, tokens) = subject.stirred(problem), subject.inputs(problem, 2)
        before = _answer(subject, module, problem, (*source, tokens))
        vocabulary = before.shape[2]
        for step in range(1, tokens.shape[1]):
            later = tokens.clone()
            later[:, step:] = later[:, step:] % (vocabulary - 1) + 1  # each another one, and none padding
            for given, what in (
                (later, "depends on later ones"),
                (tokens[:, :step], "needs later ones"),
            ):
                after = _answer(subject, module, problem, (*source, given))
                apart = _apart(before[:, :step], after[:, :step], before)
                if apart > TOLERANCE:
                    raise ConformanceError(
                        f"{subject.at(problem)}: the answer at the first {step} tokens {what}, by "
                        f"{apart:.1%}; mask what comes after a token"
                    )


def check_bf16(subject: Subject) -> None:
    """Autocast to bfloat16 on the CPU gives finite numbers, forward and backward."""
    for problem in subject.small():
        module, inputs = subject.stirred(problem), subject.inputs(problem, 3)
        with torch.autocast("cpu", torch.bfloat16):
            output = subject.run(module, problem, inputs)
        _check_finite(subject, problem, output, "the output under autocast to bfloat16")
        torch.autograd.backward(output.float().square().mean())
        for name, parameter in module.named_parameters():
            if parameter.grad is not None:
                what = f"the gradient of {name} under autocast to bfloat16"
                _check_finite(subject, problem, parameter.grad, what)


def check_compile(subject: Subject) -> None:
    """`torch.compile` traces it, forward and backward, to the same numbers.

    With the backend `aot_eager`: the code that is made of the trace is torch's own affair.
    """
    for problem in subject.small():
        module, twin = subject.stirred(problem), subject.stirred(problem)
        inputs = subject.inputs(problem, 3)
        torch._dynamo.reset()
        with warnings.catch_warnings(action="ignore"):  # of torch's own parts
            compiled = torch.compile(twin, backend="aot_eager")
            found = _output_and_gradients(subject, compiled, twin, problem, inputs)
        expected = _output_and_gradients(subject, module, module, problem, inputs)
        for name, tensor in expected.items():
            if (apart := difference(tensor, found[name])) > 10 * TOLERANCE:
                raise ConformanceError(
                    f"{subject.at(problem)}: compiled, {name} differs by {apart:.1%}; let the forward keep "
                    "no state outside of buffers, and not branch on values"
                )


def _output_and_gradients(
    subject: Subject,
    call: Callable[..., Any],
    module: nn.Module,
    problem: Problem,
    inputs: tuple[Tensor, ...],
) -> dict[str, Tensor]:
    output = subject.run(call, problem, inputs)
    torch.autograd.backward(output.square().mean())
    gradients = {
        f"the gradient of {name}": parameter.grad
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    return {"the output": output.detach(), **gradients}


def _answer(subject: Subject, module: nn.Module, problem: Problem, inputs: tuple[Tensor, ...]) -> Tensor:
    with torch.no_grad():
        return subject.run(module, problem, inputs)


def _apart(one: Tensor, other: Tensor, whole: Tensor) -> float:
    """The largest difference, as a share of what the numbers of `whole` differ by from sample to sample.

    What another order of additions may change counts as nothing.
    """
    if difference(one, other) <= ROUNDING:
        return 0.0
    if one.shape != other.shape or not (one - other).isfinite().all():
        return float("inf")
    spread = (whole.double() - whole.double().mean(dim=0)).abs().max().clamp_min(1e-12)
    return float((one.double() - other.double()).abs().max() / spread)


def _check_finite(subject: Subject, problem: Problem, tensor: Tensor, what: str) -> None:
    if not tensor.isfinite().all():
        bad = int((~tensor.isfinite()).sum())
        raise ConformanceError(
            f"{subject.at(problem)}: {what} has {bad} of {tensor.numel()} numbers that are not finite"
        )

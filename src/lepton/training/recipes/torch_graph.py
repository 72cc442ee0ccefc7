"""The ONNX graph of a PyTorch network, and the network's own answers, both in float32 on the CPU."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from lepton.core.errors import InvalidInput, LeptonError
from lepton.training.recipes.port import Features, Problem, Scores

_ROWS_AT_ONCE = 1024
_EXAMPLE_ROWS = 3  # not 0 or 1, which PyTorch takes for constants


class Answers(nn.Module):
    """A network with what makes its outputs answers: softmax for classes, the target's own scale for numbers.

    Args:
        network: Answers logits, or numbers that are standardized.
        problem: What was learned.
        mean: The target's mean; for numbers.
        scale: The target's standard deviation; for numbers.
    """

    def __init__(self, network: nn.Module, problem: Problem, mean: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.network, self.problem = network, problem
        self.mean, self.scale = mean, scale

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return probabilities [n, K] or numbers [n] for [n, width]."""
        outputs = logits_of(self.network(features), self.problem)
        return torch.softmax(outputs, dim=1) if self.problem.classes else outputs * self.scale + self.mean


def logits_of(outputs: object, problem: Problem) -> torch.Tensor:
    """Return what a network answers as [n, K] logits for classes and [n] numbers else.

    Raises:
        InvalidInput: if it has another shape.
    """
    if isinstance(outputs, torch.Tensor):
        flat = outputs.ndim == 1 or (outputs.ndim == 2 and outputs.shape[1] == 1)
        if problem.classes is None and flat:
            return outputs.reshape(-1)
        if problem.classes == 2 and flat:  # one logit, of the second class
            second = outputs.reshape(-1, 1)
            return torch.cat([torch.zeros_like(second), second], dim=1)
        if problem.classes and outputs.ndim == 2 and outputs.shape[1] == problem.classes:
            return outputs
        got = "[n" + "".join(f", {size}" for size in outputs.shape[1:]) + "]"
    else:
        got = f"a {type(outputs).__name__}"
    wanted = f"logits [n, {problem.classes}]" if problem.classes else "numbers [n] or [n, 1]"
    raise InvalidInput(f"The model answers {got}; it must answer {wanted} for {problem.target}.")


def scores_of(answers: nn.Module) -> Callable[[Features], Scores]:
    """Return a function that answers rows as the network does."""

    def scores(features: Features) -> Scores:
        was = torch.is_grad_enabled()
        torch.set_grad_enabled(False)
        try:
            parts = [
                answers(torch.from_numpy(np.array(features[first : first + _ROWS_AT_ONCE], np.float32))).numpy()
                for first in range(0, len(features), _ROWS_AT_ONCE)
            ]
        finally:
            torch.set_grad_enabled(was)
        return np.concatenate(parts).astype(np.float64)

    answers.eval()
    return scores


def graph_of(answers: nn.Module, width: int) -> bytes:
    """Return a network as an ONNX graph that takes float32 [any number of rows, width].

    Raises:
        InvalidInput: if PyTorch cannot export it.
    """
    answers.eval()
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)  # it misses torchvision, which nobody needs
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns of what it does itself
            program = torch.onnx.export(
                answers,
                (torch.zeros(_EXAMPLE_ROWS, width),),
                dynamo=True,
                external_data=False,
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
                input_names=["features"],
                output_names=["scores"],
                verbose=False,
            )
        if program is None:
            raise RuntimeError("no program")
        return bytes(program.model_proto.SerializeToString())
    except LeptonError:
        raise
    except Exception as error:
        raise InvalidInput(
            f"PyTorch cannot export the model to ONNX ({type(error).__name__}: {_first_line(error)}). Its forward must "
            "take any number of rows, and must not branch on their values."
        ) from error
    finally:
        logger.setLevel(before)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else "no reason given"

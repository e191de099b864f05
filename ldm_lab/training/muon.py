"""Muon: momentum made orthogonal for the matrices within a network, AdamW for everything else."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ldm_lab.core.runtime import multiplies_bf16

_SLOPE, _CUBE, _FIFTH = 3.4445, -4.7750, 2.0315  # of the quintic polynomial of Jordan et al.
_ITERATIONS = 5
_LIKE_ADAM = 0.2  # root mean square of AdamW's updates; Liu et al. 2025, section 2.2
_MOMENTUM = 0.95
_SMALLEST_SIDE = 32


class Muon(torch.optim.AdamW):
    """AdamW whose groups marked ``orthogonal`` step along the nearest orthogonal matrix to their momentum.

    "Muon: An optimizer for hidden layers in neural networks" (Jordan et al. 2024), with the size of the updates matched
    to AdamW's, so that one learning rate serves both: "Muon is Scalable for LLM Training" (Liu et al. 2025), eq. 4.
    Kernels of convolutions are matrices of (output channels, everything else).

    Args:
        groups: Groups of parameters as torch takes them, each with ``orthogonal``.
        **settings: Of AdamW; the groups marked take its learning rate and weight decay.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; the gradients of matrices are used up."""
        for group in self.param_groups:
            if group["orthogonal"]:
                self._step_matrices(group)
        super().step(closure)

    def _step_matrices(self, group: dict[str, Any]) -> None:
        """Matrices of one shape are made orthogonal together."""
        by_shape: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is not None:
                by_shape[_matrix_shape(parameter)].append(parameter)
        for shape, parameters in by_shape.items():
            wanted = torch.stack([self._momentum(parameter).reshape(shape) for parameter in parameters])
            updates = orthogonalised(wanted) * (_LIKE_ADAM * max(shape) ** 0.5)
            for parameter, update in zip(parameters, updates, strict=True):
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                parameter.add_(update.reshape(parameter.shape), alpha=-group["lr"])
                parameter.grad = None  # AdamW passes over it

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        """Nesterov's look ahead of the running mean of gradients."""
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state |= {"step": torch.zeros(()), "momentum": torch.zeros_like(parameter)}  # torch's loading wants a step
        state["step"] += 1
        state["momentum"].lerp_(gradient, 1.0 - _MOMENTUM)
        return gradient.lerp(state["momentum"], _MOMENTUM)


def orthogonalised(matrices: Tensor) -> Tensor:
    """U V^T of each matrix U S V^T, roughly: its singular values come to lie from 0.7 to 1.2.

    Five Newton-Schulz iterations, in bf16 as in Jordan et al. 2024 where the device has it.
    (N, rows, columns) → (N, rows, columns) fp32
    """
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if is_tall else matrices).to(torch.bfloat16 if multiplies_bf16(matrices.device) else torch.float32)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_CUBE, alpha=_FIFTH), x, beta=_SLOPE)
    return (x.mT if is_tall else x).float()


def split_parameters(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Trained parameters: matrices within the network, and the others.

    To the others belong vectors, embeddings, and what leads from or to a few channels, such as the first and the last
    convolution: their rows are not directions to be treated alike.
    """
    embeddings = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    matrices, others = [], []
    for parameter in filter(lambda p: p.requires_grad, module.parameters()):
        is_wide = parameter.ndim >= 2 and min(_matrix_shape(parameter)) >= _SMALLEST_SIDE
        (matrices if is_wide and id(parameter) not in embeddings else others).append(parameter)
    return matrices, others


def _matrix_shape(parameter: Tensor) -> tuple[int, int]:
    return parameter.shape[0], parameter[0].numel()

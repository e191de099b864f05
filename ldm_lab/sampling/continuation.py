"""Going on inside a walk that was taken before, as if it had never been left.

A sampler of several steps remembers what was predicted before. So the walk is traced again up to where it was left,
with the predictions that its records hold instead of the network's, and goes on from there with its memory whole; the
noise of a stochastic sampler is a function of seed and position. The result is that of the walk that was never left,
bit for bit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ldm_lab.sampling.guidance import Condition, Denoise, Denoiser, Guide
from ldm_lab.sampling.steps import Step, Walk


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Continuation:
    """A guide that takes over at a position of a walk; a ``Guide`` around another one.

    Attributes:
        position: Where ``guidance`` begins to be asked.
        guidance: What is asked from there on.
        earlier: The walk up to there; it is asked where ``outputs`` says nothing.
        outputs: What it predicted, by position. (B, C, h, w)
    """

    position: int
    guidance: Guide
    earlier: Walk
    outputs: Mapping[int, Tensor]

    def bind(self, model: Denoiser, cond: Condition, timesteps: Tensor) -> Denoise:
        """Bind the guide, and the earlier one if the network has to be asked again."""
        predict = self.guidance.bind(model, cond, timesteps)
        first = 0 if self.earlier.start is None else self.earlier.start[1]
        is_known = all(index in self.outputs for index in range(first, self.position))
        before = predict if is_known else self._bind_earlier(timesteps)

        def continued(z_t: Tensor, index: int) -> Tensor:
            if index >= self.position:
                return predict(z_t, index)
            output = self.outputs.get(index)
            return before(z_t, index) if output is None else output.to(z_t)

        return continued

    def _bind_earlier(self, timesteps: Tensor) -> Denoise:
        return self.earlier.guidance.bind(self.earlier.model, self.earlier.cond, timesteps)


def exact_outputs(steps: Iterable[Step]) -> dict[int, Tensor]:
    """What the network said at each position, where that was not rounded."""
    return {step.index: step.output for step in steps if is_exact(step)}


def is_exact(step: Step) -> bool:
    """Whether a record is as the walk made it, and not rounded to 16 bits."""
    return torch.finfo(step.z_t.dtype).bits >= 32

"""Where a bound UNet is evaluated: the place at which forward hooks see what is asked and what is answered."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """What a bound UNet is asked, besides the noisy latent.

    Attributes:
        index: Position in the walk that it was bound for.
        timesteps: Steps of that walk; it is asked for ``timesteps[index]``. (S,)
        copies: Conditions of each latent. Guidance puts the negative one first, so the last copy is the condition.
    """

    index: int
    timesteps: Tensor
    copies: int


class EvaluationPoint(nn.Module):
    """Calls what it is given.

    A module without parameters, so that torch's forward hooks see every step of a walk; without a hook it costs a call.
    Hooks on the UNet itself would not do: a bound denoiser does not call it, and it knows no walk.
    """

    def forward(self, z_t: Tensor, evaluation: Evaluation, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """(B, C, h, w) → ``compute(z_t)``, (copies·B, out_channels, h, w)."""
        return compute(z_t)

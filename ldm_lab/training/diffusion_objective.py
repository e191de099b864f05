"""The networks of stage 2 under one loss: UNet and conditioner, trained together as in the paper."""

from contextlib import nullcontext

from torch import Tensor, nn

from ldm_lab.autoencoders.objective import ObjectiveValue
from ldm_lab.conditioning.conditioner import Conditioner, Prepared
from ldm_lab.diffusion.objective import ObjectiveConfig, denoising_loss
from ldm_lab.diffusion.schedule import NoiseSchedule
from ldm_lab.training.grounding import Grounding, Target
from ldm_lab.training.recognition import Recognition, outputs_of
from ldm_lab.unet.unet import UNet


class Networks(nn.Module):
    """What stage 2 trains and averages."""

    def __init__(self, unet: UNet, conditioner: Conditioner | None) -> None:
        super().__init__()
        self.unet = unet
        self.conditioner = conditioner


class DiffusionObjective(nn.Module):
    """LDM (Rombach et al. 2022), eq. 3: the denoising loss, with the condition encoded on the way.

    Args:
        networks: UNet and conditioner.
        schedule: How noise is added.
        config: Which loss.
        grounding: What else the condition is asked; None: nothing.
        grounding_weight: Weight of that.
        recognition: What else the features are asked that the UNet's lowest level hands up; None: nothing.
        recognition_weight: Weight of that.
    """

    def __init__(
        self,
        networks: Networks,
        schedule: NoiseSchedule,
        config: ObjectiveConfig,
        *,
        grounding: Grounding | None = None,
        grounding_weight: float = 1.0,
        recognition: Recognition | None = None,
        recognition_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.networks, self.grounding, self.recognition = networks, grounding, recognition
        self.schedule, self.config = schedule, config
        self.grounding_weight, self.recognition_weight = grounding_weight, recognition_weight

    def forward(
        self,
        z_0: Tensor,
        t: Tensor,
        noise: Tensor,
        *,
        prepared: Prepared | None = None,
        offset: Tensor | None = None,
        emphasis: Tensor | None = None,
        grounding_target: Target | None = None,
        recognition_target: Tensor | None = None,
    ) -> ObjectiveValue:
        """Judge one batch of scaled latents.

        Args:
            z_0: Scaled latents. (B, C, h, w)
            t: Steps. (B,)
            noise: Standard normal. (B, C, h, w)
            prepared: Conditions, as the conditioner prepared them.
            offset: Offset noise, if the config asks for it. (B, C, 1, 1)
            emphasis: How much the error of each place counts; None: all count 1. (B, 1, h, w)
            grounding_target: What the condition should tell, if there is a grounding.
            recognition_target: What the features should tell, if there is a recognition. (B, V, h, w)
        """
        networks = self.networks
        cond = None if networks.conditioner is None else networks.conditioner(prepared)

        def predict(z_t: Tensor, steps: Tensor) -> Tensor:
            return networks.unet(z_t, steps, cond)

        with outputs_of(networks.unet.up_blocks[0]) if self.recognition is not None else nullcontext([]) as features:
            loss = denoising_loss(predict, z_0, t, noise, self.schedule, self.config, offset=offset, emphasis=emphasis)
        total, terms = loss.mean, _loss_by_time(loss.per_sample, t, len(self.schedule))
        if self.grounding is not None:
            error = self.grounding(cond, grounding_target)
            total, terms = total + self.grounding_weight * error, terms | {"grounding": error.detach()}
        if self.recognition is not None:
            error = self.recognition(features[-1], recognition_target)
            total, terms = total + self.recognition_weight * error, terms | {"recognition": error.detach()}
        return ObjectiveValue(total, terms)


def _loss_by_time(per_sample: Tensor, t: Tensor, num_train_steps: int) -> dict[str, Tensor]:
    """Mean error of the early and the late half of the steps; 0 where the batch has none of them."""
    is_late = t.to(per_sample.device) >= num_train_steps // 2  # (B,)
    halves = {"error_low_noise": ~is_late, "error_high_noise": is_late}
    return {name: (per_sample * half).sum() / half.sum().clamp(min=1) for name, half in halves.items()}

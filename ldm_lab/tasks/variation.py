"""Variations: images from noise near that of another image."""

from dataclasses import dataclass
from typing import ClassVar

from ldm_lab.core.config import setting
from ldm_lab.core.seeding import sample_noise
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import vary
from ldm_lab.sampling.steps import LARGEST_SEED
from ldm_lab.tasks.any_model import AnyModelSettings, wish_of
from ldm_lab.tasks.plan import Plan, from_noise


@dataclass(frozen=True, kw_only=True)
class VariationSettings(AnyModelSettings):
    """Images like that of one seed; each of ``seeds`` turns its noise another way."""

    task: ClassVar[str] = "variation"

    of_seed: int = setting(0, help="Seed of the image that is varied.", minimum=0, maximum=LARGEST_SEED)
    amount: float = setting(
        0.3, help="0: that image; 1: images that have nothing to do with it.", minimum=0.0, maximum=1.0, step=0.05
    )


def variation(model: LatentDiffusion, settings: VariationSettings) -> Plan:
    """Make images like that of a seed."""
    wish = wish_of(model, settings)
    shape = model.latent_shape(settings.width, settings.height)
    noise = sample_noise(shape, [settings.of_seed] * len(settings.seeds))
    z = vary(noise, settings.seeds, amount=settings.amount)
    steps = from_noise(model, settings, cond=wish.cond, guidance=wish.guidance, start=(z, 0))
    return Plan(steps=steps, notes=wish.notes)

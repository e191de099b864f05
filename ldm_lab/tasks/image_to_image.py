"""Image to image: a picture, diffused a part of the way and brought back. SDEdit (Meng et al. 2022)."""

from dataclasses import dataclass
from typing import ClassVar

from ldm_lab.core.config import setting
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Edit, edit_walk, steps_walked
from ldm_lab.tasks.any_model import wish_of
from ldm_lab.tasks.from_picture import PictureSettings, encode_picture
from ldm_lab.tasks.plan import Plan, scheduler_of, walk_of


@dataclass(frozen=True, kw_only=True)
class ImageToImageSettings(PictureSettings):
    """Images like a picture; strength 0 gives what the first stage makes of it, 1 images that owe it nothing."""

    task: ClassVar[str] = "image_to_image"

    strength: float = setting(
        0.6, help="Share of the walk: 0 keeps the picture, 1 forgets it.", minimum=0.0, maximum=1.0, step=0.05
    )

    @property
    def length(self) -> int:
        """The share that is walked."""
        return steps_walked(self.num_steps, self.strength)


def image_to_image(model: LatentDiffusion, settings: ImageToImageSettings) -> Plan:
    """Make images like a picture."""
    wish = wish_of(model, settings)
    z_0 = encode_picture(model, settings.image, num_images=len(settings.seeds))
    walk = edit_walk(
        model,
        wish.cond,
        scheduler_of(model, settings),
        Edit(z_0=z_0, strength=settings.strength),
        **walk_of(settings),
        guidance=wish.guidance,
    )
    return Plan(walk=walk, z_0=z_0, notes=wish.notes)

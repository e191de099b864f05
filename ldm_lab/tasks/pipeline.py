"""A loaded model with its name and its tasks as methods: what ``lab.load`` returns."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.images import Picture, to_pil, to_tensor
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Step
from ldm_lab.tasks.provenance import Origin
from ldm_lab.tasks.run import Run
from ldm_lab.tasks.settings import TextToImageSettings
from ldm_lab.tasks.text import OnStep, stream, text_to_image


class Pipeline:
    """A model and what can be done with it.

    Attributes:
        model: The networks and their schedule.
        origin: Its name and digests.
        defaults: The settings that it recommends.
    """

    def __init__(
        self, model: LatentDiffusion, *, origin: Origin | None = None, defaults: dict[str, Any] | None = None
    ) -> None:
        self.model = model.eval()
        self.origin = origin or Origin()
        self.defaults = TextToImageSettings.of(prompt="", **(defaults or {}))

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.origin.name

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.model.device

    def settings(self, prompt: str, **settings: Any) -> TextToImageSettings:
        """Settings for this model, with nothing left open: its recommendations filled in, random seeds drawn."""
        asked = TextToImageSettings.of(prompt=prompt, **settings)
        return asked.resolved(image_size=self.model.config.image_size, defaults=self.defaults)

    def text_to_image(self, prompt: str, *, on_step: OnStep | None = None, **settings: Any) -> Run:
        """Make images from a sentence; see ``TextToImageSettings`` for the settings and ``tasks.text`` for ``on_step``.

        Raises:
            RequestError: If a setting is not accepted.
        """
        asked = TextToImageSettings.of(prompt=prompt, **settings)
        return text_to_image(self.model, asked, defaults=self.defaults, origin=self.origin, on_step=on_step)

    def stream(self, prompt: str, **settings: Any) -> Iterator[Step]:
        """The same walk, step by step."""
        return stream(self.model, self.settings(prompt, **settings))

    @torch.no_grad()
    def encode(self, images: Picture | Sequence[Image.Image]) -> Tensor:
        """RGB images of one size → the most likely scaled latents. (B, C, H/f, W/f)"""
        return self.model.encode(to_tensor(images).to(self.device))

    @torch.no_grad()
    def decode(self, z: Tensor) -> list[Image.Image]:
        """Scaled latents (B, C, h, w) → images."""
        return to_pil(self.model.decode(z.to(self.device)))

    def __repr__(self) -> str:
        count = sum(parameter.numel() for parameter in self.model.parameters())
        return f"Pipeline({self.name!r}, {count:,} parameters, {self.device})"

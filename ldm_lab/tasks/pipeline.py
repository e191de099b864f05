"""A loaded model with its name and its tasks as methods: what ``lab.load`` returns."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.images import Picture, to_pil, to_tensor
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Step
from ldm_lab.tasks.branch import Branch
from ldm_lab.tasks.catalogue import task_named
from ldm_lab.tasks.flow import OnStep, Undertaking, prepare, stream
from ldm_lab.tasks.picture_input import PictureSource
from ldm_lab.tasks.provenance import Origin
from ldm_lab.tasks.run import Run
from ldm_lab.tasks.settings import GuidedSettings, TaskSettings
from ldm_lab.tasks.text import TextToImageSettings


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
        self.defaults = GuidedSettings.of(**(defaults or {}))

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.origin.name

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.model.device

    def run(self, task: str, *, on_step: OnStep | None = None, **settings: Any) -> Run:
        """Carry out a task by its name in ``ldm_lab.tasks.TASKS``; the methods below are short for it.

        Args:
            task: Such as ``"text_to_image"``.
            on_step: Called with every step; if it returns False, the walk ends there and the run is partial.
            **settings: Of the task's settings class. What is not given is as the model recommends.

        Raises:
            RequestError: If a setting is not accepted, or the model is not of the kind that the task needs.
        """
        return self.carry_out(task_named(task).settings.of(**settings), on_step=on_step)

    def carry_out(self, settings: TaskSettings, *, branch: Branch | None = None, on_step: OnStep | None = None) -> Run:
        """The same with settings that are already made, and perhaps from where another run is left."""
        return self.prepare(settings, branch=branch).carry_out(on_step=on_step)

    def prepare(self, settings: TaskSettings, *, branch: Branch | None = None) -> Undertaking:
        """All of ``carry_out`` that comes before the first step.

        Raises:
            RequestError: If the model cannot serve the settings.
        """
        return prepare(self.model, settings, defaults=self.defaults, origin=self.origin, branch=branch)

    def resolved(self, settings: TaskSettings) -> TaskSettings:
        """Settings with nothing left open: this model's recommendations filled in, random seeds drawn."""
        return settings.resolved(image_size=self.model.config.image_size, defaults=self.defaults)

    def unconditional(self, **settings: Any) -> Run:
        """Make images from noise alone; see ``UnconditionalSettings``."""
        return self.run("unconditional", **settings)

    def class_to_image(self, label: int | str | None, **settings: Any) -> Run:
        """Make images of a class; see ``ClassToImageSettings``."""
        return self.run("class_to_image", label=label, **settings)

    def text_to_image(self, prompt: str, **settings: Any) -> Run:
        """Make images from a sentence; see ``TextToImageSettings``."""
        return self.run("text_to_image", prompt=prompt, **settings)

    def image_to_image(self, image: PictureSource, **settings: Any) -> Run:
        """Make images like a picture; see ``ImageToImageSettings``."""
        return self.run("image_to_image", image=image, **settings)

    def inpainting(self, image: PictureSource, mask: PictureSource, **settings: Any) -> Run:
        """Make the white part of a mask anew; see ``InpaintingSettings``."""
        return self.run("inpainting", image=image, mask=mask, **settings)

    def outpainting(self, image: PictureSource, **settings: Any) -> Run:
        """Continue a picture beyond its edges; see ``OutpaintingSettings``."""
        return self.run("outpainting", image=image, **settings)

    def layout_to_image(self, layout: Any, **settings: Any) -> Run:
        """Make images of a layout: objects such as "star red 0.1 0.2 0.5 0.6"; see ``LayoutToImageSettings``."""
        return self.run("layout_to_image", layout=layout, **settings)

    def semantic_to_image(self, map: PictureSource, **settings: Any) -> Run:
        """Make images of a semantic map; see ``SemanticToImageSettings``."""
        return self.run("semantic_to_image", map=map, **settings)

    def super_resolution(self, image: PictureSource, **settings: Any) -> Run:
        """Make a picture larger; see ``SuperResolutionSettings``."""
        return self.run("super_resolution", image=image, **settings)

    def variation(self, **settings: Any) -> Run:
        """Make images like that of a seed, or like a picture; see ``VariationSettings``."""
        return self.run("variation", **settings)

    def interpolation(self, **settings: Any) -> Run:
        """Make frames between two images, of seeds or pictures; see ``InterpolationSettings``."""
        return self.run("interpolation", **settings)

    def blend(self, **settings: Any) -> Run:
        """Make an image between anchors, of seeds and sentences; see ``BlendSettings``."""
        return self.run("blend", **settings)

    def image_guiding(self, image: PictureSource, **settings: Any) -> Run:
        """Make images of which a picture is the small copy; see ``ImageGuidingSettings``."""
        return self.run("image_guiding", image=image, **settings)

    def large_image(self, **settings: Any) -> Run:
        """Make images larger than those of training; see ``LargeImageSettings``."""
        return self.run("large_image", **settings)

    def inversion(self, image: PictureSource, **settings: Any) -> Run:
        """Find the noise of a picture, and walk back from it; see ``InversionSettings``."""
        return self.run("inversion", image=image, **settings)

    def settings(self, prompt: str, **settings: Any) -> TextToImageSettings:
        """Settings of text to image for this model, with nothing left open."""
        return self.resolved(TextToImageSettings.of(prompt=prompt, **settings))

    def stream(self, prompt: str, **settings: Any) -> Iterator[Step]:
        """The walk of text to image, step by step; ``ldm_lab.tasks.stream`` has it for any task."""
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

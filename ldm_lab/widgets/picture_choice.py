"""Choosing a picture: a scene of the built-in world, a photograph, a file of one's own."""

from collections.abc import Callable
from typing import Any

import ipywidgets
from PIL import Image

from ldm_lab.core.images import read_image
from ldm_lab.evaluation.sample_pictures import PHOTOGRAPHS, photograph, scene_picture

SCENE, OWN = "scene", "own picture"


class PictureChoice:
    """Controls that say which picture.

    Attributes:
        widget: What is on the screen.
    """

    def __init__(
        self, image: Image.Image | None, *, on_change: Callable[[], Any], guarded: Callable[..., Callable[..., Any]]
    ) -> None:
        """Make the controls.

        Args:
            image: One's own to begin with, RGB; None: a scene.
            on_change: Called when another picture is chosen.
            guarded: ``Panel.guarded``.
        """
        self._own, self._on_change = image, on_change
        self.source = ipywidgets.Dropdown(description="Picture", options=[SCENE, *PHOTOGRAPHS])
        self.number = ipywidgets.BoundedIntText(description="Number", min=0, max=10**6, layout={"width": "12em"})
        self.upload = ipywidgets.FileUpload(accept="image/*", description="Open a file", layout={"width": "auto"})
        self.widget = ipywidgets.HBox([self.source, self.number, self.upload], layout={"flex_flow": "row wrap"})
        if image is not None:
            self._offer_own()
        self.source.observe(guarded(lambda _: self._changed()), "value")
        self.number.observe(guarded(lambda _: self._changed()), "value")
        self.upload.observe(guarded(lambda change: self._open(change.new)), "value")

    @property
    def image(self) -> Image.Image:
        """The picture, RGB.

        Raises:
            MissingDependencyError: If it is a photograph and scikit-image is not installed.
        """
        if self.source.value == SCENE:
            return scene_picture(self.number.value)
        return self._own if self.source.value == OWN else photograph(self.source.value)

    def take(self, image: Image.Image) -> None:
        """Choose a picture that is none of those offered."""
        self._own = image
        if self.source.value == OWN:
            self._on_change()
        else:
            self._offer_own()

    def code(self) -> list[str]:
        """Lines that define ``picture``."""
        if self.source.value == OWN:
            return ["from PIL import Image", 'picture = Image.open("picture.png").convert("RGB")']
        name = "scene_picture" if self.source.value == SCENE else "photograph"
        value = self.number.value if self.source.value == SCENE else self.source.value
        return [f"from ldm_lab.evaluation.sample_pictures import {name}", "", f"picture = {name}({value!r})"]

    def _offer_own(self) -> None:
        chosen = self.source.value
        self.source.options = [SCENE, *PHOTOGRAPHS, OWN]
        self.source.value = chosen
        self.source.value = OWN
        self.number.layout.display = "none"

    def _changed(self) -> None:
        self.number.layout.display = None if self.source.value == SCENE else "none"
        self._on_change()

    def _open(self, files: tuple[dict[str, Any], ...]) -> None:
        if files:
            self.take(read_image(bytes(files[0]["content"])))

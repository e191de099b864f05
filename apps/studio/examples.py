"""Examples that every tab can begin with: scenes of the built-in world, one after the other."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from PIL import Image

from apps.studio.models import Card, Models
from apps.studio.sentences import explained
from apps.studio.wiring import QUICK_EVENT
from ldm_lab.core.images import to_pil
from ldm_lab.data.shape_scenes import ShapeScenes


def scene(card: Card, index: int) -> tuple[Image.Image, str]:
    """A scene of the size that a model makes, and what it shows."""
    scenes = ShapeScenes(split="test", size=card.config.image_size, complete_captions=1.0)
    return to_pil(scenes.images([index]))[0], scenes.captions([index])[0].text


def connect_examples(
    button: gr.Button,
    models: Models,
    model: gr.components.Component,
    outputs: Sequence[gr.components.Component],
    *,
    example: Callable[[Card, int], tuple[Any, ...]],
) -> None:
    """Each press shows the next example.

    Args:
        button: That is pressed.
        models: Of the page.
        model: Holds the name of the model whose examples they are.
        outputs: Where an example is shown.
        example: What these show, for a model and a number; the page opens with number 0. What it gives besides is
            left out.
    """
    number = gr.State(0)

    def show(name: str, last: int) -> tuple[Any, ...]:
        return *example(models.card(name), last + 1)[: len(outputs)], last + 1

    button.click(explained(show), [model, number], [*outputs, number], **QUICK_EVENT)

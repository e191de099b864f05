"""Tab Compression: what first stages leave of a picture, side by side, and what their latents cost."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from apps.studio import markup
from apps.studio.desks import Desks
from apps.studio.forms import upload
from apps.studio.inpaint import example
from apps.studio.models import Models
from apps.studio.sentences import explained
from apps.studio.wiring import MODEL_EVENT, QUICK_EVENT
from ldm_lab.core.errors import RequestError
from ldm_lab.core.images import read_image
from ldm_lab.core.io import format_bytes
from ldm_lab.evaluation.one_picture import Reconstruction, reconstruct
from ldm_lab.viz import error_map

HEADER = ("first stage", "f", "PSNR", "SSIM", "LPIPS", "latent", "smaller by")
MAX_SIDE = 512  # attention in the middle of an f4 model sees 16,384 places there
NO_LPIPS = "LPIPS is shown where its VGG16 lies on this machine; ldm-lab doctor says where it belongs."


class Compression:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks) -> None:
        self.models, self.desks = models, desks
        names = list(models.stages)
        if not names:
            gr.Markdown("There is no first stage here. Start the studio with one: `ldm-lab studio FOLDER`.")
            return
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                self.picture = upload(
                    label="Picture", height=240, elem_classes=["pixels", "enlarged"], elem_id="compression-picture"
                )
                self.example = gr.Button("A scene of the built-in world", size="sm")
                self.stages = gr.CheckboxGroup(names, value=names, label="First stages")
                self.run = gr.Button("Encode and decode", variant="primary", elem_id="compression-run")
                self.status = gr.HTML(
                    markup.status("Upload a picture, or take a scene; none at all takes a scene."),
                    elem_classes="status",
                )
            with gr.Column(scale=5, min_width=300):
                self.facts = gr.HTML(elem_classes="facts", elem_id="compression-facts")
                self.sliders = [_slider(name) for name in names]
                self.errors = gr.Gallery(
                    label="Error: dark is none",
                    format="png",
                    columns=3,
                    visible=False,
                    interactive=False,
                    elem_classes="pixels",
                    object_fit="contain",
                )
        outputs = [self.status, self.facts, *self.sliders, self.errors]
        self.run.click(
            explained(self._measure), [self.picture, self.stages], outputs, show_progress="hidden", **MODEL_EVENT
        )
        self.index = gr.State(0)
        self.example.click(explained(self._example), self.index, [self.picture, self.index], **QUICK_EVENT)

    def _example(self, index: int) -> tuple[Any, int]:
        card = next(iter(self.models.cards.values()))
        return example(card, index)[0], index + 1

    def _measure(self, picture: bytes | None, names: list[str]) -> Iterator[dict[Any, Any]]:
        if not names:
            raise RequestError("no first stage is chosen; tick at least one")
        image = self._example(0)[0] if picture is None else read_image(picture)
        if max(image.size) > MAX_SIDE:
            raise RequestError(f"the picture has {image.width} × {image.height} pixels; here at most {MAX_SIDE} a side")
        made: dict[str, Reconstruction] = {}
        yield {slider: gr.update(visible=False) for slider in self.sliders} | {self.errors: gr.update(visible=False)}
        for name in names:
            yield {self.status: markup.status(f"{name} …")}
            made[name] = reconstruct(self.models.first_stage(name), image)
            yield self._show(made)
        missing = () if all(each.lpips is not None for each in made.values()) else (NO_LPIPS,)
        yield {self.status: markup.status("Done.", missing)}

    def _show(self, made: dict[str, Reconstruction]) -> dict[Any, Any]:
        rows = [_row(name, each) for name, each in made.items()]
        sliders = dict(zip(self.models.stages, self.sliders, strict=True))
        return {
            self.facts: markup.table(rows, header=HEADER),
            **{sliders[name]: gr.update(value=(e.original, e.image), visible=True) for name, e in made.items()},
            self.errors: gr.update(value=[(error_map(e.original, e.image), n) for n, e in made.items()], visible=True),
        }


def _slider(name: str) -> gr.ImageSlider:
    return gr.ImageSlider(
        label=f"Original and {name}",
        format="png",
        interactive=False,
        visible=False,
        max_height=360,
        elem_classes="pixels",
    )


def _row(name: str, made: Reconstruction) -> tuple[str, ...]:
    factor = made.original.width // made.z_raw.shape[-1]
    return (
        name,
        str(factor),
        "no loss" if made.psnr == float("inf") else f"{made.psnr:.2f} dB",
        f"{made.ssim:.4f}",
        "–" if made.lpips is None else f"{made.lpips:.4f}",
        format_bytes(made.latent_bytes),
        f"{made.picture_bytes / made.latent_bytes:.1f} times",
    )

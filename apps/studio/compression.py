"""Tab Compression: what first stages leave of a picture, side by side, and what their latents cost."""

from collections.abc import Iterable, Iterator
from typing import Any

import gradio as gr
from PIL import Image

from apps.studio import markup
from apps.studio.desks import Desks
from apps.studio.examples import connect_examples, scene
from apps.studio.forms import upload
from apps.studio.models import Models
from apps.studio.pictures import compared, gallery
from apps.studio.requests import read_small
from apps.studio.sentences import explained
from apps.studio.wiring import MODEL_EVENT
from ldm_lab.core.errors import RequestError
from ldm_lab.core.io import format_bytes
from ldm_lab.evaluation.one_picture import Reconstruction, reconstruct
from ldm_lab.viz import error_map

HEADER = ("first stage", "f", "PSNR", "SSIM", "LPIPS", "latent", "smaller by")
NO_LPIPS = "LPIPS is shown where its VGG16 lies on this machine; ldm-lab doctor says where it belongs."


class Compression:
    """The tab: its components, and what its buttons do."""

    def __init__(self, models: Models, desks: Desks) -> None:
        self.models = models
        names = list(models.stages)
        if not names:
            gr.Markdown("There is no first stage here. Start the studio with one: `ldm-lab studio FOLDER`.")
            return
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                self._lay_out_form(names)
            with gr.Column(scale=5, min_width=300):
                self.facts = gr.HTML(elem_classes="facts", elem_id="compression-facts")
                self.sliders = [compared(f"Original and {name}", max_height=360) for name in names]
                self.errors = gallery("Error: dark is none", columns=3)
        self._connect()

    def _lay_out_form(self, names: list[str]) -> None:
        self.picture = upload(
            label="Picture", height=240, elem_classes=["pixels", "enlarged"], elem_id="compression-picture"
        )
        self.use_example = gr.Button("A scene of the built-in world", size="sm")
        self.stages = gr.CheckboxGroup(names, value=names, label="First stages")
        self.run = gr.Button("Encode and decode", variant="primary", elem_id="compression-run")
        self.status = gr.HTML(
            markup.status("Upload a picture, or take a scene; none at all takes a scene."), elem_classes="status"
        )

    def _connect(self) -> None:
        asked, outputs = [self.picture, self.stages], [self.status, self.facts, *self.sliders, self.errors]
        self.run.click(explained(self._measure), asked, outputs, show_progress="hidden", **MODEL_EVENT)
        of_first_model = gr.State(next(iter(self.models.cards)))
        connect_examples(self.use_example, self.models, of_first_model, [self.picture], example=scene)

    def _measure(self, picture: bytes | None, names: list[str]) -> Iterator[dict[Any, Any]]:
        if not names:
            raise RequestError("no first stage is chosen; tick at least one")
        image = self._first_scene() if picture is None else read_small(picture)
        made: dict[str, Reconstruction] = {}
        for name in names:
            yield self._show(made, f"{name} …")
            made[name] = reconstruct(self.models.first_stage(name), image)
        missing = () if all(each.lpips is not None for each in made.values()) else (NO_LPIPS,)
        yield self._show(made, "Done.", missing)

    def _first_scene(self) -> Image.Image:
        return scene(next(iter(self.models.cards.values())), 0)[0]

    def _show(self, made: dict[str, Reconstruction], sentence: str, notes: Iterable[str] = ()) -> dict[Any, Any]:
        """Everything: what is there, and the places of what is not there are empty."""
        pairs = {name: (each.original, each.image) for name, each in made.items()}
        sliders = dict(zip(self.models.stages, self.sliders, strict=True))
        errors = [(error_map(*pair), name) for name, pair in pairs.items()]
        return {
            self.status: markup.status(sentence, notes),
            self.facts: markup.table([_row(name, each) for name, each in made.items()], header=HEADER) if made else "",
            self.errors: gr.update(value=errors, visible=bool(made)),
            **{slider: gr.update(value=pairs.get(name), visible=name in pairs) for name, slider in sliders.items()},
        }


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

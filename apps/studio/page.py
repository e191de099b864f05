"""The page: a masthead and the tabs."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import gradio as gr

from apps.studio.compare import Compare
from apps.studio.compression import Compression
from apps.studio.create import Create
from apps.studio.desks import Desks
from apps.studio.endpoints import add_endpoints
from apps.studio.grid import Cells, Grid
from apps.studio.inpaint import Inpaint
from apps.studio.latents import Latents
from apps.studio.layout import Layout
from apps.studio.models import Models
from apps.studio.upscale import Upscale

KEPT_SEC = 600
SWEEP_SEC = 60
TITLE = "ldm_lab studio"


def build_app(models: Models, *, cells: Path | None = None) -> gr.Blocks:
    """The page, ready to be launched.

    Args:
        models: What it offers.
        cells: Folder in which finished cells of grids are kept; None: a temporary one.
    """
    desks = Desks()
    made = Cells(cells or Path(tempfile.mkdtemp(prefix="ldm_lab-cells-")))
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(SWEEP_SEC, KEPT_SEC), fill_width=True) as page:
        gr.HTML(
            "<h1>ldm_lab studio</h1><p>Make images with latent diffusion, look inside, change something, see what "
            "follows.</p>",
            elem_classes="masthead",
        )
        with gr.Tab("Create", id="create"):
            Create(models, desks)
        with gr.Tab("Inpaint", id="inpaint"):
            Inpaint(models, desks)
        with gr.Tab("Layout", id="layout"):
            Layout(models, desks)
        with gr.Tab("Upscale", id="upscale"):
            Upscale(models, desks)
        with gr.Tab("Latents", id="latents"):
            Latents(models, desks)
        with gr.Tab("Compression", id="compression"):
            Compression(models, desks)
        with gr.Tab("Grid", id="grid"):
            Grid(models, desks, made)
        with gr.Tab("Compare", id="compare"):
            Compare(models, desks)
        add_endpoints(models, desks, made)
        page.unload(_leaving(desks))
    return page


def _leaving(desks: Desks) -> Callable[[gr.Request], None]:
    """What happens when a visitor closes the page."""

    def leave(visitor: gr.Request) -> None:
        desks.drop(visitor.session_hash)

    return leave

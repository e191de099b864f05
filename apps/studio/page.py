"""The page: a masthead and the tabs."""

import secrets
from collections.abc import Callable

import gradio as gr

from apps.studio.cells import Cells
from apps.studio.compare import Compare
from apps.studio.compression import Compression
from apps.studio.create import Create
from apps.studio.desks import Desks
from apps.studio.endpoints import add_endpoints
from apps.studio.grid import Grid
from apps.studio.inpaint import Inpaint
from apps.studio.latents import Latents
from apps.studio.layout import Layout
from apps.studio.models import Models
from apps.studio.upscale import Upscale
from apps.studio.wiring import QUICK_EVENT

KEPT_SEC = 600
SWEEP_SEC = 60
TITLE = "ldm_lab studio"


def build_app(models: Models, desks: Desks, cells: Cells) -> gr.Blocks:
    """The page, ready to be launched.

    Args:
        models: What it offers.
        desks: What it remembers of visitors.
        cells: Finished cells of grids.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(SWEEP_SEC, KEPT_SEC), fill_width=True) as page:
        gr.HTML(
            "<h1>ldm_lab studio</h1><p>Make images with latent diffusion, look inside, change something, see what "
            "follows.</p>",
            elem_classes="masthead",
        )
        key = gr.BrowserState("")
        page.load(_kept_or_new, key, key, **QUICK_EVENT)
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
            Grid(models, desks, cells, key)
        with gr.Tab("Compare", id="compare"):
            Compare(models, desks)
        add_endpoints(models, desks, cells)
        page.unload(_leaving(desks))
    return page


def _kept_or_new(key: str) -> str:
    """A secret of the visitor's browser, which outlives a refresh of the page."""
    return key or secrets.token_urlsafe()


def _leaving(desks: Desks) -> Callable[[gr.Request], None]:
    """What happens when a visitor closes the page."""

    def leave(visitor: gr.Request) -> None:
        desks.drop(visitor.session_hash)

    return leave

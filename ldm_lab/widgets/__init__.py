"""Panels for notebooks: live controls around a ``Session`` and its runs.

Names are looked up when they are first used, so that a panel loads no more than it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ldm_lab.widgets.blink import Blink
    from ldm_lab.widgets.box_pad import BoxPad
    from ldm_lab.widgets.browser_view import BrowserView
    from ldm_lab.widgets.cell_grid import CellGrid
    from ldm_lab.widgets.codebook_panel import CodebookPanel
    from ldm_lab.widgets.codebook_view import CodebookView
    from ldm_lab.widgets.compare_panel import RunComparePanel
    from ldm_lab.widgets.compression_panel import CompressionPanel
    from ldm_lab.widgets.curve_pad import CurvePad
    from ldm_lab.widgets.drop_zone import DropZone
    from ldm_lab.widgets.form import SettingsForm
    from ldm_lab.widgets.generate_panel import GeneratePanel
    from ldm_lab.widgets.grid_panel import GridPanel
    from ldm_lab.widgets.guidance_panel import GuidancePanel
    from ldm_lab.widgets.inpaint_panel import InpaintPanel
    from ldm_lab.widgets.inspector_panel import LatentInspectorPanel
    from ldm_lab.widgets.latent_view import LatentView
    from ldm_lab.widgets.layout_panel import LayoutPanel
    from ldm_lab.widgets.mask_pad import MaskPad
    from ldm_lab.widgets.microscope import Microscope
    from ldm_lab.widgets.microscope_panel import LinkedMicroscopePanel
    from ldm_lab.widgets.panel import Panel
    from ldm_lab.widgets.picture_row import PictureRow
    from ldm_lab.widgets.pictures import CompareSlider, FrameView, PlotView, Scrubber
    from ldm_lab.widgets.puck_pad import PuckPad
    from ldm_lab.widgets.rewind_panel import RewindPanel
    from ldm_lab.widgets.run_tree_view import RunTreeView
    from ldm_lab.widgets.sample_map_panel import SampleMapPanel
    from ldm_lab.widgets.scatter import Scatter
    from ldm_lab.widgets.status_line import StatusLine
    from ldm_lab.widgets.training_panel import TrainingPanel
    from ldm_lab.widgets.trajectory_panel import TrajectoryPanel
    from ldm_lab.widgets.walk_panel import WalkPanel
    from ldm_lab.widgets.watch import Watch

__all__ = [
    "Blink",
    "BoxPad",
    "BrowserView",
    "CellGrid",
    "CodebookPanel",
    "CodebookView",
    "CompareSlider",
    "CompressionPanel",
    "CurvePad",
    "DropZone",
    "FrameView",
    "GeneratePanel",
    "GridPanel",
    "GuidancePanel",
    "InpaintPanel",
    "LatentInspectorPanel",
    "LatentView",
    "LayoutPanel",
    "LinkedMicroscopePanel",
    "MaskPad",
    "Microscope",
    "Panel",
    "PictureRow",
    "PlotView",
    "PuckPad",
    "RewindPanel",
    "RunComparePanel",
    "RunTreeView",
    "SampleMapPanel",
    "Scatter",
    "Scrubber",
    "SettingsForm",
    "StatusLine",
    "TrainingPanel",
    "TrajectoryPanel",
    "WalkPanel",
    "Watch",
]

_HOMES = {
    "Blink": "blink",
    "BoxPad": "box_pad",
    "BrowserView": "browser_view",
    "CellGrid": "cell_grid",
    "CodebookPanel": "codebook_panel",
    "CodebookView": "codebook_view",
    "CompareSlider": "pictures",
    "CompressionPanel": "compression_panel",
    "CurvePad": "curve_pad",
    "DropZone": "drop_zone",
    "FrameView": "pictures",
    "GeneratePanel": "generate_panel",
    "GridPanel": "grid_panel",
    "GuidancePanel": "guidance_panel",
    "InpaintPanel": "inpaint_panel",
    "LatentInspectorPanel": "inspector_panel",
    "LatentView": "latent_view",
    "LayoutPanel": "layout_panel",
    "LinkedMicroscopePanel": "microscope_panel",
    "MaskPad": "mask_pad",
    "Microscope": "microscope",
    "Panel": "panel",
    "PictureRow": "picture_row",
    "PlotView": "pictures",
    "PuckPad": "puck_pad",
    "RewindPanel": "rewind_panel",
    "RunComparePanel": "compare_panel",
    "RunTreeView": "run_tree_view",
    "SampleMapPanel": "sample_map_panel",
    "Scatter": "scatter",
    "Scrubber": "pictures",
    "SettingsForm": "form",
    "StatusLine": "status_line",
    "TrainingPanel": "training_panel",
    "TrajectoryPanel": "trajectory_panel",
    "WalkPanel": "walk_panel",
    "Watch": "watch",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ldm_lab.widgets' has no attribute {name!r}")
    value = getattr(import_module(f"ldm_lab.widgets.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

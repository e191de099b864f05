"""Panels for notebooks: live controls around a ``Session`` and its runs.

Names are looked up when they are first used, so that a panel loads no more than it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ldm_lab.widgets.browser_view import BrowserView
    from ldm_lab.widgets.compression_panel import CompressionPanel
    from ldm_lab.widgets.form import SettingsForm
    from ldm_lab.widgets.generate_panel import GeneratePanel
    from ldm_lab.widgets.inpaint_panel import InpaintPanel
    from ldm_lab.widgets.inspector_panel import LatentInspectorPanel
    from ldm_lab.widgets.latent_view import LatentView
    from ldm_lab.widgets.mask_pad import MaskPad
    from ldm_lab.widgets.microscope import Microscope
    from ldm_lab.widgets.microscope_panel import LinkedMicroscopePanel
    from ldm_lab.widgets.panel import Panel
    from ldm_lab.widgets.picture_row import PictureRow
    from ldm_lab.widgets.pictures import CompareSlider, FrameView, Scrubber
    from ldm_lab.widgets.status_line import StatusLine
    from ldm_lab.widgets.watch import Watch

__all__ = [
    "BrowserView",
    "CompareSlider",
    "CompressionPanel",
    "FrameView",
    "GeneratePanel",
    "InpaintPanel",
    "LatentInspectorPanel",
    "LatentView",
    "LinkedMicroscopePanel",
    "MaskPad",
    "Microscope",
    "Panel",
    "PictureRow",
    "Scrubber",
    "SettingsForm",
    "StatusLine",
    "Watch",
]

_HOMES = {
    "BrowserView": "browser_view",
    "CompareSlider": "pictures",
    "CompressionPanel": "compression_panel",
    "FrameView": "pictures",
    "GeneratePanel": "generate_panel",
    "InpaintPanel": "inpaint_panel",
    "LatentInspectorPanel": "inspector_panel",
    "LatentView": "latent_view",
    "LinkedMicroscopePanel": "microscope_panel",
    "MaskPad": "mask_pad",
    "Microscope": "microscope",
    "Panel": "panel",
    "PictureRow": "picture_row",
    "Scrubber": "pictures",
    "SettingsForm": "form",
    "StatusLine": "status_line",
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

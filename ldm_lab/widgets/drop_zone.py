"""A place to drop files on."""

from collections.abc import Callable
from typing import Any

import traitlets

from ldm_lab.widgets.browser_view import BrowserView, script, style


class DropZone(BrowserView):
    """Hands every file that is dropped or chosen to a function, as bytes with its name."""

    _esm = script("drop_zone")
    _css = style("drop_zone")

    accept = traitlets.Unicode("", help='Which files are offered, such as ".png".').tag(sync=True)

    def __init__(self, take: Callable[[str, bytes], Any], **traits: Any) -> None:
        super().__init__(**traits)
        self._take = take

    def _receive(self, view: Any, content: dict[str, Any], buffers: list[memoryview]) -> None:
        super()._receive(view, content, buffers)
        if content.get("topic") == "file":
            self._take(str(content.get("name", "")), bytes(buffers[0]))

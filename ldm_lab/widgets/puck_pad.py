"""A plane between anchors, and a puck on it."""

import traitlets

from ldm_lab.widgets.browser_view import BrowserView, script, style


class PuckPad(BrowserView):
    """The puck is dragged, or moved by arrow keys; where it is, and whether it is held, comes from the browser."""

    _esm = script("puck_pad")
    _css = style("puck_pad")

    anchors = traitlets.List(traitlets.Unicode(), help="What stands at the corners, two to four.").tag(sync=True)
    place = traitlets.List(traitlets.Float(), default_value=[0.5, 0.0], help="Across and down, 0 to 1.").tag(sync=True)
    held = traitlets.Bool(False, help="Whether it is being moved.").tag(sync=True)
    flat = traitlets.Bool(True, help="Whether it moves across alone.").tag(sync=True)

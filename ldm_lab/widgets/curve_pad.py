"""A curve over the way from noise to image, drawn by hand."""

import traitlets

from ldm_lab.widgets.browser_view import BrowserView, script, style


class CurvePad(BrowserView):
    """Points that are dragged, or moved by arrow keys; straight lines between them."""

    _esm = script("curve_pad")
    _css = style("curve_pad")

    points = traitlets.List(
        traitlets.List(traitlets.Float(), minlen=2, maxlen=2),
        help="Places from 0, noise, to 1, image, and the value at each; empty: the constant.",
    ).tag(sync=True)
    constant = traitlets.Float(1.0, help="The value where there are no points.").tag(sync=True)
    maximum = traitlets.Float(15.0, help="The largest value that can be drawn.").tag(sync=True)

    @property
    def curve(self) -> tuple[tuple[float, float], ...]:
        """The points as settings hold them."""
        return tuple((place, value) for place, value in self.points)

"""A figure that a notebook shows by itself; IPython knows only those of pyplot, which is not safe in threads."""

from matplotlib.figure import Figure

from ldm_lab.viz.figures import png_of


class ShownFigure(Figure):
    """A matplotlib figure that is its picture at the end of a cell."""

    def _repr_png_(self) -> bytes:
        return png_of(self)

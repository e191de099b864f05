"""Plots as matplotlib figures without pyplot, which is not safe in the threads that notebooks call widgets from."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from torch import Tensor

from ldm_lab.core.images import to_numpy
from ldm_lab.viz.colors import LINE_COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (6.0, 3.2)  # inches
MARKERS = "osD^vPX"


def curves(
    series: Mapping[str, Sequence[float]],
    *,
    x: Sequence[float] | None = None,
    x_label: str = "step",
    y_label: str = "",
    log: bool = False,
    mark: float | None = None,
) -> "Figure":
    """Lines over a common axis, told apart by colour and by marker.

    Args:
        series: Values of each line by its name, all of one length.
        x: Where they are; None: 0, 1, 2, …
        x_label: What the axis is.
        y_label: What the values are, with their unit.
        log: Logarithmic values.
        mark: Where on the axis a vertical line stands, such as the step that is looked at.
    """
    figure, axes = _figure(x_label, y_label)
    for index, (name, values) in enumerate(series.items()):
        places = range(len(values)) if x is None else x
        axes.plot(places, values, label=name, color=_color(index), **_marker(index, values))
    if log:
        axes.set_yscale("log")
    if mark is not None:
        axes.axvline(mark, color="0.5", linestyle=":", linewidth=1)
    if len(series) > 1:
        axes.legend(frameon=False)
    return figure


def histogram(
    values: Mapping[str, Tensor], *, bins: int = 60, x_label: str = "value", normal: bool = False
) -> "Figure":
    """How often values occur, as a density; NaN and infinite ones are left out.

    Args:
        values: Numbers of each kind by its name, of any shape.
        bins: How many bars.
        x_label: What the numbers are.
        normal: Draw the density of the standard normal beside it, which is the prior of latents.
    """
    figure, axes = _figure(x_label, "density")
    for index, (name, numbers) in enumerate(values.items()):
        finite = to_numpy(numbers[numbers.isfinite()].flatten())
        axes.hist(finite, bins=bins, density=True, histtype="step", label=name, color=_color(index))
    if normal:
        _draw_standard_normal(axes)
    axes.legend(frameon=False)
    return figure


def scatter(
    points: Mapping[str, tuple[float, float]],
    *,
    x_label: str,
    y_label: str,
    chosen: str | None = None,
    log_x: bool = False,
) -> "Figure":
    """Named points, as for rate against distortion.

    Args:
        points: Where each is, by its name.
        x_label: What lies along the first axis, with its unit.
        y_label: What lies along the second axis, with its unit.
        chosen: The name of the one that is looked at.
        log_x: Logarithmic first axis, its values as plain numbers.
    """
    figure, axes = _figure(x_label, y_label)
    if log_x:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    for index, (name, (x, y)) in enumerate(points.items()):
        size = 90 if name == chosen else 40
        axes.scatter([x], [y], s=size, color=_color(index), marker=MARKERS[index % len(MARKERS)])
        axes.annotate(name, (x, y), textcoords="offset points", xytext=(7, 4))
    axes.margins(0.18)
    return figure


def png_of(figure: "Figure", *, dpi: int = 110) -> bytes:
    """A figure as PNG."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def _figure(x_label: str, y_label: str) -> tuple["Figure", "Axes"]:
    from ldm_lab.viz.shown_figure import ShownFigure

    figure = ShownFigure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _color(index: int) -> str:
    return LINE_COLORS[index % len(LINE_COLORS)]


def _marker(index: int, values: Sequence[float]) -> dict:
    """About eight markers along a line."""
    return {"marker": MARKERS[index % len(MARKERS)], "markevery": max(1, len(values) // 8), "markersize": 4}


def _draw_standard_normal(axes: "Axes") -> None:
    import numpy as np

    low, high = axes.get_xlim()
    x = np.linspace(min(low, -3.0), max(high, 3.0), 200)
    axes.plot(x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), color="0.4", linestyle="--", label="N(0, 1)")

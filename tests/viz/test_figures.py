import subprocess
import sys
from io import BytesIO

import numpy as np
import torch
from PIL import Image

from ldm_lab.viz import LINE_COLORS, curves, histogram, png_of, scatter


def test_curves_have_their_values_names_and_colours():
    figure = curves({"error": [3.0, 2.0, 1.0], "rate": [1.0, 1.0, 2.0]}, x=[10, 20, 30], y_label="loss", mark=20)
    (axes,) = figure.axes
    first, second, mark = axes.lines
    assert (list(first.get_xdata()), list(first.get_ydata())) == ([10, 20, 30], [3.0, 2.0, 1.0])
    assert [first.get_color(), second.get_color()] == list(LINE_COLORS[:2])
    assert first.get_marker() != second.get_marker()
    assert list(mark.get_xdata()) == [20, 20]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["error", "rate"]
    assert axes.get_ylabel() == "loss"


def test_a_histogram_leaves_out_what_is_no_number():
    values = torch.tensor([0.0, 1.0, float("nan"), float("inf"), 1.0])
    (axes,) = histogram({"z": values}, bins=2, normal=True).axes
    outline = axes.patches[0].get_xy()
    assert np.isfinite(outline).all()
    assert outline[:, 1].max() == 2 * 2 / 3  # two of three numbers in a bar of width 1/2
    assert axes.lines[0].get_ydata().max() < 0.4


def test_points_are_named():
    (axes,) = scatter({"f4": (1.0, 30.0), "f8": (0.5, 25.0)}, x_label="bits", y_label="dB", chosen="f8").axes
    assert [text.get_text() for text in axes.texts] == ["f4", "f8"]
    sizes = [points.get_sizes()[0] for points in axes.collections]
    assert sizes[1] > sizes[0]
    assert axes.get_xscale() == "linear"


def test_an_axis_may_be_logarithmic_and_says_plain_numbers():
    figure = scatter({"a": (512.0, 1.0), "b": (2048.0, 2.0)}, x_label="bytes", y_label="dB", log_x=True)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.xaxis.get_major_formatter()(1024.0) == "1024"


def test_png_is_a_picture():
    picture = Image.open(BytesIO(png_of(curves({"a": [1.0, 2.0]}))))
    assert picture.format == "PNG"
    assert picture.width > picture.height > 200


def test_pyplot_stays_out():
    """In a process of its own, since Gradio brings it into this one."""
    script = "import sys; from ldm_lab.viz import curves, png_of; png_of(curves({'a': [1.0, 2.0]}))"
    subprocess.run([sys.executable, "-c", f"{script}; assert 'matplotlib.pyplot' not in sys.modules"], check=True)


def test_a_figure_shows_itself_in_a_notebook():
    assert curves({"loss": [1.0, 2.0]})._repr_png_().startswith(b"\x89PNG")

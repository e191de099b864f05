"""The command that times the studio: what it counts over the wire, and its table; the browser's part is the same as in
tests/browser.
"""

import os

import pytest

from ldm_lab.cli.checkout import import_from_checkout
from ldm_lab.evaluation.report import circumstances, render
from tests.serving import free_port

pytest.importorskip("gradio", reason="the studio needs Gradio: pip install -e '.[app,metrics,text]'")
pytest.importorskip("playwright", reason="the page is timed in a browser: pip install playwright")
benchmark = import_from_checkout("benchmarks.studio", what="the benchmark")
load = import_from_checkout("benchmarks.studio_load", what="the benchmark")
studio = import_from_checkout("apps.studio", what="the studio")


@pytest.fixture(scope="module")
def url(tiny_folder):
    with studio.serve(studio.Models([tiny_folder], shipped=False), studio.Options(port=free_port())) as page:
        yield page.local_url.rstrip("/")


@pytest.mark.slow
def test_the_figures_of_a_crowd_can_be_taken(url):
    figures = benchmark.time_crowd(url, os.getpid(), posts=30, cancels=1, requests=8)
    assert [figure.limit for figure in figures] == [1.0, 2.0, 30.0]
    assert all(sample > 0 for figure in figures[:2] for sample in figure.samples)


@pytest.mark.slow
def test_an_answer_that_is_neither_an_image_nor_busy_is_an_error(url, monkeypatch):
    monkeypatch.setattr(load, "PROMPT", "x" * 1001)
    with pytest.raises(RuntimeError, match="of 2 posts at once some were answered error"):
        load.seconds_to_busy(url, count=2)


def test_every_figure_stands_beside_its_limit():
    figures = (benchmark._seconds("page opens", [1.0, 2.0, 3.0], limit=5.0, words="W10"),)
    report = benchmark.StudioReport(figures=figures, remarks=("a quiet machine",))
    text = render(report, circumstances("python -m benchmarks.studio", device="cpu"))
    assert "| page opens |  2.00 s (1.00–3.00) | ≤ 5.00 s (W10) | yes |" in text
    assert "- a quiet machine" in text
    assert report.values()["figures"][0]["samples"] == (1.0, 2.0, 3.0)

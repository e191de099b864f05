"""The measurements of the panels run from end to end; what they find is the machine's matter, and not judged here."""

import pytest

from ldm_lab.cli.checkout import import_from_checkout

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_every_figure_is_taken(browser, lab_url, tiny_folder):
    panels = import_from_checkout("benchmarks.panels", what="the measurement of panels")
    url, folder = lab_url
    some = {name: panels.OPENINGS[name] for name in ("Generate", "Trajectory")}
    report = panels.measure(browser, url, folder, model=str(tiny_folder), rounds=1, openings=some)
    assert [len(figure.samples) for figure in report.figures] == [1] * 5
    assert all(figure.median > 0 for figure in report.figures[:3])
    assert list(report.panels) == list(some)
    for kept in report.panels.values():
        assert kept.opening.median > 0
        assert 1_000 < kept.num_bytes < 1_000_000  # its state and a small picture, and no heavy bytes


def test_every_panel_is_opened():
    panels = import_from_checkout("benchmarks.panels", what="the measurement of panels")
    widgets = pytest.importorskip("ldm_lab.widgets")
    known = {getattr(widgets, name).title for name in widgets.__all__ if name.endswith("Panel") and name != "Panel"}
    assert set(panels.OPENINGS) == known

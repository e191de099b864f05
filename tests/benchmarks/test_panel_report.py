"""The table of the panels' figures; that they can be taken at all is tried in tests/browser."""

import re

from ldm_lab.cli.checkout import import_from_checkout
from ldm_lab.evaluation.report import circumstances, render

report = import_from_checkout("benchmarks.panel_report", what="the report on panels")
Figure, Kept, PanelReport = report.Figure, report.Kept, report.PanelReport

STROKE = Figure(title="stroke", samples=(30.0, 21.4, 90.0), limit=30.4, words="kernel")


def test_the_median_is_judged_to_the_digits_that_are_told():
    assert (STROKE.median, STROKE.is_met) == (30.0, True)
    assert STROKE.cells() == ("stroke", "30 ms (21–90)", "≤ 30 ms (kernel)", "yes")
    rate = Figure(title="previews", samples=(10.04,), unit="/s", digits=1, limit=10.0, words="budget")
    assert rate.cells() == ("previews", "10.0 /s (10.0–10.0)", "≤ 10.0 /s (budget)", "yes")
    late = Figure(title="late", samples=(10.06,), unit="/s", digits=1, limit=10.0, words="budget")
    assert late.cells()[-1] == "no"


def test_where_nothing_was_asked_for_nothing_is_judged():
    opening = Figure(title="Generate", samples=(400.0, 500.0))
    assert opening.is_met is None
    assert opening.cells() == ("Generate", "450 ms (400–500)", "–", "–")


def test_the_report_has_a_line_for_each_figure_and_each_panel():
    panels = {"Generate": Kept(opening=Figure(title="Generate", samples=(400.0,)), num_bytes=12_345)}
    found = PanelReport(figures=(STROKE,), panels=panels, remarks=("a quiet machine",))
    text = re.sub(" +", " ", render(found, circumstances("python -m benchmarks.panels", device="cpu")))
    assert "| stroke | 30 ms (21–90) | ≤ 30 ms (kernel) | yes |" in text
    assert "| Generate | 400 ms (400–400) |" in text
    assert "- a quiet machine" in text
    assert found.values()["panels"]["Generate"]["num_bytes"] == 12_345

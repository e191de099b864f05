"""Every control has a name, and every picture words, for those who do not see them."""

import ipywidgets
import pytest
from ipywidgets.widgets import widget as registry
from ipywidgets.widgets.widget_description import DescriptionWidget

from ldm_lab import widgets
from ldm_lab.evaluation import one_picture
from ldm_lab.tasks import TextToImageSettings
from ldm_lab.widgets.browser_view import BrowserView

TIMEOUT_SEC = 120
PROSE = (ipywidgets.HTML, ipywidgets.Label)
SETTINGS = TextToImageSettings.of(prompt="a red circle", num_steps=2, sampler="ddim", seeds=[1, 2])
OPENED = {
    "CodebookPanel": lambda run: {},
    "CompressionPanel": lambda run: {},
    "GeneratePanel": lambda run: {"run": run},
    "GridPanel": lambda run: {"folder": None},
    "GuidancePanel": lambda run: {"run": run},
    "InpaintPanel": lambda run: {},
    "LatentInspectorPanel": lambda run: {"source": run},
    "LayoutPanel": lambda run: {},
    "LinkedMicroscopePanel": lambda run: {"run": run},
    "RewindPanel": lambda run: {"run": run},
    "RunComparePanel": lambda run: {"runs": [run, run]},
    "SampleMapPanel": lambda run: {"sources": run},
    "TrainingPanel": lambda run: {},
    "TrajectoryPanel": lambda run: {"run": run},
    "WalkPanel": lambda run: {},
}


def is_nameless(widget):
    if isinstance(widget, BrowserView):
        return 'model.get("label")' in widget._esm and not widget.label
    is_control = isinstance(widget, ipywidgets.Button | DescriptionWidget) and not isinstance(widget, PROSE)
    return is_control and not (widget.description or widget.tooltip)


@pytest.fixture
def opened(session, open_widgets, monkeypatch, tmp_path):
    """Opens a panel, and gives the widgets that are on the screen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(one_picture, "_lpips_network", lambda: None)
    run = session.submit(SETTINGS).result()

    def open(name):
        before = open_widgets()
        panel = getattr(widgets, name)(session, **OPENED[name](run))
        assert panel.wait(TIMEOUT_SEC)
        shown = [registry._instances[each] for each in open_widgets() - before]
        return panel, shown

    return open


@pytest.mark.parametrize("name", OPENED)
def test_everything_on_a_panel_has_a_name(opened, name):
    panel, shown = opened(name)
    assert [each for each in shown if is_nameless(each)] == []
    assert not any(isinstance(each, ipywidgets.Image) for each in shown)  # which has no place for words
    panel.close()


def test_what_has_none_is_found():
    named, nameless = ipywidgets.Dropdown(tooltip="Which"), ipywidgets.Dropdown()
    assert (is_nameless(named), is_nameless(nameless)) == (False, True)
    assert is_nameless(widgets.PlotView())
    assert not is_nameless(widgets.PlotView(label="Loss over the steps"))


def test_every_panel_is_looked_at():
    assert set(OPENED) == {name for name in widgets.__all__ if name.endswith("Panel")} - {"Panel"}

import dataclasses

import ipywidgets
import pytest

from ldm_lab.core.config import setting
from ldm_lab.core.errors import ConfigError, RequestError
from ldm_lab.tasks import ClassToImageSettings, TextToImageSettings
from ldm_lab.widgets import SettingsForm
from ldm_lab.widgets.controls import Control, label_of, offer

START = TextToImageSettings.of(
    prompt="a star", seeds=[3, 4], num_steps=20, sampler="ddim", guidance_scale=3.5, guidance_interval=(0.0, 1.0)
)
FIELDS = ("prompt", "seeds", "num_steps", "sampler", "guidance_scale", "guidance_interval")


@pytest.fixture
def form():
    return SettingsForm(START, fields=FIELDS)


def test_it_says_what_it_was_given(form):
    assert form.read() == START


def test_what_is_set_is_read(form):
    form.controls["prompt"].widget.value = "a blue star"
    form.controls["seeds"].widget.value = "5, 6 7"
    form.controls["num_steps"].widget.value = 12
    form.controls["sampler"].widget.value = "euler"
    form.controls["guidance_scale"].widget.value = 6.0
    form.controls["guidance_interval"].widget.value = (0.2, 0.8)
    assert form.read() == dataclasses.replace(
        START,
        prompt="a blue star",
        seeds=(5, 6, 7),
        num_steps=12,
        sampler="euler",
        guidance_scale=6.0,
        guidance_interval=(0.2, 0.8),
    )


def test_limits_step_choices_and_help_are_those_of_the_field(form):
    scale = form.controls["guidance_scale"].widget
    assert isinstance(scale, ipywidgets.FloatSlider)
    assert (scale.min, scale.max, scale.step) == (0.0, 50.0, 0.5)
    steps = form.controls["num_steps"].widget
    assert isinstance(steps, ipywidgets.BoundedIntText)  # a slider of a thousand places cannot be set exactly
    assert (steps.min, steps.max) == (1, 1000)
    sampler = form.controls["sampler"].widget
    assert "dpm++2m" in dict(sampler.options)
    for name in FIELDS:
        field = next(field for field in dataclasses.fields(START) if field.name == name)
        assert form.controls[name].widget.tooltip == field.metadata["help"]
        assert form.controls[name].widget.description == label_of(name)


def test_fields_without_a_control_stay(form):
    form.show(dataclasses.replace(START, negative_prompt="green"))
    assert form.read().negative_prompt == "green"


@pytest.mark.parametrize(("typed", "sentence"), [("5, x", "seeds is '5, x'"), ("", "there are 0 seeds")])
def test_what_is_not_accepted_is_refused_in_a_sentence(form, typed, sentence):
    form.controls["seeds"].widget.value = typed
    with pytest.raises(RequestError, match=sentence):
        form.read()


def test_what_a_control_cannot_show_is_said(form):
    form.controls["sampler"] = Control(ipywidgets.Dropdown(options=["ddim"]))
    with pytest.raises(RequestError, match="the form cannot show 'euler' as sampler"):
        form.show(dataclasses.replace(START, sampler="euler"))


def test_choices_of_a_model_are_offered():
    form = SettingsForm(ClassToImageSettings.of(label="star"), fields=("label",), choices={"label": ["circle", "star"]})
    assert [word for word, _ in form.controls["label"].widget.options] == ["none", "circle", "star"]
    assert form.read().label == "star"


def test_where_none_is_accepted_a_word_is_chosen_and_no_blank():
    """The browser shows a blank where the index is None."""
    asked = ClassToImageSettings.of(label=None)
    form = SettingsForm(asked, fields=("label", "sampler"), choices={"label": ["circle", "star"]})
    widgets = [form.controls[name].widget for name in ("label", "sampler")]
    assert [(widget.index, widget.label) for widget in widgets] == [(0, "none"), (0, "recommended")]
    assert form.read() == asked
    widgets[0].set_state({"index": 2})
    assert form.read().label == "star"
    widgets[0].set_state({"index": 0})
    assert form.read().label is None


def test_changes_are_told(form):
    heard = []
    form.observe(lambda: heard.append(form.read().num_steps))
    form.controls["num_steps"].widget.value = 9
    assert heard == [9]


def test_a_field_without_a_control_is_said():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Odd:
        shape: complex = setting(1j, help="Of no kind that has a control.")

    with pytest.raises(ConfigError, match="there is no control for shape"):
        SettingsForm(Odd(), fields=("shape",))


def test_other_options_begin_with_the_first_and_the_browser_hears_of_it():
    dropdown = ipywidgets.Dropdown(options=[("a", 1), ("b", 2)])
    heard = []
    dropdown.observe(lambda change: heard.append(change.new), "index")
    offer(dropdown, [("c", 3), ("d", 4)])
    assert (dropdown.value, dropdown.index) == (3, 0)
    assert heard[-2:] == [None, 0]
    offer(dropdown, [])
    assert dropdown.value is None

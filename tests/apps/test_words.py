"""What reaches the reader: text stays text, and errors are sentences that tell nothing of the machine."""

import logging

import gradio as gr
import pytest

from apps.studio import markup
from apps.studio.sentences import FAULTY_MODEL, UNEXPECTED, explained
from ldm_lab.core.errors import CheckpointError, RequestError
from ldm_lab.viz import Sprites

INERT = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "<a href='javascript:alert(1)'>x</a>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "&lt;script&gt;",
    "${alert(1)}",
    "{{constructor.constructor('alert(1)')()}}",
    "<style>*{display:none}</style>",
    "<details open ontoggle=alert(1)>",
    "<math><mtext></mtext></math>",
    "'; alert(1); //",
]


@pytest.mark.parametrize("text", INERT)
def test_what_was_typed_stays_text(text):
    sprites = Sprites(b"", 1, (0,), 8, 8)
    shown = [
        markup.empty(text),
        markup.status(text, [text]),
        markup.facts({text: text}),
        markup.preview(b"", alt=text),
        markup.scrubber(sprites, [text], alt=text),
    ]
    for page in shown:
        assert "<script" not in page
        assert "<img src=x" not in page
        assert "<svg" not in page
        assert "<iframe" not in page
        assert "<style" not in page
        assert "<details" not in page
        assert "<a " not in page


def raises(error):
    def function():
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RequestError("prompt is <b>"), "Prompt is &lt;b&gt;"),
        (RequestError("num_steps is 0"), "num_steps is 0"),
        (CheckpointError("/home/somebody/secret is damaged"), FAULTY_MODEL),
        (RuntimeError("/home/somebody/secret"), UNEXPECTED),
        (KeyError("x"), UNEXPECTED),
    ],
)
def test_errors_become_one_sentence(error, sentence):
    with pytest.raises(gr.Error) as raised:
        explained(raises(error))()
    assert raised.value.message == sentence
    assert raised.value.__cause__ is None


def test_a_generator_is_explained_as_well_and_can_be_closed():
    ended = []

    def generator():
        try:
            yield 1
            raise RequestError("no")
        finally:
            ended.append(True)

    wrapped = explained(generator)
    with pytest.raises(gr.Error, match="No"):
        list(wrapped())
    begun = wrapped()
    next(begun)
    begun.close()
    assert ended == [True, True]


def test_our_own_errors_leave_no_trace_in_the_log_and_others_do(caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(gr.Error):
        explained(raises(RequestError("the prompt 'a secret'")))()
    assert caplog.text == ""
    with pytest.raises(gr.Error):
        explained(raises(RuntimeError("bad")))()
    assert "RuntimeError: bad" in caplog.text

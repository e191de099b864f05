import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_lab.core.errors import RequestError
from ldm_lab.core.prompts import MAX_PROMPT_CHARACTERS, clean_prompt


@pytest.mark.parametrize("prompt", ["", "a red circle", "赤い円", "👩‍🚀 on the 🌙", "two\nlines\tand a tab", "ʇxǝʇ"])
def test_text_passes_unchanged(prompt):
    assert clean_prompt(prompt) == (prompt, [])


def test_control_characters_are_removed_with_a_note():
    assert clean_prompt("a\x00 red\x1b cir\x9bcle") == (
        "a red circle",
        ["3 control characters removed from the prompt"],
    )
    assert clean_prompt("\x00") == ("", ["1 control character removed from the prompt"])


def test_composed_and_decomposed_letters_become_equal():
    assert clean_prompt("cafe\u0301")[0] == clean_prompt("caf\u00e9")[0] == "caf\u00e9"


def test_blanks_around_a_prompt_do_not_count():
    assert clean_prompt(" \n ") == ("", [])


@pytest.mark.parametrize(("value", "kind"), [(None, "NoneType"), (3, "int"), (b"red", "bytes"), (["red"], "list")])
def test_other_types_are_refused_by_name(value, kind):
    with pytest.raises(RequestError, match=rf"of type {kind}; give a string"):
        clean_prompt(value)


def test_length_limit_is_exact():
    assert clean_prompt("a" * MAX_PROMPT_CHARACTERS)[0] == "a" * MAX_PROMPT_CHARACTERS
    with pytest.raises(RequestError, match="prompt has 1001 characters; at most 1000"):
        clean_prompt("a" * 1001)


def test_lone_surrogates_are_refused():
    with pytest.raises(RequestError, match=r"U\+D83D"):
        clean_prompt("a \ud83d b")


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=MAX_PROMPT_CHARACTERS + 5))
def test_every_string_is_cleaned_once_for_all_or_refused(prompt):
    try:
        text, _ = clean_prompt(prompt)
    except RequestError:
        assert len(prompt) > MAX_PROMPT_CHARACTERS or any(unicodedata.category(letter) == "Cs" for letter in prompt)
        return
    text.encode("utf-8")
    assert unicodedata.is_normalized("NFC", text)
    assert "\x00" not in text
    assert clean_prompt(text[:MAX_PROMPT_CHARACTERS])[1] == []

"""What counts as a prompt: the one rule for sentences typed, read from a caption file, or sent to the web page."""

import unicodedata

from ldm_lab.core.errors import RequestError

MAX_PROMPT_CHARACTERS = 1000
_WHITESPACE = "\t\n\r"  # control characters that separate words rather than hide between them


def clean_prompt(prompt: object) -> tuple[str, list[str]]:
    """Bring a prompt into its canonical form: Unicode NFC, no control characters, no blanks around it.

    Emoji and all scripts pass unchanged. An empty result means "no condition".

    Returns:
        The prompt, and one sentence for each thing that was taken out.

    Raises:
        RequestError: If it is no string, has more than 1,000 characters, or contains lone surrogates.
    """
    text = _checked(prompt)
    kept = "".join(letter for letter in text if letter in _WHITESPACE or unicodedata.category(letter) != "Cc")
    removed = len(text) - len(kept)
    notes = [f"{removed} control character{'s' * (removed > 1)} removed from the prompt"] if removed else []
    return unicodedata.normalize("NFC", kept).strip(), notes


def _checked(prompt: object) -> str:
    if not isinstance(prompt, str):
        raise RequestError(
            f"prompt is {prompt!r} of type {type(prompt).__name__}; give a string, the empty one for no condition"
        )
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        raise RequestError(f"prompt has {len(prompt)} characters; at most {MAX_PROMPT_CHARACTERS} are read, shorten it")
    surrogate = next((letter for letter in prompt if unicodedata.category(letter) == "Cs"), None)
    if surrogate is not None:
        raise RequestError(f"prompt contains the lone surrogate U+{ord(surrogate):04X}, which is not text; remove it")
    return prompt

"""Which tokens of a context are which word of the prompt, so that a heat map belongs to a word."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ldm_lab.conditioning.conditioner import Conditioner
from ldm_lab.conditioning.tokenizer import tokenize
from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.tasks.weights import read_weights


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a prompt, or a punctuation mark.

    Attributes:
        text: As it is written.
        start: Its first letter in the prompt as the encoder reads it, without weights.
        tokens: Positions of its tokens in the context; several if the tokenizer cuts words into pieces.
    """

    text: str
    start: int
    tokens: tuple[int, ...]


def words_of(conditioner: Conditioner, prompt: str) -> list[Word]:
    """The words of a prompt that a text encoder reads, in order; words that are cut off are not among them.

    Args:
        conditioner: A text transformer.
        prompt: May hold weights, ``(red:1.4)``.

    Raises:
        RequestError: If the conditioner does not tell which tokens words become, or it is no prompt.
    """
    tokenizer = getattr(conditioner, "tokenizer", None)
    if tokenizer is None:
        raise RequestError(
            f"a {type(conditioner).__name__} does not tell which tokens words become; use a model with a text "
            "transformer of its own"
        )
    text = read_weights(prompt).text
    (encoding,) = tokenize(tokenizer, [text])
    pieces: dict[int, list[int]] = {}
    for position, word in enumerate(encoding.word_ids):
        if word is not None:
            pieces.setdefault(word, []).append(position)
    return [_word(text, encoding.offsets, positions) for positions in pieces.values()]


def heat_map_of(word: Word, maps: Tensor) -> Tensor:
    """The heat map of a word: the mean over its tokens, as in DAAM's code.

    Args:
        word: From ``words_of``.
        maps: Of all tokens, from ``heat_maps`` or of one layer group. (B, M, h, w)

    Returns:
        (B, h, w)

    Raises:
        ShapeError: If there are fewer maps than tokens.
    """
    if maps.ndim != 4 or maps.shape[1] <= max(word.tokens):
        raise ShapeError(
            f"maps have shape {tuple(maps.shape)}; {word.text!r} needs (batch, tokens, height, width) with more than "
            f"{max(word.tokens)} tokens"
        )
    return maps[:, list(word.tokens)].mean(1)


def _word(text: str, offsets: Sequence[tuple[int, int]], positions: list[int]) -> Word:
    start, stop = offsets[positions[0]][0], offsets[positions[-1]][1]
    return Word(text[start:stop], start, tuple(positions))

r"""Weights on words: ``a (red:1.4) circle`` makes the context tokens of "red" 1.4 times as long.

The rule: an opening parenthesis, words that hold no parenthesis and no colon and neither begin nor end with a blank, a
colon, a number such as 1.4 or 0.5 or 2, a closing parenthesis. Everything else is text as it stands, other parentheses
included; a backslash before the opening one, ``\(red:1.4)``, makes this text too, without the backslash.

The encoder reads the sentence without the marks. Of the tokens that it gives back, those of the words are multiplied by
the number; 1 changes nothing. A vector of the whole sentence, where the encoder gives one, stays as it is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ldm_lab.conditioning import Conditioning
from ldm_lab.conditioning.tokenizer import tokenize
from ldm_lab.core.errors import RequestError
from ldm_lab.core.prompts import clean_prompt
from ldm_lab.model import LatentDiffusion

MAX_WEIGHT = 3.0

_MARK = re.compile(r"(?P<literal>\\)?\((?P<words>[^\s():](?:[^():]*[^\s():])?):(?P<weight>\d+(?:\.\d+)?)\)")


@dataclass(frozen=True, slots=True)
class Weighted:
    """A sentence without its marks.

    Attributes:
        text: What the encoder reads, in canonical form.
        weights: (begin, end, weight) of every marked stretch of ``text``.
    """

    text: str
    weights: tuple[tuple[int, int, float], ...] = ()


def read_weights(prompt: str) -> Weighted:
    """Take the marks out of a sentence.

    Raises:
        RequestError: If it is no prompt, or a weight is out of range.
    """
    prompt = clean_prompt(prompt)[0]
    text, weights, done = "", [], 0
    for mark in _MARK.finditer(prompt):
        text += prompt[done : mark.start()]
        done = mark.end()
        if mark["literal"]:
            text += mark[0][1:]
            continue
        weights.append((len(text), len(text) + len(mark["words"]), _checked(mark)))
        text += mark["words"]
    return Weighted(text + prompt[done:], tuple(weights))


def encode_prompts(model: LatentDiffusion, prompts: Sequence[str]) -> Conditioning:
    """Encode sentences with weights on their words.

    Raises:
        RequestError: If words have weights and the encoder does not tell which tokens they are.
    """
    sentences = [read_weights(prompt) for prompt in prompts]
    cond = model.condition([sentence.text for sentence in sentences])
    if not any(sentence.weights for sentence in sentences):
        return cond
    tokenizer = getattr(model.conditioner, "tokenizer", None)
    if tokenizer is None:
        raise RequestError(
            f"the prompt weighs {_first_words(sentences)!r}, but this model's text encoder does not tell which tokens "
            "words become; use a model with a text transformer of its own, or write \\( for a parenthesis"
        )
    encodings = tokenize(tokenizer, [sentence.text for sentence in sentences])
    rows = [_factors(each.weights, code.offsets) for each, code in zip(sentences, encodings, strict=True)]
    return replace(cond, context=cond.context * torch.stack(rows).to(cond.context)[..., None])  # (B, N, D)


def _factors(weights: Sequence[tuple[int, int, float]], offsets: Sequence[tuple[int, int]]) -> Tensor:
    """The factor of each token, from the stretches of text that they cover. (N,)"""
    factors = torch.ones(len(offsets))
    for begin, end, weight in weights:
        covered = [first < end and last > begin for first, last in offsets]
        factors[torch.tensor(covered)] = weight
    return factors


def _checked(mark: re.Match[str]) -> float:
    weight = float(mark["weight"])
    if weight > MAX_WEIGHT:
        raise RequestError(
            f"the weight of {mark['words']!r:.80} is {mark['weight']:.20}; it must be from 0 to {MAX_WEIGHT:g}"
        )
    return weight


def _first_words(sentences: Sequence[Weighted]) -> str:
    (begin, end, _), text = next((weight, each.text) for each in sentences for weight in each.weights)
    return text[begin:end]

"""Grounding: while a text model learns to draw, its encoder also learns to say what each name in a caption refers to.

Denoising alone taught the text model of the built-in world its colours within 20,000 images, but no word of place ("at
the top", "left of") within 130,000: what the encoder makes of such a word and what the UNet does with it are worth
nothing without each other. A data set that has boxes beside its captions can teach the encoder directly, and every name
in a caption then carries its place to cross-attention.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldm_lab.conditioning.record import Conditioning
from ldm_lab.conditioning.tokenizer import Tokenizer
from ldm_lab.core.errors import DataError
from ldm_lab.core.layout import Layout, LayoutObject
from ldm_lab.data.source import ImageSource, vocabularies

Target = dict[str, Tensor]


class Names:
    """The names that objects of a data set have, and which tokens are names.

    Args:
        words: From ``words_of``.
        tokenizer: Of the text encoder; a name that it cuts into pieces is not grounded.

    Raises:
        DataError: If no name is a token.
    """

    def __init__(self, words: Sequence[str], tokenizer: Tokenizer) -> None:
        self.words = tuple(words)
        self.number_of_token = torch.full((tokenizer.get_vocab_size(),), -1)
        for number, word in enumerate(self.words):
            token = tokenizer.token_to_id(word)
            if token is not None:
                self.number_of_token[token] = number
        if (self.number_of_token < 0).all():
            raise DataError(f"no caption has a name of an object in it, such as {words[0]!r}; grounding needs some")

    def __len__(self) -> int:
        return len(self.words)

    def referents(self, layout: Layout) -> dict[int, LayoutObject]:
        """The object that a name refers to, by the name's number; names of several objects refer to none."""
        found: dict[int, list[LayoutObject]] = {}
        for item in layout:
            for word in set(item.names):
                found.setdefault(self.words.index(word), []).append(item)
        return {number: items[0] for number, items in found.items() if len(items) == 1}


def words_of(source: ImageSource, *, weight: str) -> list[str]:
    """All names in the boxes of a data set, each once.

    Args:
        source: The data set.
        weight: Which weight asks for them.

    Raises:
        DataError: If it has no boxes.
    """
    found = vocabularies(source)
    if found is None:
        raise DataError(f"{weight} is above 0, but the data set has no boxes; add them to its metadata, or make it 0")
    return list(dict.fromkeys(word for words in found for word in words))


def grounding_target(tokens: Tensor, layouts: Sequence[Layout], names: Names) -> Target:
    """What the tokens of captions should tell.

    Args:
        tokens: Of each caption. (B, N)
        layouts: Objects and boxes of each picture.
        names: What objects are called.

    Returns:
        ``refers`` (B, N): 1 for tokens that name one object of the picture, 0 elsewhere. For those, ``name`` (B, N):
        the number of the name; ``places`` (B, N, 2): the centre of the object's box, from -1 to 1 over the image, right
        and down; ``called`` (B, N, V): 1 for all its names.
    """
    target = {
        "name": names.number_of_token[tokens].clamp(min=0),
        "refers": torch.zeros(tokens.shape),
        "places": torch.zeros(*tokens.shape, 2),
        "called": torch.zeros(*tokens.shape, len(names)),
    }
    for row, (numbers, layout) in enumerate(zip(names.number_of_token[tokens].tolist(), layouts, strict=True)):
        referents = names.referents(layout)
        for place, number in enumerate(numbers):
            if number in referents:
                _tell(target, (row, place), referents[number], names)
    return target


class Grounding(nn.Module):
    """Reads from every token that is a name where its object is and what else it is called, and places from the vector.

    Linear maps, so that tokens and vector themselves have to hold the answer, and the UNet finds it there.

    Args:
        width: Of a token.
        num_names: How many names there are.
        vector_width: Of the vector; None: the encoder gives none.
    """

    def __init__(self, width: int, num_names: int, *, vector_width: int | None = None) -> None:
        super().__init__()
        self.read_tokens = nn.Linear(width, 2 + num_names)
        self.read_vector = None if vector_width is None else nn.Linear(vector_width, 2 * num_names)

    def forward(self, cond: Conditioning, target: Target) -> Tensor:
        """Squared distance of the places, plus cross-entropy of the names, averaged over the tokens that refer.

        Args:
            cond: What the encoder made of captions: context (B, N, D), and a vector (B, E) if there is one.
            target: From ``grounding_target``.

        Returns:
            A scalar; 0 if no token refers to anything.
        """
        answer = self.read_tokens(cond.context).float()  # (B, N, 2 + V)
        error = _distance(answer[..., :2], target)  # (B, N)
        error = error + F.binary_cross_entropy_with_logits(answer[..., 2:], target["called"], reduction="none").mean(-1)
        if self.read_vector is not None:
            error = error + _distance(self._places_in(cond.vector, target["name"]), target)
        return (error * target["refers"]).sum() / target["refers"].sum().clamp(min=1)

    def _places_in(self, vector: Tensor, name: Tensor) -> Tensor:
        """What the vector (B, E) says of the places of names (B, N). (B, N, 2)"""
        places = self.read_vector(vector).float().unflatten(1, (-1, 2))  # (B, V, 2)
        return places.gather(1, name[..., None].expand(-1, -1, 2))


def _distance(places: Tensor, target: Target) -> Tensor:
    """Squared distance from the centres of boxes. (B, N, 2) → (B, N)"""
    return (places - target["places"]).square().sum(-1)


def _tell(target: Target, where: tuple[int, int], item: LayoutObject, names: Names) -> None:
    left, top, right, bottom = item.box
    target["refers"][where] = 1.0
    target["places"][where] = torch.tensor([left + right - 1.0, top + bottom - 1.0])
    target["called"][where][[names.words.index(word) for word in item.names]] = 1.0

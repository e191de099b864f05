"""What tasks ask that work with any model: a sentence if it reads text, a class if it reads labels."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.config import setting
from ldm_lab.core.errors import RequestError
from ldm_lab.core.prompts import clean_prompt
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Guidance
from ldm_lab.tasks.kinds import CLASS, TEXT, UNCONDITIONAL, Kind, require
from ldm_lab.tasks.plan import each_for_all, guidance_away_from
from ldm_lab.tasks.settings import GuidedSettings
from ldm_lab.tasks.text import text_notes
from ldm_lab.tasks.weights import encode_prompts, read_weights


@dataclass(frozen=True, kw_only=True)
class AnyModelSettings(GuidedSettings):
    """Settings of a task that takes a model of text, of classes, or without a condition."""

    prompt: str = setting("", help="For a text model: what the images shall show; empty: no condition.")
    negative_prompt: str = setting("", help="For a text model: what guidance moves away from.")
    label: int | str | None = setting(None, help="For a class model: number or name of the class; None: no class.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for prompt in (self.prompt, self.negative_prompt):
            read_weights(prompt)

    def resolved(self, **known: Any) -> Self:
        """As for every task, and prompts in canonical form."""
        prompts = {name: clean_prompt(getattr(self, name))[0] for name in ("prompt", "negative_prompt")}
        return dataclasses.replace(super().resolved(**known), **prompts)

    def notes_on(self, resolved: Self) -> list[str]:
        """What was taken out of the prompts."""
        notes = [*super().notes_on(resolved), *clean_prompt(self.prompt)[1], *clean_prompt(self.negative_prompt)[1]]
        return list(dict.fromkeys(notes))

    @property
    def title(self) -> str:
        """The task and what the images shall show."""
        wish = self.prompt or ("" if self.label is None else f"class {self.label}")
        return f"{super().title}: {wish}" if wish else super().title


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Wish:
    """What the images shall show, as the walk takes it.

    Attributes:
        cond: Condition of each image; None for an unconditional model.
        guidance: How it is exaggerated.
        notes: What the network will not see as it was meant.
    """

    cond: Conditioning | None = None
    guidance: Guidance = dataclasses.field(default_factory=Guidance)
    notes: tuple[str, ...] = ()

    def for_images(self, count: int) -> Self:
        """The wish of the first image, for ``count`` of them."""
        guidance = dataclasses.replace(self.guidance, negative=_first(self.guidance.negative, count))
        return dataclasses.replace(self, cond=_first(self.cond, count), guidance=guidance)


def wish_of(model: LatentDiffusion, settings: AnyModelSettings) -> Wish:
    """Encode what the model can read.

    Raises:
        RequestError: If the model is of another kind, or something is asked for that it cannot read.
    """
    kind = require(model, TEXT, CLASS, UNCONDITIONAL, task=settings.task)
    refuse_unread(kind, settings)
    if kind is UNCONDITIONAL:
        return Wish()
    if kind is TEXT:
        encoded = encode_prompts(model, [settings.prompt, settings.negative_prompt])
        notes = text_notes(model, [settings.prompt], settings.negative_prompt)
    else:
        encoded, notes = model.condition([settings.label, None]), ()
    cond, negative = each_for_all(encoded, len(settings.image_names))
    return Wish(cond=cond, guidance=guidance_away_from(negative, settings), notes=notes)


def refuse_unread(kind: Kind, settings: AnyModelSettings) -> None:
    """Refuse a wish that a kind of model cannot read.

    Raises:
        RequestError: Naming it.
    """
    unread = {"prompt": kind is not TEXT, "negative_prompt": kind is not TEXT, "label": kind is not CLASS}
    for name, is_unread in unread.items():
        value = getattr(settings, name)
        if is_unread and value not in ("", None):
            raise RequestError(f"{name} is {value!r:.80}, but this model is {kind.words}; leave it out")


def _first(cond: Conditioning | None, count: int) -> Conditioning | None:
    """The condition of the first image, ``count`` times."""
    return None if cond is None else cond.select([0]).repeat(count)

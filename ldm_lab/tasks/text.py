"""Text to image: a sentence and a seed for each picture."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ldm_lab.conditioning import Conditioning
from ldm_lab.core.config import setting
from ldm_lab.core.errors import RequestError
from ldm_lab.core.prompts import clean_prompt
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import WHOLE_IMAGE, Condition, ConditionSchedule, check_box
from ldm_lab.tasks.kinds import TEXT, require
from ldm_lab.tasks.plan import Plan, each_for_all, from_noise, guidance_away_from
from ldm_lab.tasks.settings import GuidedSettings
from ldm_lab.tasks.weights import encode_prompts, read_weights


@dataclass(frozen=True, kw_only=True)
class TextToImageSettings(GuidedSettings):
    """Images from a sentence; ``(red:1.4)`` in it puts weight on a word, see ``ldm_lab.tasks.weights``."""

    task: ClassVar[str] = "text_to_image"

    prompt: str = setting(dataclasses.MISSING, help="What the images shall show; empty: no condition.")
    negative_prompt: str = setting("", help="What guidance moves away from; empty: from no condition.")
    later_prompts: tuple[tuple[float, str], ...] = setting(
        (), help="Places and sentences that take over there: 0.4 is a share of the walk, 8 a step, counted from 0."
    )

    guidance_box: tuple[float, float, float, float] = setting(
        WHOLE_IMAGE,
        help="Left, top, right, bottom as shares of the image: where guidance acts.",
        minimum=0.0,
        maximum=1.0,
    )
    guidance_outside: float = setting(1.0, help="Guidance outside of the box.", minimum=0.0, maximum=50.0, step=0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_box(self.guidance_box, name="guidance_box")
        for prompt in (self.prompt, self.negative_prompt, *(prompt for _, prompt in self.later_prompts)):
            read_weights(prompt)
        for place, _ in self.later_prompts:
            if not (0 < place < 1 or (place >= 1 and math.isfinite(place) and place == int(place))):
                raise RequestError(
                    f"later_prompts has the place {place}; give a share of the walk between 0 and 1, or a step from 1"
                )

    def resolved(self, **known: Any) -> Self:
        """As for every task, and prompts in canonical form."""
        resolved = super().resolved(**known)
        prompts = {name: clean_prompt(getattr(self, name))[0] for name in ("prompt", "negative_prompt")}
        later = tuple((place, clean_prompt(prompt)[0]) for place, prompt in self.later_prompts)
        return dataclasses.replace(resolved, later_prompts=later, **prompts)

    def notes_on(self, resolved: Self) -> list[str]:
        """What was taken out of the prompts."""
        prompts = (self.prompt, self.negative_prompt, *(prompt for _, prompt in self.later_prompts))
        return list(dict.fromkeys(note for prompt in prompts for note in clean_prompt(prompt)[1]))

    @property
    def title(self) -> str:
        """The sentence."""
        return self.prompt


def text_to_image(model: LatentDiffusion, settings: TextToImageSettings) -> Plan:
    """Make images of a sentence, or of several that follow each other on the way."""
    require(model, TEXT, task=settings.task)
    later = [prompt for _, prompt in settings.later_prompts]
    encoded = encode_prompts(model, [settings.prompt, settings.negative_prompt, *later])
    first, negative, *others = each_for_all(encoded, len(settings.seeds))
    cond = _in_turn([first, *others], settings)
    guidance = dataclasses.replace(
        guidance_away_from(negative, settings), box=settings.guidance_box, outside=settings.guidance_outside
    )
    return Plan(
        walk=from_noise(model, settings, cond=cond, guidance=guidance),
        notes=text_notes(model, [settings.prompt, *later], settings.negative_prompt),
    )


def text_notes(model: LatentDiffusion, prompts: list[str], negative_prompt: str) -> tuple[str, ...]:
    """What the network will not see as it was meant."""
    empty = [] if any(prompts) else ["the prompt is empty: the images are unconditional"]
    notes = model.conditioner.notes([read_weights(prompt).text for prompt in prompts])
    negative = model.conditioner.notes([read_weights(negative_prompt).text])
    return (*empty, *notes, *(f"negative prompt: {note}" for note in negative))


def _in_turn(conds: list[Conditioning], settings: TextToImageSettings) -> Condition:
    """A schedule of conditions if there are several."""
    if len(conds) == 1:
        return conds[0]
    starts = [0.0]
    for place, prompt in settings.later_prompts:
        starts.append(place if place < 1 else place / settings.num_steps)
        if starts[-1] >= 1:
            raise RequestError(
                f"later_prompts has {prompt!r:.80} from step {int(place)} on, but the walk has {settings.num_steps} "
                f"steps, 0 to {settings.num_steps - 1}"
            )
    return ConditionSchedule(conditions=tuple(conds), starts=tuple(starts))

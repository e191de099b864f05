"""Layout to image: named boxes, and a seed for each picture."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ldm_lab.core.config import setting
from ldm_lab.core.errors import RequestError
from ldm_lab.core.layout import LayoutObject
from ldm_lab.model import LatentDiffusion
from ldm_lab.tasks.kinds import LAYOUT, require
from ldm_lab.tasks.plan import Plan, each_for_all, from_noise, guidance_away_from
from ldm_lab.tasks.settings import GuidedSettings


@dataclass(frozen=True, kw_only=True)
class LayoutToImageSettings(GuidedSettings):
    """Images of a layout: of each object its names, and its box as shares of the image."""

    task: ClassVar[str] = "layout_to_image"

    layout: tuple[LayoutObject, ...] = setting(
        dataclasses.MISSING, help='Objects such as "star red 0.1 0.2 0.5 0.6": names, then left, top, right, bottom.'
    )

    @classmethod
    def of(cls, **values: Any) -> Self:
        """As for every task; an object may be a string, or a pair of its names and its box."""
        layout = values.get("layout")
        if isinstance(layout, str):
            values["layout"] = (read_object(layout),)
        elif isinstance(layout, Sequence):
            values["layout"] = tuple(map(read_object, layout))
        return super().of(**values)

    @property
    def title(self) -> str:
        """The names."""
        return f"layout: {', '.join(' '.join(item.names) for item in self.layout)}"


def layout_to_image(model: LatentDiffusion, settings: LayoutToImageSettings) -> Plan:
    """Make images of a layout."""
    require(model, LAYOUT, task=settings.task)
    cond, negative = each_for_all(model.condition([settings.layout, ()]), len(settings.seeds))
    empty = () if settings.layout else ("the layout is empty: the images are unconditional",)
    return Plan(
        walk=from_noise(model, settings, cond=cond, guidance=guidance_away_from(negative, settings)),
        notes=(*empty, *model.conditioner.notes([settings.layout])),
    )


def read_object(given: Any) -> LayoutObject:
    """An object of a layout from "star red 0.1 0.2 0.5 0.6", or from (("star", "red"), (0.1, 0.2, 0.5, 0.6)).

    Raises:
        RequestError: If it is neither, or its box lies outside of the image or is inverted.
    """
    if isinstance(given, LayoutObject):
        return given
    if isinstance(given, str):
        *names, left, top, right, bottom = ["", "", "", "", *given.split()]
        given = [name for name in names if name], (left, top, right, bottom)
    try:
        names, box = given
        left, top, right, bottom = map(float, box)
        return LayoutObject(tuple(names.split() if isinstance(names, str) else names), (left, top, right, bottom))
    except (TypeError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            f"an object of the layout is {given!r:.80}; give its names and its box, such as 'star red 0.1 0.2 0.5 0.6'"
        ) from error

"""The recipe of stage 2, and how its open ends are closed by the data."""

from dataclasses import dataclass, field, replace
from typing import Literal

from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.conditioning import ConditionerConfig, TextTransformerConfig
from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import ConfigError
from ldm_lab.data.degradations import Degradation
from ldm_lab.data.source import ConditionKind, DataConfig, ImageSource, known_condition
from ldm_lab.diffusion import ObjectiveConfig, ScheduleConfig
from ldm_lab.training.conditioner_choice import (
    CONTEXT_KINDS,
    KIND_OF_CONFIG,
    KIND_OF_TASK,
    Task,
    conditioner_for,
    vector_width,
)
from ldm_lab.training.config import TrainingConfig
from ldm_lab.unet.config import UNetConfig


@dataclass(frozen=True, kw_only=True)
class DiffusionRecipe:
    """Everything that decides how a diffusion model comes out.

    ``conditioner`` may be left open: the name of a task takes from the data what a conditioner of that task needs to
    know (classes, words, sizes), and "from-data" also chooses the task by what is said of the pictures.
    """

    data: DataConfig = field(default_factory=DataConfig)
    first_stage: str = setting("shapes-kl-f4", help="Name of a shipped first stage, or its folder")
    posterior: Literal["sample", "mode"] = setting(
        "sample", help="Learn draws from the posterior, as the reference does, or its mode, without that noise"
    )
    num_examples: int = setting(65_536, help="Examples encoded of an endless data set", minimum=1)
    unet: UNetConfig = field(default_factory=lambda: UNetConfig(head_channels=32))
    conditioner: ConditionerConfig | Literal["from-data"] | Task | None = None
    condition_dropout: float = setting(0.1, help="Share of conditions replaced by none", minimum=0.0, maximum=1.0)
    grounding_weight: float = setting(
        0.0, help="Weight of telling from each name in a caption where its object is; needs boxes", minimum=0.0
    )
    recognition_weight: float = setting(
        0.0, help="Weight of telling from the UNet's features what is drawn where; needs boxes", minimum=0.0
    )
    emphasis_weight: float = setting(
        0.0, help="What one thing counts beside a whole picture where there is little noise; needs boxes", minimum=0.0
    )
    emphatic_names: tuple[str, ...] = setting(
        (), help="Names of things that count three times as much as emphasis_weight says, since they are hard to draw"
    )
    degradation: Degradation = setting("bicubic", help="Super-resolution: how its small images are made")
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    timestep_shift: float = setting(
        1.0,
        help="Above 1, steps with much noise are learned more often, where a picture is laid out; below 1, those with "
        "little, where its outlines are drawn",
        minimum=0.01,
    )
    training: TrainingConfig = field(default_factory=TrainingConfig)
    sheet_guidance: float = setting(3.0, help="Guidance scale of sample sheets and default of the model", minimum=0.0)

    def __post_init__(self) -> None:
        check(self)
        if self.is_fitted and self.condition not in CONTEXT_KINDS | {"none"} and self.condition_dropout > 0:
            raise ConfigError(
                f"condition_dropout is {self.condition_dropout}, but a model of {self.condition} images has no null "
                "condition to put in the place of one; make it 0"
            )
        if self.is_fitted and self.grounding_weight > 0 and not isinstance(self.conditioner, TextTransformerConfig):
            raise ConfigError(
                f"grounding_weight is {self.grounding_weight}, but no text encoder is trained; take a text transformer "
                "as conditioner, or make the weight 0"
            )

        if self.emphatic_names and self.emphasis_weight == 0:
            raise ConfigError(
                f"emphatic_names are {', '.join(self.emphatic_names)}, but emphasis_weight is 0, so that no thing "
                "counts more than its area; give a weight, such as 0.5, or no names"
            )

    @property
    def is_fitted(self) -> bool:
        """Whether nothing is left open."""
        return not isinstance(self.conditioner, str)

    @property
    def condition(self) -> ConditionKind:
        """What is asked of the data set, once nothing is left open."""
        return KIND_OF_CONFIG[type(self.conditioner)]

    @property
    def is_guided(self) -> bool:
        """Whether classifier-free guidance is possible."""
        return self.condition in CONTEXT_KINDS


def fit_to_data(recipe: DiffusionRecipe, source: ImageSource, first_stage: AutoencoderConfig) -> DiffusionRecipe:
    """Close what a recipe leaves open: the conditioner, and how the UNet reads it.

    Raises:
        DataError: If the data set does not say what the task needs.
    """
    if recipe.is_fitted:
        return recipe
    kind = _kind_asked_for(recipe, source)
    conditioner = conditioner_for(source, kind, width=recipe.unet.context_dim, first_stage=first_stage)
    unet = replace(
        recipe.unet,
        context_dim=recipe.unet.context_dim if kind in CONTEXT_KINDS else None,
        vector_dim=vector_width(conditioner),
        in_channels=recipe.unet.out_channels + (conditioner.concat_channels if conditioner else 0),
    )
    dropout = recipe.condition_dropout if kind in CONTEXT_KINDS else 0.0
    return replace(recipe, conditioner=conditioner, unet=unet, condition_dropout=dropout)


def _kind_asked_for(recipe: DiffusionRecipe, source: ImageSource) -> ConditionKind:
    """That of the task, or what the data set says; nothing that a UNet without context could not read."""
    if recipe.conditioner != "from-data":
        return KIND_OF_TASK[recipe.conditioner]  # type: ignore[index]  # nothing else is left open
    known = known_condition(source)
    return "none" if known in CONTEXT_KINDS and recipe.unet.context_dim is None else known

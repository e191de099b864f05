"""What a recipe makes of a latent, before anything is walked."""

from dataclasses import dataclass

from torch import Tensor

from ldm_lab.tasks.branch import Branch
from ldm_lab.tasks.latent_edits import EditedPlace, unnatural_spread


@dataclass(frozen=True, slots=True, eq=False)
class EditPreview:
    """The place where a run is left, edited.

    Attributes:
        before: z_t there; rounded to 16 bits where the trajectory is. fp32 (B, C, h, w)
        after: The same after the recipe.
        warnings: One sentence for each image that the network would not know any more.
    """

    before: Tensor
    after: Tensor
    warnings: tuple[str, ...]


def preview_edit(branch: Branch) -> EditPreview:
    """Apply the recipe of a branch to what its parent saw there.

    Raises:
        RequestError: If an edit does not fit the latents.
    """
    trajectory = branch.parent.trajectory
    before = trajectory[branch.step].z_t.float()
    place = EditedPlace(before=before, seeds=branch.parent.settings.seeds, steps=[step.z_t for step in trajectory])
    after = branch.recipe.apply(place)
    return EditPreview(before, after, tuple(unnatural_spread(before, after)) if branch.recipe else ())

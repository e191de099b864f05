"""Inpainting: a part of a picture made anew, by a model trained for it or, without training, by any other."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor

from ldm_lab.core.config import setting
from ldm_lab.core.images import to_pil, to_uint8
from ldm_lab.core.masks import MaskedPicture, crop_around, fill_hole, latent_mask, paste_back, soften_edge, to_mask
from ldm_lab.core.seeding import sample_noise
from ldm_lab.model import LatentDiffusion
from ldm_lab.sampling import Edit, Resampling, edit_walk, steps_walked
from ldm_lab.tasks.any_model import Wish, refuse_unread, wish_of
from ldm_lab.tasks.from_picture import PictureSettings, encode_picture
from ldm_lab.tasks.kinds import MASKED, kind_of
from ldm_lab.tasks.picture_input import MaskPicture, Picture
from ldm_lab.tasks.plan import Finish, Plan, each_for_all, scheduler_of, walk_of

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; the last two lie outside

ORIGINAL, FILL, NOISE = "original", "fill", "noise"


@dataclass(frozen=True, kw_only=True)
class RepaintSettings(PictureSettings):
    """Settings of a task that repaints a part of a picture and keeps the rest."""

    strength: float = setting(
        1.0, help="Share of the walk: below 1 the part keeps traces of before.", minimum=0.0, maximum=1.0, step=0.05
    )
    num_resamplings: int = setting(
        1, help="RePaint: how often each stretch of the walk is taken; 1 never goes back.", minimum=1, maximum=100
    )
    jump_length: int = setting(10, help="RePaint: steps of a stretch, less than the walk has.", minimum=1, maximum=1000)
    masked_content: str = setting(
        ORIGINAL,
        help="What lies under the mask before the walk, and shows through below strength 1: the picture, the colours "
        "around the mask, or noise.",
        choices=(ORIGINAL, FILL, NOISE),
    )
    mask_blur: int = setting(
        0, help="Pixels over which the new part fades in, inside of the mask's edge.", minimum=0, maximum=64
    )

    @property
    def length(self) -> int:
        """The share that is walked, and what RePaint repeats of it."""
        return steps_walked(self.num_steps, self.strength) * self.num_resamplings


@dataclass(frozen=True, kw_only=True)
class InpaintingSettings(RepaintSettings):
    """A picture of which the white part of a mask is made anew; every other pixel comes back as it was."""

    task: ClassVar[str] = "inpainting"

    mask: MaskPicture = setting(
        dataclasses.MISSING, help="Picture of the same size: white is made anew, black is kept."
    )
    only_masked: bool = setting(False, help="Look at the mask and a margin around it alone, in full resolution.")
    padding: int = setting(8, help="With only_masked: pixels of that margin.", minimum=0, maximum=512)

    def __post_init__(self) -> None:
        super().__post_init__()
        to_mask(self.mask.image, size=self.image.size)  # names both sizes if they differ


def inpainting(model: LatentDiffusion, settings: InpaintingSettings) -> Plan:
    """Make a part of a picture anew."""
    shares = soften_edge(settings.mask.tensor(), width=settings.mask_blur)  # (1, 1, H, W)
    if not settings.only_masked or not shares.any():
        return repaint(model, settings, settings.image, shares)
    box = crop_of(model, settings)
    left, top, right, bottom = box
    part = settings.image.from_image(settings.image.image.crop(box))
    plan = repaint(model, settings, part, shares[..., top:bottom, left:right])
    note = f"only {right - left} x {bottom - top} pixels were looked at, from ({left}, {top}) on"
    return dataclasses.replace(plan, notes=(*plan.notes, note), finish=_putting_back(plan, settings.image, box))


def seen_mask(model: LatentDiffusion, settings: InpaintingSettings) -> tuple[Image.Image, Box]:
    """The mask as the walk sees it, for people to look at: of the latent's cells, those that are repainted.

    Args:
        model: What repaints.
        settings: Resolved.

    Returns:
        White where a cell is repainted, black elsewhere, L, in pixels of the picture; and the part of the picture that
        this is.
    """
    hole = settings.mask.tensor()  # (1, 1, H, W)
    box = (0, 0, *settings.image.size)
    if settings.only_masked and hole.any():
        box = crop_of(model, settings)
    left, top, right, bottom = box
    cells = latent_mask(hole[..., top:bottom, left:right], factor=model.config.autoencoder.downsampling_factor)
    mask = Image.fromarray((255 * cells[0, 0]).byte().numpy())
    return mask.resize((right - left, bottom - top), Image.Resampling.NEAREST), box


def crop_of(model: LatentDiffusion, settings: InpaintingSettings) -> Box:
    """What ``only_masked`` looks at: left, top, right, bottom in pixels.

    The sides are at least those of the model's own images, where the picture is that large.

    Raises:
        ShapeError: If the picture is smaller than the network's smallest image.
    """
    config = model.config
    multiple = config.autoencoder.downsampling_factor * config.unet.side_factor
    hole = settings.mask.tensor()[0]
    return crop_around(hole, padding=settings.padding, least=config.image_size, multiple=multiple)


def repaint(model: LatentDiffusion, settings: RepaintSettings, picture: Picture, shares: Tensor) -> Plan:
    """Make a part of a picture anew, and put the known pixels back.

    A model trained on masked images is told what is visible; for any other the known part of the latent is put back
    after every step (masked sampling, RePaint).

    Args:
        model: Of a kind that inpaints.
        settings: Resolved.
        picture: In the size of the mask.
        shares: How much of each pixel is made anew, from 0 to 1; see ``soften_edge``. (1, 1, H, W)
    """
    hole = (shares > 0).float()  # (1, 1, H, W)
    is_trained = kind_of(model) is MASKED
    wish = _shown(model, settings, picture, hole) if is_trained else wish_of(model, settings)
    content = _with_content(settings, picture, hole)
    z_0, cells = _encoded(model, settings, content, hole)
    resampling = _resampling(settings)
    walk = edit_walk(
        model,
        wish.cond,
        scheduler_of(model, settings),
        Edit(
            z_0=z_0,
            strength=settings.strength,
            mask=None if is_trained and resampling is None else cells,
            resampling=resampling,
        ),
        **walk_of(settings),
        guidance=wish.guidance,
    )
    notes = (*wish.notes, *_mask_notes(shares))
    return Plan(walk=walk, z_0=z_0, notes=notes, finish=_pasting(content, shares))


def _with_content(settings: RepaintSettings, picture: Picture, hole: Tensor) -> Picture:
    """The picture with what lies under the mask before the walk; also of noise the pixels are filled, because the first
    stage mixes what it sees into the cells around it.
    """
    if settings.masked_content == ORIGINAL:
        return picture
    (filled,) = to_pil(fill_hole(picture.tensor(), hole))
    return picture.from_image(filled)


def _encoded(
    model: LatentDiffusion, settings: RepaintSettings, content: Picture, hole: Tensor
) -> tuple[Tensor, Tensor]:
    """The latent where the walk begins (B, C, h, w), and which of its cells are made anew (1, 1, h, w)."""
    z_0 = encode_picture(model, content, num_images=len(settings.seeds))
    cells = latent_mask(hole, factor=content.width // z_0.shape[-1])
    if settings.masked_content == NOISE:
        noise = sample_noise(z_0.shape[1:], settings.seeds, stream="masked content")
        z_0 = torch.where(cells.to(z_0) > 0, noise.to(z_0), z_0)
    return z_0, cells


def _shown(model: LatentDiffusion, settings: RepaintSettings, picture: Picture, hole: Tensor) -> Wish:
    """What a model trained on masked images is told; it reads nothing else."""
    refuse_unread(MASKED, settings)
    masked = MaskedPicture(picture.tensor()[0], hole[0])
    (cond,) = each_for_all(model.condition([masked]), len(settings.seeds))
    return Wish(cond=cond)


def _resampling(settings: RepaintSettings) -> Resampling | None:
    if settings.num_resamplings == 1:
        return None
    return Resampling(jump_length=settings.jump_length, num_resamplings=settings.num_resamplings)


def _mask_notes(shares: Tensor) -> list[str]:
    if not shares.any():
        return ["the mask is empty: the picture comes back as it is"]
    if shares.all():
        return ["the mask covers the whole picture: nothing of it is kept"]
    if shares.max() < 1:
        return [f"no pixel is wholly new, {shares.max():.0%} at most: the mask is narrow for this mask_blur"]
    return []


def _putting_back(plan: Plan, picture: Picture, box: Box) -> Finish:
    """Put the part that was looked at back into the whole picture."""
    original = to_uint8(picture.tensor())  # (1, H, W, 3)
    left, top, right, bottom = box

    def finish(pixels: Tensor) -> tuple[Tensor, list[str]]:
        part, remarks = (pixels, []) if plan.finish is None else plan.finish(pixels)
        whole = original.repeat(len(part), 1, 1, 1)
        whole[:, top:bottom, left:right] = part
        return whole, remarks

    return finish


def _pasting(content: Picture, shares: Tensor) -> Finish:
    """Put the known pixels back, bit for bit, and say how much they would have changed."""
    before = to_uint8(content.tensor())  # (1, H, W, 3)

    def finish(pixels: Tensor) -> tuple[Tensor, list[str]]:
        count = len(pixels)
        pasted, known = paste_back(pixels, before.repeat(count, 1, 1, 1), shares.repeat(count, 1, 1, 1))
        if count == 1:
            return pasted, [known[0].sentence]
        return pasted, [f"image {index}: {each.sentence}" for index, each in enumerate(known)]

    return finish

"""Perceptual distances for stage 1: LPIPS, and two choices that need no file.

LPIPS (Zhang et al. 2018) needs a VGG16 that the ``lpips`` package does not carry. Where it is missing we say which file
belongs where; a stand-in is used only if the config asks for it by name.
"""

from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldm_lab.core.errors import MissingDependencyError

PerceptualKind = Literal["lpips", "random-features", "none"]
VGG_FILE = "vgg16-397923af.pth"


class PerceptualDistance(nn.Module):
    """A frozen network whose features are compared; its weights are no part of any checkpoint."""

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self._features = [features.eval().requires_grad_(False)]  # a list hides it from state_dict and parameters

    def forward(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Distance of image pairs in [-1, 1], averaged over the batch. (B, 3, H, W) twice → ()"""
        return self._features[0](x, x_hat).mean()

    def _apply(self, fn, recurse: bool = True):  # type: ignore[no-untyped-def]
        self._features[0]._apply(fn)
        return super()._apply(fn, recurse)


class RandomFeatures(nn.Module):
    """Distance between features of a small random convolutional network.

    Unit-normalised features of three scales, squared difference, as LPIPS has it but with seeded random filters; it
    sees edges and texture, not meaning.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128), *, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        channels = (3, *widths)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False) for i, o in pairwise(channels))
        for conv in self.convs:
            nn.init.orthogonal_(conv.weight, gain=2**0.5, generator=generator)

    def forward(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """(B, 3, H, W) twice → (B,)"""
        distance = x.new_zeros(len(x))
        for conv in self.convs:
            x, x_hat = F.relu(conv(x)), F.relu(conv(x_hat))
            difference = F.normalize(x, dim=1, eps=1e-6) - F.normalize(x_hat, dim=1, eps=1e-6)
            distance = distance + difference.square().sum(1).mean((1, 2))
        return distance


def build_perceptual(kind: PerceptualKind) -> PerceptualDistance | None:
    """The distance that a config names; None for "none".

    Raises:
        MissingDependencyError: If LPIPS is asked for and the package or its VGG16 weights are not there.
    """
    if kind == "none":
        return None
    return PerceptualDistance(RandomFeatures() if kind == "random-features" else load_lpips())


def load_lpips() -> nn.Module:
    """LPIPS with the VGG16 backbone of the reference, from files that are already on disk.

    Raises:
        MissingDependencyError: Naming the package or the file, and where it belongs.
    """
    path = vgg_path()
    if not path.is_file():
        raise MissingDependencyError(
            f"LPIPS needs torchvision's VGG16 weights, which are not at {path}; put the file {VGG_FILE} there, or "
            'choose perceptual="random-features" or "none"'
        )
    try:
        import lpips
    except ImportError as error:
        raise MissingDependencyError(
            f"LPIPS needs the lpips package ({error}); pip install 'ldm-lab[metrics]'"
        ) from error
    return lpips.LPIPS(net="vgg", verbose=False)


def vgg_path() -> Path:
    """Where torchvision looks for the weights of its VGG16; they need not be there."""
    return Path(torch.hub.get_dir()) / "checkpoints" / VGG_FILE

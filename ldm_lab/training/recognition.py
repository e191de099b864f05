"""Recognition: while a model learns to draw, the features of its UNet also learn to say what is drawn where.

What a word changes in a latent is small beside the noise: that a shape is a star and not a cross lowers the error of a
noisy step by 0.002 of 0.24, and as little is the gradient that teaches the UNet to listen. Asked for the names at every
place, the same features lose two nats wherever they did not. The idea is that of REPA (Yu et al. 2024, "Representation
Alignment for Generation"), with the boxes of a data set in the place of a pretrained encoder.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldm_lab.core.layout import Layout
from ldm_lab.training.cells import cells_of

RARE = -4.0  # logit of a name before anything is learned: it holds at one place in fifty


class Recognition(nn.Module):
    """Reads names at every place of a feature map by a linear map, so that the features themselves have to hold them.

    Features are normalised on the way, since those of a trained UNet are large; the map begins without an opinion.

    Args:
        width: Channels of the feature map.
        num_names: How many names there are.
    """

    def __init__(self, width: int, num_names: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.read = nn.Linear(width, num_names)
        nn.init.zeros_(self.read.weight)
        nn.init.constant_(self.read.bias, RARE)

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of each name, summed over names and averaged over places.

        Args:
            features: (B, C, h, w)
            target: From ``recognition_target``, of the same or of a higher resolution. (B, V, H, W)

        Returns:
            A scalar.
        """
        answer = self.read(self.norm(features.movedim(1, -1))).float()  # (B, h, w, V)
        shares = F.adaptive_avg_pool2d(target, features.shape[2:]).movedim(1, -1)  # (B, h, w, V)
        return F.binary_cross_entropy_with_logits(answer, shares, reduction="none").sum(-1).mean()


def recognition_target(layouts: Sequence[Layout], words: Sequence[str], size: tuple[int, int]) -> Tensor:
    """Where the things of pictures are, by name: 1 at cells whose centre is in the box of something called so, else 0.

    Args:
        layouts: Objects and boxes of each picture.
        words: The names, in order.
        size: Height and width of the result.

    Returns:
        (B, V, h, w)
    """
    target = torch.zeros(len(layouts), len(words), *size)
    for row, layout in enumerate(layouts):
        for item in layout:
            target[row, [words.index(name) for name in item.names]] += cells_of(item.box, size)
    return target.clamp(max=1)


@contextmanager
def outputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """What a module returns while the block lasts, call by call."""
    seen: list[Tensor] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        yield seen
    finally:
        handle.remove()

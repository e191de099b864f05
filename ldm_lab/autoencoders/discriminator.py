"""The patch discriminator of stage 1 (PatchGAN, Isola et al. 2017, section 3.2.2) and its losses."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

AdversarialLoss = Literal["hinge", "vanilla"]


class PatchDiscriminator(nn.Module):
    """Strided 4×4 convolutions; every output judges one patch of the image, real above zero.

    Args:
        channels: Width of the first layer; doubled by each of the next ones up to eight times it.
        num_layers: Layers of stride 2; 3 gives a receptive field of 70 pixels.
    """

    def __init__(self, *, image_channels: int = 3, channels: int = 64, num_layers: int = 3) -> None:
        super().__init__()
        widths = [channels * min(2**level, 8) for level in range(num_layers + 1)]
        layers: list[nn.Module] = [nn.Conv2d(image_channels, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for level in range(1, num_layers + 1):
            stride = 2 if level < num_layers else 1
            conv = nn.Conv2d(widths[level - 1], widths[level], 4, stride=stride, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(widths[level]), nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.initialize_weights()

    def initialize_weights(self) -> None:
        """Convolutions from N(0, 0.02), norm gains from N(1, 0.02), no offsets; as in DCGAN."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) → logits of patches (B, 1, h, w)."""
        return self.main(x)


def discriminator_loss(real: Tensor, fake: Tensor, *, kind: AdversarialLoss) -> Tensor:
    """What the discriminator minimises, from the logits of real and reconstructed patches."""
    if kind == "hinge":
        return 0.5 * (F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean())
    return 0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())


def generator_loss(fake: Tensor) -> Tensor:
    """What the decoder minimises: the negative logit of its patches, for both kinds, as in the reference."""
    return -fake.mean()

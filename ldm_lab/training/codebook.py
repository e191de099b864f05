"""Where a codebook begins."""

import torch
from torch import Tensor

from ldm_lab.autoencoders.autoencoder import Autoencoder


@torch.no_grad()
def begin_on_data(autoencoder: Autoencoder, x: Tensor, *, generator: torch.Generator) -> None:
    """Put the codes of a VQ autoencoder where its encoder's output is, so that none of them is out of reach.

    Codes that start far from every token are never the nearest one and never learn. Places are drawn by the seeding of
    k-means++ (Arthur and Vassilvitskii 2007, section 2.2): each token with a chance that grows with its squared
    distance from the codes so far, so that the many tokens of plain ground get few codes.

    Args:
        autoencoder: With a VQ bottleneck; its codes are changed in place.
        x: Images in [-1, 1]. (B, 3, H, W)
        generator: Which tokens.
    """
    codes = autoencoder.quantize.embedding.weight
    tokens = autoencoder.encode(x).mode().movedim(1, -1).flatten(0, -2)  # (N, C)
    distance = torch.full((len(tokens),), float("inf"))
    chosen = int(torch.randint(len(tokens), (1,), generator=generator))
    for row in range(len(codes)):
        codes[row] = tokens[chosen]
        distance = distance.minimum((tokens - tokens[chosen]).square().sum(1).cpu())
        chances = distance + torch.finfo(distance.dtype).tiny  # also where all tokens have become codes
        chosen = int(torch.multinomial(chances, 1, generator=generator))

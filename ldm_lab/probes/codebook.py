"""The codebook of a VQ first stage: which codes an image is made of, which are like each other, what a code does."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import VQBottleneck, codebook_use
from ldm_lab.core.errors import RequestError


@dataclass(frozen=True, slots=True, eq=False)
class CodebookUsage:
    """How often codes occur.

    Attributes:
        counts: Of each code. (K,)
        usage: Share of codes that occur at all.
        perplexity: exp(entropy) of their frequencies: 1 if there is one code, K if all are equally frequent.
    """

    counts: Tensor
    usage: float
    perplexity: float

    def dead(self) -> Tensor:
        """Codes that do not occur. (n,)"""
        return (self.counts == 0).nonzero().flatten()

    def ranking(self) -> list[float]:
        """Share of each code that occurs, most used first."""
        used = self.counts[self.counts > 0].sort(descending=True).values
        return (used / used.sum()).tolist()


@torch.no_grad()
def image_codes(autoencoder: Autoencoder, x: Tensor) -> Tensor:
    """Codes that images are made of.

    Args:
        autoencoder: With a VQ bottleneck.
        x: Images in [-1, 1]. (B, 3, H, W)

    Returns:
        Index of a code at every place. (B, h, w)

    Raises:
        RequestError: If it has no codebook.
    """
    return codebook_of(autoencoder).indices(autoencoder.encode(x).mode())


@torch.no_grad()
def latent_codes(autoencoder: Autoencoder, z_raw: Tensor) -> Tensor:
    """The nearest code of every place of raw latents (B, C, h, w), which the decoder reads instead. (B, h, w)

    Raises:
        RequestError: If there is no codebook.
    """
    return codebook_of(autoencoder).indices(z_raw)


@torch.no_grad()
def decode_codes(autoencoder: Autoencoder, codes: Tensor) -> Tensor:
    """Images of codes, (B, h, w) → (B, 3, f·h, f·w); of single codes too, with h = w = 1.

    Raises:
        RequestError: If there is no codebook, or a code that it does not have.
    """
    codebook = codebook_of(autoencoder)
    if len(codes):
        _check_code(codebook, int(codes.min()))
        _check_code(codebook, int(codes.max()))
    return autoencoder.decode_bottlenecked(codebook.codes(codes))


def codebook_usage(autoencoder: Autoencoder, codes: Tensor) -> CodebookUsage:
    """Count codes (B, h, w), of one image or of many.

    Raises:
        RequestError: If there is no codebook.
    """
    num_codes = codebook_of(autoencoder).config.num_codes
    counts = torch.bincount(codes.flatten(), minlength=num_codes)
    use = codebook_use(codes, num_codes)
    return CodebookUsage(counts, use["codebook_usage"].item(), use["codebook_perplexity"].item())


@torch.no_grad()
def nearest_codes(autoencoder: Autoencoder, code: int, *, count: int = 8) -> tuple[Tensor, Tensor]:
    """The codes most like a code, nearest first, without itself.

    Args:
        autoencoder: With a VQ bottleneck.
        code: Which one.
        count: How many, at least 1; if there are fewer, all.

    Returns:
        Their indices and their Euclidean distances. (n,), (n,)

    Raises:
        RequestError: If there is no codebook, no such code, or the count is below 1.
    """
    codebook = codebook_of(autoencoder)
    _check_code(codebook, code)
    if count < 1:
        raise RequestError(f"count is {count}; give at least 1")
    vectors = codebook.embedding.weight
    distances = (vectors - vectors[code]).double().norm(dim=1)
    distances[code] = torch.inf
    nearest = distances.argsort(stable=True)[: min(count, len(vectors) - 1)]
    return nearest, distances[nearest]


def replace_code(codes: Tensor, old: int, new: int) -> Tensor:
    """The same codes with one of them replaced everywhere; for ``decode_codes``."""
    return codes.masked_fill(codes == old, new)


def codebook_of(autoencoder: Autoencoder) -> VQBottleneck:
    """The bottleneck of a VQ autoencoder.

    Raises:
        RequestError: If it is a KL autoencoder.
    """
    if not isinstance(autoencoder.quantize, VQBottleneck):
        raise RequestError(
            f"this first stage has a {autoencoder.config.bottleneck.kind.upper()} bottleneck and no codebook: its "
            "latents are continuous; choose a VQ first stage"
        )
    return autoencoder.quantize


def _check_code(codebook: VQBottleneck, code: int) -> None:
    if not 0 <= code < codebook.config.num_codes:
        raise RequestError(f"there is no code {code}; the codebook has {codebook.config.num_codes}, counted from 0")

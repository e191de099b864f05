"""The two bottlenecks of the paper (section 3.1, "KL-reg." and "VQ-reg.") behind one interface.

A bottleneck turns the encoder's output into a posterior over raw latents, and says what the decoder reads and what the
latent costs. Nothing downstream asks which of the two it is.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldm_lab.core.config import check, setting

LOGVAR_RANGE = (-30.0, 20.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class KLConfig:
    """Gaussian posterior, pulled towards the standard normal."""

    kind: Literal["kl"] = "kl"

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class VQConfig:
    """Learned codebook (van den Oord et al. 2017), searched on the way to the decoder."""

    kind: Literal["vq"] = "vq"
    num_codes: int = setting(8192, help="Number of codes, |Z| in the paper", minimum=2, maximum=1 << 20)
    beta: float = setting(0.25, help="Weight of one of the two codebook terms", minimum=0.0, maximum=100.0)
    beta_on: Literal["codebook", "commitment"] = "codebook"  # the reference weighs the codebook term, by mistake

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class GaussianPosterior:
    """Diagonal Gaussian over raw latents; the log-variance is clamped to [-30, 20] as in the reference. (B, C, h, w)"""

    mean: Tensor
    logvar: Tensor

    @staticmethod
    def from_moments(moments: Tensor) -> "GaussianPosterior":
        """Split (B, 2C, h, w) into mean and clamped log-variance."""
        mean, logvar = moments.chunk(2, dim=1)
        return GaussianPosterior(mean, logvar.clamp(*LOGVAR_RANGE))

    def mode(self) -> Tensor:
        """The most likely raw latent: the mean."""
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw raw latents; the noise comes from the CPU in fp32, so a seed means the same on every device."""
        noise = torch.randn(self.mean.shape, generator=generator)
        return self.mean + torch.exp(0.5 * self.logvar) * noise.to(self.mean)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each (B, C, h, w)."""
        return self.mean, self.logvar

    def kl(self) -> Tensor:
        """KL(posterior ‖ N(0, I)) in nats for every latent number; Kingma & Welling 2014, appendix B. (B, C, h, w)"""
        return 0.5 * (self.mean**2 + self.logvar.exp() - 1.0 - self.logvar)


@dataclass(frozen=True)
class PointPosterior:
    """All mass on one raw latent: what a VQ encoder says before its codebook is searched. (B, C, h, w)"""

    mean: Tensor

    def mode(self) -> Tensor:
        """The raw latent."""
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """The raw latent; there is nothing to draw."""
        return self.mean

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean, and the smallest log-variance that a Gaussian posterior can have, each (B, C, h, w)."""
        return self.mean, torch.full_like(self.mean, LOGVAR_RANGE[0])


Posterior = GaussianPosterior | PointPosterior


@dataclass(frozen=True)
class Bottlenecked:
    """What a bottleneck made of a posterior, for training.

    Attributes:
        z_decoder: What the decoder reads. (B, C, h, w)
        penalty: Regularisation, averaged over the batch: KL in nats summed over a latent, or the mean codebook term. ()
        figures: Health figures to log, each a scalar.
    """

    z_decoder: Tensor
    penalty: Tensor
    figures: dict[str, Tensor]


class KLBottleneck(nn.Module):
    """The decoder reads the latent as it is; the encoder pays its KL divergence."""

    moments_per_channel = 2
    penalty_is_sum = True  # nats an image, to be weighed against a sum over pixels

    def __init__(self, config: KLConfig, latent_channels: int) -> None:
        super().__init__()

    def posterior(self, moments: Tensor) -> GaussianPosterior:
        """Encoder output (B, 2C, h, w) → posterior."""
        return GaussianPosterior.from_moments(moments)

    def to_decoder(self, z_raw: Tensor) -> Tensor:
        """The latent itself."""
        return z_raw

    def forward(self, posterior: GaussianPosterior, generator: torch.Generator | None = None) -> Bottlenecked:
        """Draw a latent and measure its KL divergence."""
        kl = posterior.kl()
        penalty = kl.sum(dim=(1, 2, 3)).mean()
        return Bottlenecked(posterior.sample(generator), penalty, {"kl_per_dim": kl.detach().mean()})


class VQBottleneck(nn.Module):
    """The decoder reads the nearest code; gradients pass straight through to the encoder."""

    moments_per_channel = 1
    penalty_is_sum = False  # a mean over latent numbers, to be weighed against a mean over pixels

    def __init__(self, config: VQConfig, latent_channels: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.num_codes, latent_channels)
        nn.init.uniform_(self.embedding.weight, -1.0 / config.num_codes, 1.0 / config.num_codes)

    def posterior(self, moments: Tensor) -> PointPosterior:
        """Encoder output (B, C, h, w) → posterior."""
        return PointPosterior(moments)

    def indices(self, z_raw: Tensor) -> Tensor:
        """Index of the nearest code at every place. (B, C, h, w) → (B, h, w)"""
        tokens = z_raw.detach().movedim(1, -1)  # (B, h, w, C)
        return nearest_code(tokens.flatten(0, -2), self.embedding.weight.detach()).view(tokens.shape[:-1])

    def codes(self, indices: Tensor) -> Tensor:
        """Codes at given indices. (B, h, w) → (B, C, h, w)"""
        return self.embedding(indices).movedim(-1, 1)

    def to_decoder(self, z_raw: Tensor) -> Tensor:
        """Quantise: every place takes its nearest code."""
        return self.codes(self.indices(z_raw))

    def forward(self, posterior: PointPosterior, generator: torch.Generator | None = None) -> Bottlenecked:
        """Quantise with a straight-through gradient; VQ-VAE (van den Oord et al. 2017), eq. 3."""
        z_raw = posterior.mode()
        indices = self.indices(z_raw)
        z_q = self.codes(indices)
        codebook_term, commitment_term = F.mse_loss(z_q, z_raw.detach()), F.mse_loss(z_raw, z_q.detach())
        beta = self.config.beta
        if self.config.beta_on == "codebook":
            penalty = commitment_term + beta * codebook_term
        else:
            penalty = codebook_term + beta * commitment_term
        return Bottlenecked(z_raw + (z_q - z_raw).detach(), penalty, codebook_use(indices, self.config.num_codes))


def nearest_code(tokens: Tensor, codes: Tensor, *, max_elements: int = 1 << 22) -> Tensor:
    """Index of the nearest code for every token, by Euclidean distance; the lowest index wins a tie.

    The N×K distances are built in slices of at most ``max_elements``, never as a whole.

    Args:
        tokens: (N, C)
        codes: (K, C)
        max_elements: Largest slice of the distance matrix.

    Returns:
        (N,) long.
    """
    dtype = torch.promote_types(tokens.dtype, torch.float32)  # 16 bits would choose other codes
    tokens, codes = tokens.to(dtype), codes.to(dtype)
    half_norms = 0.5 * codes.square().sum(dim=1)
    rows = max(1, max_elements // len(codes))
    with torch.autocast(tokens.device.type, enabled=False):
        return torch.cat([(half_norms - part @ codes.T).argmin(dim=1) for part in tokens.split(rows)])


def codebook_use(indices: Tensor, num_codes: int) -> dict[str, Tensor]:
    """Share of codes that occur, and perplexity exp(H) of their frequencies, from 1 to ``num_codes``."""
    frequency = torch.bincount(indices.flatten(), minlength=num_codes).double() / indices.numel()
    entropy = -torch.xlogy(frequency, frequency).sum()
    return {"codebook_usage": (frequency > 0).double().mean(), "codebook_perplexity": entropy.exp()}


def build_bottleneck(config: KLConfig | VQConfig, latent_channels: int) -> KLBottleneck | VQBottleneck:
    """The bottleneck that a config describes."""
    return {"kl": KLBottleneck, "vq": VQBottleneck}[config.kind](config, latent_channels)  # type: ignore[arg-type]

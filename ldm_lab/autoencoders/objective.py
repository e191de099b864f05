"""The training objective of stage 1: reconstruction, perception, regularisation, and a game against patches.

LDM (Rombach et al. 2022), appendix G, eq. 25, after VQGAN (Esser et al. 2021), eqs. 4–7.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.discriminator import AdversarialLoss, PatchDiscriminator, discriminator_loss, generator_loss
from ldm_lab.autoencoders.perceptual import PerceptualKind, build_perceptual
from ldm_lab.core.config import check, setting


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderObjectiveConfig:
    """Terms of stage 1 and their weights; the defaults are those of the paper's KL models."""

    pixel: Literal["l1", "l2"] = setting("l1", help="Absolute or squared error of pixels")
    perceptual: PerceptualKind = setting("lpips", help="Perceptual distance; 'random-features' and 'none' need no file")
    perceptual_weight: float = setting(1.0, help="Weight of the perceptual distance", minimum=0.0)
    regularisation_weight: float = setting(1e-6, help="Weight of the KL (1e-6) or codebook term (1.0)", minimum=0.0)
    half_size_weight: float = setting(
        0.0, help="Weight of reconstructing the image at half size from its latent at half size", minimum=0.0
    )
    latent_noise: float = setting(
        0.0,
        help="Largest noise that a latent gets before it is decoded, as a share of its channel's spread",
        minimum=0.0,
    )
    adversarial: AdversarialLoss = setting("hinge", help="Loss of the discriminator")
    adversarial_weight: float = setting(0.5, help="Weight of the adversarial term; 0 leaves it out", minimum=0.0)
    adversarial_start: int = setting(50_001, help="Step at which the game begins", minimum=0)
    discriminator_channels: int = setting(64, help="Width of the discriminator's first layer", minimum=1, maximum=1024)
    discriminator_layers: int = setting(3, help="Layers of stride 2 in the discriminator", minimum=1, maximum=6)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ObjectiveValue:
    """A loss to differentiate and detached scalars to log."""

    total: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


class AutoencoderObjective(nn.Module):
    """Autoencoder, discriminator and perceptual distance under one loss.

    Reductions: everything is a mean over pixels and batch. The reference sums the KL model's terms over an image and
    averages the VQ model's; a KL in nats an image is divided by the number of pixel values here, so both of the
    reference's weights keep their meaning.

    Departures from the reference: before ``adversarial_start`` the discriminator is not evaluated at all (there its
    loss is multiplied by zero, while batch-norm statistics and Adam's counters move on); from then on its own loss and
    the decoder's term start together. Both are computed from one reconstruction, where the reference decodes a second
    time after the decoder's update. The log-variance of the reference's likelihood, which no optimiser ever moved, is
    left out.
    """

    def __init__(self, autoencoder: Autoencoder, config: AutoencoderObjectiveConfig) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = autoencoder
        self.perceptual = build_perceptual(config.perceptual)
        self.discriminator = None
        if config.adversarial_weight > 0.0:
            self.discriminator = PatchDiscriminator(
                image_channels=autoencoder.config.image_channels,
                channels=config.discriminator_channels,
                num_layers=config.discriminator_layers,
            )

    def forward(self, x: Tensor, *, step: int, generator: torch.Generator | None = None) -> ObjectiveValue:
        """Reconstruct images (B, 3, H, W) in [-1, 1] from a drawn latent and judge the result.

        Args:
            x: Images.
            step: Optimiser step, from 0; decides whether the discriminator plays.
            generator: Source of the posterior's noise.
        """
        autoencoder = self.autoencoder
        bottlenecked = autoencoder.quantize(autoencoder.encode(x), generator)
        x_hat = autoencoder.decode_bottlenecked(self._disturbed(bottlenecked.z_decoder, generator))
        reconstruction, terms = self._reconstruction(x, x_hat)
        penalty = bottlenecked.penalty / (x[0].numel() if autoencoder.quantize.penalty_is_sum else 1)
        total = reconstruction + self.config.regularisation_weight * penalty
        if self.config.half_size_weight > 0.0:
            terms["half_size"] = self._half_size(x, bottlenecked.z_decoder)
            total = total + self.config.half_size_weight * terms["half_size"]
        terms |= {"regularisation": penalty, **bottlenecked.figures}
        if self.discriminator is not None and step >= self.config.adversarial_start:
            game, game_terms = self._game(x, x_hat, reconstruction)
            total, terms = total + game, terms | game_terms
        return ObjectiveValue(total, {name: value.detach() for name, value in terms.items()})

    def _disturbed(self, z: Tensor, generator: torch.Generator | None) -> Tensor:
        """Latents with noise, from none to ``latent_noise`` in each, so that the decoder bears what samples get wrong.

        "Diffusion Transformers with Representation Autoencoders" (Zheng et al. 2025), noise-augmented decoding.
        """
        if self.config.latent_noise == 0.0:
            return z
        amount = self.config.latent_noise * torch.rand(len(z), 1, 1, 1, generator=generator)
        noise = amount * torch.randn(z.shape, generator=generator)
        return z + noise.to(z) * z.detach().std(dim=(0, 2, 3), keepdim=True)

    def _reconstruction(self, x: Tensor, x_hat: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        pixel = self._pixel_error(x, x_hat)
        if self.perceptual is None:
            return pixel, {"pixel": pixel}
        distance = self.perceptual(x, x_hat)
        return pixel + self.config.perceptual_weight * distance, {"pixel": pixel, "perceptual": distance}

    def _half_size(self, x: Tensor, z: Tensor) -> Tensor:
        """Error of what the decoder makes of a latent at half size, against the image at half size.

        It gives latents the structure of images: coarse features in low frequencies. Without it an autoencoder hides
        outlines in high ones, which a diffusion model learns last: "Improving the Diffusability of Autoencoders"
        (Skorokhodov et al. 2025), scale equivariance.
        """
        return self._pixel_error(F.avg_pool2d(x, 2), self.autoencoder.decode_bottlenecked(F.avg_pool2d(z, 2)))

    def _pixel_error(self, x: Tensor, x_hat: Tensor) -> Tensor:
        difference = x_hat - x
        return difference.abs().mean() if self.config.pixel == "l1" else difference.square().mean()

    def _game(self, x: Tensor, x_hat: Tensor, reconstruction: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        assert self.discriminator is not None
        frozen = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        fooling = generator_loss(functional_call(self.discriminator, frozen, (x_hat,)))
        weight = self.config.adversarial_weight * self._adaptive_weight(reconstruction, fooling)
        real, fake = self.discriminator(x), self.discriminator(x_hat.detach())
        judging = discriminator_loss(real, fake, kind=self.config.adversarial)
        terms = {"fooling": fooling, "judging": judging, "adversarial_weight": weight}
        return weight * fooling + judging, terms | {"logits_real": real.mean(), "logits_fake": fake.mean()}

    def _adaptive_weight(self, reconstruction: Tensor, fooling: Tensor) -> Tensor:
        """Ratio of both gradients at the decoder's last layer; VQGAN (Esser et al. 2021), eq. 7."""
        if not torch.is_grad_enabled():
            return torch.ones_like(fooling)
        last = self.autoencoder.decoder.conv_out.weight
        (wanted,) = torch.autograd.grad(reconstruction, last, retain_graph=True)
        (given,) = torch.autograd.grad(fooling, last, retain_graph=True)
        return (wanted.norm() / (given.norm() + 1e-4)).clamp(0.0, 1e4).detach()

"""How well a first stage brings images back, and whether its latents are well."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.bottlenecks import Posterior
from ldm_lab.autoencoders.perceptual import VGG_FILE, RandomFeatures, load_lpips
from ldm_lab.core.errors import MissingDependencyError
from ldm_lab.core.seeding import generator
from ldm_lab.data.shape_scenes import ShapeScenes
from ldm_lab.data.source import ImageSource, num_distinct
from ldm_lab.evaluation.attribute_score import agreement
from ldm_lab.evaluation.metrics import decibels, mean_squared_errors, ssim
from ldm_lab.evaluation.progress import BATCH, OnProgress
from ldm_lab.evaluation.report import Table
from ldm_lab.evaluation.scene_reader import read_scenes
from ldm_lab.evaluation.tally import Tally, spell, tally


@dataclass(frozen=True, kw_only=True)
class FirstStageReport:
    """What came of encoding and decoding images through the mode of their posterior.

    Attributes:
        name: Of the autoencoder.
        num_images: How many were used.
        psnr: Mean of the images' PSNR in dB; ``psnr_std`` and ``psnr_worst`` are its spread and smallest value.
        psnr_of_mean_error: PSNR of the mean squared error.
        ssim: Mean structural similarity.
        lpips: Mean LPIPS (VGG16), lower is closer; None where its weights are not on disk.
        lpips_missing: Which file LPIPS lacks and where it belongs.
        random_features: Mean distance of random features. Not LPIPS, and not comparable with it.
        read: What the scene reader finds right in the reconstructions; None where the truth is not known.
        read_originals: The same of the originals, the best that can be reached.
        latent: Figures of the latent.
    """

    name: str
    num_images: int
    psnr: float
    psnr_std: float
    psnr_worst: float
    psnr_of_mean_error: float
    ssim: float
    lpips: float | None
    lpips_missing: str | None
    random_features: float
    read: Tally | None
    read_originals: Tally | None
    latent: dict[str, Any]

    @property
    def title(self) -> str:
        """Headline."""
        return f"Reconstruction by {self.name}: {self.num_images} held-out images"

    def tables(self) -> list[Table]:
        """Fidelity, attributes where the truth is known, latent."""
        tables = [Table(header=("fidelity", "value"), rows=tuple(self._fidelity()))]
        if self.read is not None and self.read_originals is not None:
            rows = ((kind, spell(count), spell(self.read_originals[kind])) for kind, count in self.read.items())
            tables.append(Table(header=("read by rules", "reconstructions", "originals"), rows=tuple(rows)))
        latent = ((name, _spell_figure(value)) for name, value in self.latent.items())
        return [*tables, Table(header=("latent", "value"), rows=tuple(latent))]

    def notes(self) -> list[str]:
        """What the perceptual rows are and are not."""
        note = "random features are a seeded, untrained network: a stand-in, not LPIPS and not comparable with it"
        return [note] if self.lpips is not None else [note, f"LPIPS was not measured: the file {VGG_FILE} is missing"]

    def values(self) -> dict[str, Any]:
        """All fields but the machine's own paths."""
        return {name: value for name, value in asdict(self).items() if name != "lpips_missing"}

    def _fidelity(self) -> Iterator[tuple[str, str]]:
        yield "PSNR, mean of images", f"{self.psnr:.2f} ± {self.psnr_std:.2f} dB"
        yield "PSNR, worst image", f"{self.psnr_worst:.2f} dB"
        yield "PSNR of the mean error", f"{self.psnr_of_mean_error:.2f} dB"
        yield "SSIM", f"{self.ssim:.4f}"
        yield "LPIPS (VGG16)", "not measured" if self.lpips is None else f"{self.lpips:.4f}"
        yield "random features (not LPIPS)", f"{self.random_features:.4f}"


@dataclass(frozen=True)
class _Reconstructed:
    """Images, what came back, and the latents between. x, x_hat (N, 3, H, W) on the CPU."""

    x: Tensor
    x_hat: Tensor
    posterior: Posterior


@torch.no_grad()
def evaluate_first_stage(
    autoencoder: Autoencoder,
    source: ImageSource | None = None,
    *,
    name: str = "the first stage",
    num_images: int = 500,
    on_progress: OnProgress | None = None,
) -> FirstStageReport:
    """Encode and decode images and measure what is left of them.

    Args:
        autoencoder: In evaluation mode.
        source: Where the images come from; None takes the test scenes, which no training has seen.
        name: What the report calls the autoencoder.
        num_images: How many; a data set that has fewer gives all of them.
        on_progress: Called after every batch with the number of images done.

    Raises:
        MissingDependencyError: If scikit-image is not installed.
    """
    source = ShapeScenes(split="test") if source is None else source
    count = min(num_images, num_distinct(source) or num_images)
    made = _reconstruct(autoencoder, source, count, on_progress)
    errors = mean_squared_errors(made.x, made.x_hat)
    lpips, missing = _measure_lpips(made)
    read, read_originals = _read(source, made) if isinstance(source, ShapeScenes) else (None, None)
    return FirstStageReport(
        name=name,
        num_images=count,
        psnr=decibels(errors).mean().item(),
        psnr_std=decibels(errors).std(correction=0).item(),
        psnr_worst=decibels(errors).min().item(),
        psnr_of_mean_error=decibels(errors.mean()).item(),
        ssim=ssim(made.x, made.x_hat).mean().item(),
        lpips=lpips,
        lpips_missing=missing,
        random_features=_mean_distance(RandomFeatures(), made),
        read=read,
        read_originals=read_originals,
        latent=_latent_figures(autoencoder, made.posterior),
    )


def _reconstruct(
    autoencoder: Autoencoder, source: ImageSource, count: int, on_progress: OnProgress | None
) -> _Reconstructed:
    device = next(autoencoder.parameters()).device
    parts = []
    for start in range(0, count, BATCH):
        indices = range(start, min(start + BATCH, count))
        x = source.images(indices)
        posterior = autoencoder.encode(x.to(device))
        x_hat = autoencoder.decode(posterior.mode())
        parts.append((x, x_hat.cpu().clamp(-1, 1), posterior))
        if on_progress is not None:
            on_progress(indices.stop)
    x, x_hat, posteriors = zip(*parts, strict=True)
    return _Reconstructed(torch.cat(x), torch.cat(x_hat), _join(posteriors))


def _join(posteriors: Sequence[Posterior]) -> Posterior:
    """One posterior for all images; codebook use is that of the whole set, not the mean over batches."""
    names = [field.name for field in fields(posteriors[0])]
    return type(posteriors[0])(*(torch.cat([getattr(part, name) for part in posteriors]) for name in names))


def _measure_lpips(made: _Reconstructed) -> tuple[float | None, str | None]:
    """The mean LPIPS, or the sentence that says what it lacks."""
    try:
        return _mean_distance(load_lpips(), made), None
    except MissingDependencyError as error:
        return None, str(error)


def _mean_distance(network: torch.nn.Module, made: _Reconstructed) -> float:
    pairs = zip(made.x.split(BATCH), made.x_hat.split(BATCH), strict=True)
    return torch.cat([network(x, x_hat).flatten() for x, x_hat in pairs]).mean().item()


def _read(source: ShapeScenes, made: _Reconstructed) -> tuple[Tally, Tally]:
    """Agreement of the scene reader with the truth, after and before reconstruction."""
    scenes = source.scenes(range(len(made.x)))
    after, before = (tally(agreement(read_scenes(x), scenes)) for x in (made.x_hat, made.x))
    return after, before


def _latent_figures(autoencoder: Autoencoder, posterior: Posterior) -> dict[str, Any]:
    """Scale, centre and spread by channel, and what the bottleneck says of itself."""
    drawn, mode = posterior.sample(generator("evaluation", "latent")), posterior.mode()
    bottlenecked = autoencoder.quantize(posterior, generator("evaluation", "latent"))
    return {
        "scale_factor": autoencoder.config.scale_factor,
        "std of scaled latents": autoencoder.config.scale_factor * drawn.std().item(),
        "std of raw latents": drawn.std().item(),
        "channel means": mode.mean((0, 2, 3)).tolist(),
        "channel stds": mode.std((0, 2, 3)).tolist(),
    } | {name: value.item() for name, value in bottlenecked.figures.items()}


def _spell_figure(value: float | list[float]) -> str:
    return ", ".join(f"{item:.3f}" for item in (value if isinstance(value, list) else [value]))

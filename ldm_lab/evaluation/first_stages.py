"""First stages beside each other, as in the paper's Table 8: what does each factor and bottleneck cost?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.evaluation.reconstruction import FirstStageReport
from ldm_lab.evaluation.report import Table
from ldm_lab.evaluation.tally import share

HEADER = ("first stage", "f", "codes", "channels", "PSNR", "SSIM", "LPIPS", "attributes right", "codebook used")


@dataclass(frozen=True, kw_only=True)
class FirstStagesReport:
    """Reports on several first stages over the same images.

    Attributes:
        reports: One for each.
        configs: What each is, by its name.
    """

    reports: Sequence[FirstStageReport]
    configs: Mapping[str, AutoencoderConfig]

    @property
    def title(self) -> str:
        """Headline."""
        return f"Reconstruction by first stages: {self.reports[0].num_images} held-out images"

    def tables(self) -> list[Table]:
        """One row for each first stage."""
        return [Table(header=HEADER, rows=tuple(self._row(report) for report in self.reports))]

    def notes(self) -> Sequence[str]:
        """What the figures of one of them say about perceptual distances."""
        return ["codes: size of the codebook, KL where there is none", *self.reports[0].notes()]

    def values(self) -> dict[str, Any]:
        """The reports, by name."""
        return {"first_stages": {report.name: report.values() for report in self.reports}}

    def _row(self, report: FirstStageReport) -> tuple[str, ...]:
        config, usage = self.configs[report.name], report.latent.get("codebook_usage")
        codes = config.bottleneck.num_codes if isinstance(config.bottleneck, VQConfig) else "KL"
        return (
            report.name,
            str(config.downsampling_factor),
            str(codes),
            str(config.latent_channels),
            f"{report.psnr:.2f} dB",
            f"{report.ssim:.4f}",
            "–" if report.lpips is None else f"{report.lpips:.4f}",
            "–" if report.read is None else f"{100 * share(report.read['all attributes']):.2f} %",
            "–" if usage is None else f"{100 * usage:.1f} %",
        )

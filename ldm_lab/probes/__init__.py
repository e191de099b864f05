"""Looking inside: attention, activations, guidance, the decoder, the codebook, latents. Nothing is changed by it."""

from ldm_lab.probes.activations import ActivationStatistics, record_activation_statistics, record_activations
from ldm_lab.probes.attention import (
    AttentionMaps,
    AttentionRecording,
    AttentionStep,
    LayerGroup,
    heat_maps,
    record_cross_attention,
    record_self_attention,
)
from ldm_lab.probes.codebook import (
    CodebookUsage,
    codebook_usage,
    decode_codes,
    image_codes,
    latent_codes,
    nearest_codes,
    replace_code,
)
from ldm_lab.probes.coded_picture import CodebookSurvey, CodedPicture, code_picture, survey_codebook, swap_code
from ldm_lab.probes.guidance import (
    GuidanceRecording,
    GuidanceStep,
    clipped_share,
    decompose_guidance,
    record_guidance,
)
from ldm_lab.probes.influence import Influence, ablation_influence, decoder_margin, gradient_influence
from ldm_lab.probes.inspection import Inspection, inspect_latent
from ldm_lab.probes.latent_walk import LatentWalk, latent_walk
from ldm_lab.probes.latents import (
    LatentStatistics,
    channel_histograms,
    latent_statistics,
    normal_histogram,
)
from ldm_lab.probes.quantised import quantised
from ldm_lab.probes.rearrangement import OPERATIONS, Rearrangement
from ldm_lab.probes.run_guidance import GuidedViews, take_apart, view_guidance
from ldm_lab.probes.sample_map import Blend, SampleMap, map_samples, methods
from ldm_lab.probes.samples import Samples, gather_samples
from ldm_lab.probes.spectrum import RadialSpectrum, radial_power_spectrum
from ldm_lab.probes.walk import WalkMeasures, measure_walk
from ldm_lab.probes.word_attention import WordAttention, WordWalk, walk_words, word_attention
from ldm_lab.probes.words import Word, heat_map_of, words_of

__all__ = [
    "OPERATIONS",
    "ActivationStatistics",
    "AttentionMaps",
    "AttentionRecording",
    "AttentionStep",
    "Blend",
    "CodebookSurvey",
    "CodebookUsage",
    "CodedPicture",
    "GuidanceRecording",
    "GuidanceStep",
    "GuidedViews",
    "Influence",
    "Inspection",
    "LatentStatistics",
    "LatentWalk",
    "LayerGroup",
    "RadialSpectrum",
    "Rearrangement",
    "SampleMap",
    "Samples",
    "WalkMeasures",
    "Word",
    "WordAttention",
    "WordWalk",
    "ablation_influence",
    "channel_histograms",
    "clipped_share",
    "code_picture",
    "codebook_usage",
    "decode_codes",
    "decoder_margin",
    "decompose_guidance",
    "gather_samples",
    "gradient_influence",
    "heat_map_of",
    "heat_maps",
    "image_codes",
    "inspect_latent",
    "latent_codes",
    "latent_statistics",
    "latent_walk",
    "map_samples",
    "measure_walk",
    "methods",
    "nearest_codes",
    "normal_histogram",
    "quantised",
    "radial_power_spectrum",
    "record_activation_statistics",
    "record_activations",
    "record_cross_attention",
    "record_guidance",
    "record_self_attention",
    "replace_code",
    "survey_codebook",
    "swap_code",
    "take_apart",
    "view_guidance",
    "walk_words",
    "word_attention",
    "words_of",
]

"""Our models as diffusers has them: same architecture, same weights, its own classes."""

from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel

from benchmarks.peer import TextToImage
from ldm_lab.autoencoders.autoencoder import Autoencoder
from ldm_lab.autoencoders.config import AutoencoderConfig
from ldm_lab.core.errors import ConfigError
from ldm_lab.diffusion import ScheduleConfig
from ldm_lab.model import LatentDiffusion
from ldm_lab.unet import UNet, UNetConfig

PREDICTION_TYPES = {"eps": "epsilon", "v": "v_prediction"}
BETA_SCHEDULES = {"linear": "linear", "scaled_linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}


def diffusers_text_to_image(model: LatentDiffusion) -> TextToImage:
    """diffusers' models around our text encoder."""
    settings = scheduler_settings(model.config.schedule, model.prediction)
    scheduler = DPMSolverMultistepScheduler(**settings, timestep_spacing="trailing")
    unet, vae = diffusers_unet(model.unet), diffusers_autoencoder(model.autoencoder)
    return TextToImage(unet, vae, scheduler, model.conditioner)


def diffusers_unet(unet: UNet) -> UNet2DConditionModel:
    """diffusers' UNet with the weights of ours.

    Raises:
        ConfigError: If ours reads no context.
    """
    config = unet.config
    if config.context_dim is None or config.resblock_updown:
        raise ConfigError("the benchmark compares UNets that read a context; choose a text model")
    theirs = UNet2DConditionModel(**_unet_settings(config)).eval()
    theirs.load_state_dict(unet.state_dict())
    return theirs


def _unet_settings(config: UNetConfig) -> dict:
    attended = [level in config.attention_levels for level in range(config.num_levels)]
    return {
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "block_out_channels": config.widths,
        "layers_per_block": config.num_res_blocks,
        "down_block_types": tuple("CrossAttnDownBlock2D" if here else "DownBlock2D" for here in attended),
        "up_block_types": tuple("CrossAttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attended)),
        "attention_head_dim": tuple(config.heads_of(width) for width in config.widths),  # means: number of heads
        "cross_attention_dim": config.context_dim,
        "class_embed_type": None if config.vector_dim is None else "projection",
        "projection_class_embeddings_input_dim": config.vector_dim,
        "transformer_layers_per_block": config.transformer_depth,
        "norm_num_groups": config.norm_groups,
        "resnet_time_scale_shift": "scale_shift" if config.scale_shift_norm else "default",
    }


def diffusers_autoencoder(autoencoder: Autoencoder) -> AutoencoderKL:
    """diffusers' first stage with the weights of ours.

    Raises:
        ConfigError: If ours has a codebook.
    """
    if autoencoder.config.bottleneck.kind != "kl":
        raise ConfigError("the benchmark compares KL autoencoders; choose a model with one")
    theirs = AutoencoderKL(**_autoencoder_settings(autoencoder.config)).eval()
    theirs.load_state_dict(autoencoder.state_dict())
    return theirs


def _autoencoder_settings(config: AutoencoderConfig) -> dict:
    attended = [level in config.attention_levels for level in range(len(config.widths))]
    return {
        "block_out_channels": config.widths,
        "layers_per_block": config.num_res_blocks,
        "down_block_types": tuple("AttnDownEncoderBlock2D" if here else "DownEncoderBlock2D" for here in attended),
        "up_block_types": tuple("AttnUpDecoderBlock2D" if here else "UpDecoderBlock2D" for here in reversed(attended)),
        "latent_channels": config.latent_channels,
        "norm_num_groups": config.norm_groups,
        "mid_block_add_attention": config.mid_attention,
        "scaling_factor": config.scale_factor,
    }


def scheduler_settings(schedule: ScheduleConfig, prediction: str) -> dict:
    """Settings that diffusers' schedulers have in common."""
    return {
        "num_train_timesteps": schedule.num_train_steps,
        "beta_start": schedule.beta_start,
        "beta_end": schedule.beta_end,
        "beta_schedule": BETA_SCHEDULES[schedule.kind],
        "rescale_betas_zero_snr": schedule.zero_terminal_snr,
        "prediction_type": PREDICTION_TYPES[prediction],
    }

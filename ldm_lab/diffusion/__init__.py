"""The mathematics of diffusion: schedule, predictions and objective. No network in here."""

from ldm_lab.diffusion.objective import Loss, ObjectiveConfig, denoising_loss, draw_steps
from ldm_lab.diffusion.prediction import Prediction, check_prediction, convert
from ldm_lab.diffusion.schedule import NoiseSchedule, ScheduleConfig, add_noise

__all__ = [
    "Loss",
    "NoiseSchedule",
    "ObjectiveConfig",
    "Prediction",
    "ScheduleConfig",
    "add_noise",
    "check_prediction",
    "convert",
    "denoising_loss",
    "draw_steps",
]

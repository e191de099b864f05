"""Toy models that take their time, as real ones do, whose walks are not over before anybody can leave or press Stop."""

import time


class SlowLoader:
    """Loads models that sleep at every evaluation, and counts these.

    Attributes:
        num_evaluations: Of all its models.
    """

    def __init__(self, *, step_sec):
        self.step_sec, self.num_evaluations = step_sec, 0

    def __call__(self, folder, device):
        """What ``apps.studio.Models`` takes as ``load``."""
        import ldm_lab as lab

        pipeline = lab.load(folder, device=device)
        pipeline.model.unet.conv_in.register_forward_pre_hook(self._count)
        return pipeline

    def _count(self, *_):
        self.num_evaluations += 1
        time.sleep(self.step_sec)

"""Levels hand each other the right widths and resolutions."""

import pytest
import torch

from ldm_lab.unet import UNetConfig
from ldm_lab.unet.levels import DownLevel, Middle, UpLevel

CONFIG = UNetConfig(
    channels=8, channel_mult=(1, 3, 2), num_res_blocks=2, attention_levels=(1,), num_heads=2, norm_groups=4
)


class Visits:
    """Calls blocks without telling them anything, and remembers them."""

    def __init__(self):
        self.blocks = []

    def __call__(self, block, h):
        self.blocks.append(type(block).__name__)
        return block(h)


@pytest.mark.parametrize(("level", "incoming", "outgoing"), [(0, 8, 8), (1, 8, 24), (2, 24, 16)])
def test_a_level_down_returns_a_map_for_each_step(level, incoming, outgoing):
    outputs = DownLevel(CONFIG, level)(torch.randn(1, incoming, 8, 4), Visits())
    sizes = [(outgoing, 8, 4)] * 2 + [(outgoing, 4, 2)] * (level < 2)
    assert [tuple(out.shape[1:]) for out in outputs] == sizes


@pytest.mark.parametrize(
    ("level", "incoming", "beside", "out"),
    [(2, 16, [16, 16, 24], (16, 16, 8)), (1, 16, [24, 24, 8], (24, 16, 8)), (0, 24, [8, 8, 8], (8, 8, 4))],
)
def test_a_level_up_takes_one_map_for_each_residual_block(level, incoming, beside, out):
    skips = [torch.randn(1, channels, 8, 4) for channels in beside]
    assert UpLevel(CONFIG, level)(torch.randn(1, incoming, 8, 4), skips, Visits()).shape[1:] == out


def test_a_wrong_number_of_skips_is_an_error():
    skips = [torch.randn(1, 16, 8, 4), torch.randn(1, 16, 8, 4)]
    with pytest.raises(ValueError, match="shorter"):
        UpLevel(CONFIG, 2)(torch.randn(1, 16, 8, 4), skips, Visits())


def test_attention_follows_each_residual_block():
    visits = Visits()
    DownLevel(CONFIG, 1)(torch.randn(1, 8, 4, 4), visits)
    assert visits.blocks == ["ResidualBlock", "SelfAttention2d"] * 2 + ["Downsample"]
    Middle(CONFIG)(torch.randn(1, 16, 4, 4), visits)
    assert visits.blocks[-3:] == ["ResidualBlock", "SelfAttention2d", "ResidualBlock"]


def test_a_skip_grows_with_the_batch():
    level, skips = UpLevel(CONFIG, 0), [torch.randn(2, 8, 4, 4) for _ in range(3)]
    h = torch.randn(4, 24, 4, 4)
    repeated = level(h, [skip.repeat(2, 1, 1, 1) for skip in skips], Visits())
    torch.testing.assert_close(level(h, skips, Visits()), repeated)

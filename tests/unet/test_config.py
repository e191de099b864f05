import re

import pytest

from ldm_lab.core.config import from_dict, to_dict
from ldm_lab.core.errors import ConfigError
from ldm_lab.unet import UNetConfig

MISTAKES = {
    "no heads": ({}, "num_heads is None and head_channels is None; give exactly one"),
    "two kinds of heads": (
        {"num_heads": 8, "head_channels": 32},
        "num_heads is 8 and head_channels is 32; give exactly",
    ),
    "heads": ({"num_heads": 7}, "width 384 cannot be split into heads with num_heads=7"),
    "head width": ({"head_channels": 36}, "width 384 cannot be split into heads with head_channels=36"),
    "middle": ({"attention_levels": (), "num_heads": 7}, "width 768 cannot be split into heads with num_heads=7"),
    "level": ({"num_heads": 8, "attention_levels": (1, 3)}, "attention_levels (1, 3) must be below 3"),
    "no level": ({"num_heads": 8, "channel_mult": (), "attention_levels": ()}, "channel_mult has 0 levels"),
    "groups": ({"num_heads": 8, "norm_groups": 40}, "width 192 cannot be split into norm_groups=40"),
    "odd": ({"num_heads": 1, "channels": 3, "norm_groups": 1}, "channels is 3; it must be even"),
    "dropout": ({"num_heads": 8, "dropout": 1.0}, "dropout is 1.0"),
    "type": ({"num_heads": 8, "context_dim": "512"}, "context_dim is '512'"),
}


@pytest.mark.parametrize(("values", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_named(values, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        UNetConfig(**values)


def test_the_width_of_a_level_without_attention_is_free():
    config = UNetConfig(channels=24, channel_mult=(1, 2), attention_levels=(1,), head_channels=16, norm_groups=8)
    assert config.heads_of(48) == 3


def test_derived_sizes():
    config = UNetConfig(channels=64, channel_mult=(1, 2, 3), num_heads=8)
    assert (config.widths, config.embedding_dim, config.side_factor) == ((64, 128, 192), 256, 4)
    assert (config.num_levels, config.heads_of(128), config.heads_of(192)) == (3, 8, 8)


def test_json_in_both_directions():
    config = UNetConfig(channel_mult=(1, 2), attention_levels=(0,), head_channels=32, context_dim=77)
    assert from_dict(UNetConfig, to_dict(config)) == config

import pytest

from ldm_lab.conditioning import ClassLabel, ClassLabelConfig, TextTransformer, TextTransformerConfig, build_conditioner
from ldm_lab.core.errors import ConfigError

TEXT = TextTransformerConfig(vocab_size=100, width=8, depth=1, num_heads=1, head_channels=8, max_tokens=6)


def test_each_config_builds_its_conditioner(tokenizer):
    assert build_conditioner(None) is None
    assert isinstance(build_conditioner(ClassLabelConfig(num_classes=3)), ClassLabel)
    assert isinstance(build_conditioner(TEXT, tokenizer=tokenizer), TextTransformer)


def test_tokenizer_may_be_a_path(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    built = [build_conditioner(TEXT, tokenizer=source) for source in (tokenizer, path, str(path))]
    assert len({model.tokenizer.to_str() for model in built}) == 1


def test_text_transformer_without_tokenizer_is_refused():
    with pytest.raises(ConfigError, match="needs a tokenizer"):
        build_conditioner(TEXT)

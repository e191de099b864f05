import json
import sys

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    logging,
)

from ldm_lab.conditioning import PretrainedText, PretrainedTextConfig, build_conditioner
from ldm_lab.core.errors import (
    CheckpointFormatError,
    CheckpointMismatchError,
    ConfigError,
    MissingDependencyError,
    RequestError,
)

SIZES = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
PROMPTS = ["a red circle on white", "", "blue star"]


def make_encoder(kind):
    torch.manual_seed(0)
    if kind == "clip":
        return CLIPTextModel(CLIPTextConfig(**SIZES, **IDS, intermediate_size=32, max_position_embeddings=12))
    if kind == "t5":
        return T5EncoderModel(T5Config(vocab_size=64, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2))
    return BertModel(BertConfig(**SIZES, intermediate_size=32, max_position_embeddings=12))


@pytest.fixture(scope="module", params=["clip", "t5", "bert"])
def folder(request, tmp_path_factory, tokenizer):
    """A transformers folder with a tiny encoder of random weights and a tokenizer."""
    return save(make_encoder(request.param), tokenizer, tmp_path_factory.mktemp(request.param, numbered=False))


@pytest.fixture
def clip(tmp_path, tokenizer):
    """A folder of its own, to be damaged."""
    return save(make_encoder("clip"), tokenizer, tmp_path / "clip")


def save(encoder, tokenizer, folder):
    logging.disable_progress_bar()
    encoder.save_pretrained(folder)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "[BOS]", "eos_token": "[EOS]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    logging.enable_progress_bar()
    return folder


def load(folder, **options):
    return PretrainedText(PretrainedTextConfig(path=str(folder), max_tokens=8, **options))


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_context_is_the_last_hidden_state(folder):
    model = load(folder)
    encoder = make_encoder(folder.name).eval()
    prepared = model.prepare(PROMPTS)
    mask = None if isinstance(encoder, CLIPTextModel) else prepared["mask"]
    expected = encoder(input_ids=prepared["tokens"], attention_mask=mask).last_hidden_state
    context = model.encode(PROMPTS).context
    assert context.shape == (3, 8, model.context_dim) == (3, 8, 16)
    torch.testing.assert_close(context, expected, rtol=0, atol=1e-6)


def test_words_hidden_by_the_mask_do_not_matter(folder):
    model = load(folder)
    prepared = model.prepare(["a red circle"])
    other = prepared["tokens"].where(prepared["mask"].bool(), torch.tensor(9))
    assert not torch.equal(other, prepared["tokens"])
    words = prepared["mask"][0].bool()
    first, second = (model(prepared | {"tokens": tokens}).context[0, words] for tokens in (prepared["tokens"], other))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-6)  # masked, or causal in CLIP


def test_encoder_is_frozen_and_never_saved(folder):
    model = load(folder).train()
    assert not model.encoder.training
    assert not model.encode(PROMPTS).context.requires_grad
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())
    assert not list(model.parameters())
    assert not model.state_dict()


def test_moves_and_casts_reach_the_encoder(folder):
    model = load(folder).double()
    assert model.encode(PROMPTS).context.dtype == torch.float64
    assert {parameter.device.type for parameter in model.to("meta").encoder.parameters()} == {"meta"}


def test_loading_prints_nothing_and_leaves_the_log_settings(folder, capfd):
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load(folder)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")


def test_notes_name_what_is_cut_off_or_removed(folder):
    model = load(folder)
    assert model.notes(["a red circle on white", ""]) == []
    assert model.notes(["a red\x00 circle left of a blue star on white"]) == [
        "1 control character removed from the prompt",
        "the prompt has 10 tokens, the encoder reads 6: dropped 'blue star on white'",
    ]


def test_notes_name_unknown_words_and_the_closest_known(folder):
    assert load(folder).notes(["a red cirlce", "zebra red cirlce"]) == [
        "the model never saw 'cirlce'; closest known: 'circle'",
        "the model never saw 'zebra'",
    ]


def test_special_tokens_typed_by_a_user_are_text(folder):
    tokens = load(folder).prepare(["[EOS] red"])["tokens"][0]
    assert tokens.tolist().count(3) == 1


def test_digest_names_the_weights(clip, tokenizer, tmp_path):
    digest = load(clip).digest
    assert load(clip, digest=digest).digest == digest
    torch.manual_seed(1)
    other = save(CLIPTextModel(make_encoder("clip").config), tokenizer, tmp_path / "other")
    with pytest.raises(CheckpointMismatchError, match=rf"trained with {digest[:12]}"):
        load(other, digest=digest)


def test_tokenizer_may_lie_elsewhere(clip, tmp_path):
    elsewhere = tmp_path / "tokenizer"
    elsewhere.mkdir()
    expected = load(clip).prepare(PROMPTS)["tokens"]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (clip / name).rename(elsewhere / name)
    assert torch.equal(load(clip, tokenizer_path=str(elsewhere)).prepare(PROMPTS)["tokens"], expected)
    with pytest.raises(CheckpointFormatError, match="cannot load a tokenizer"):
        load(clip)


def test_missing_folders_and_files_are_named(clip):
    with pytest.raises(CheckpointFormatError, match="there is no folder nowhere with a text encoder; put config"):
        load("nowhere")
    (clip / "model.safetensors").rename(clip / "pytorch_model.bin")
    with pytest.raises(CheckpointFormatError, match=r"no model\.safetensors; pickled weights are not read"):
        load(clip)


def test_other_kinds_of_model_are_refused(clip):
    edit(clip / "config.json", model_type="gpt2")
    with pytest.raises(CheckpointFormatError, match="model_type is 'gpt2'; text encoders known: clip"):
        load(clip)
    (clip / "config.json").write_text("[]")
    with pytest.raises(CheckpointFormatError, match="model_type is None"):
        load(clip)


def test_damaged_encoders_are_refused(clip):
    weights = (clip / "model.safetensors").read_bytes()
    (clip / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(CheckpointFormatError, match="cannot load the text encoder"):
        load(clip)
    (clip / "model.safetensors").write_bytes(weights)
    edit(clip / "config.json", num_hidden_layers=3)
    with pytest.raises(CheckpointMismatchError, match=r"lacks 16 tensors, the first is encoder\.layers\.2"):
        load(clip)


def test_tokenizer_without_padding_is_refused(clip):
    edit(clip / "tokenizer_config.json", pad_token=None)
    with pytest.raises(CheckpointFormatError, match="no padding token"):
        load(clip)


def test_more_tokens_than_the_encoder_reads_are_refused(clip):
    with pytest.raises(ConfigError, match=r"max_tokens is 77, but .* reads 12 tokens"):
        PretrainedText(PretrainedTextConfig(path=str(clip)))


def test_missing_transformers_says_how_to_install_it(clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "ldm-lab\[text\]"'):
        load(clip)


def test_bad_prompts_are_refused(clip):
    with pytest.raises(RequestError, match="prompt is 3 of type int"):
        load(clip).prepare([3])


def test_config_builds_the_encoder(clip):
    assert isinstance(build_conditioner(PretrainedTextConfig(path=str(clip), max_tokens=8)), PretrainedText)

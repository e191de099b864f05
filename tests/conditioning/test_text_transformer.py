import copy
import math

import pytest
import torch
from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig, LDMBertModel
from torch import nn

from ldm_lab.conditioning import TextTransformer, TextTransformerConfig
from ldm_lab.core.config import from_dict, to_dict
from ldm_lab.core.errors import ConfigError, RequestError

MAX_TOKENS = 9


def build(tokenizer, **sizes):
    sizes = {"width": 16, "depth": 3, "num_heads": 4, "head_channels": 4, "max_tokens": MAX_TOKENS} | sizes
    torch.manual_seed(0)
    model = TextTransformer(TextTransformerConfig(vocab_size=tokenizer.get_vocab_size(), **sizes), tokenizer)
    for parameter in model.parameters():  # away from the starting values, where zeros and ones hide mistakes
        nn.init.normal_(parameter, std=0.3)
    return model.double()


def as_torch_encoder(model):
    """The same network out of PyTorch's own transformer layers; needs num_heads * head_channels == width."""
    config = model.config
    layer = nn.TransformerEncoderLayer(
        config.width,
        config.num_heads,
        4 * config.width,
        dropout=0.0,
        activation="gelu",
        batch_first=True,
        norm_first=True,
        dtype=torch.float64,
    )
    norm = nn.LayerNorm(config.width, dtype=torch.float64)
    encoder = nn.TransformerEncoder(layer, config.depth, norm=norm, enable_nested_tensor=False)
    with torch.no_grad():
        for theirs, ours in zip(encoder.layers, model.layers, strict=True):
            attn = ours.attn
            theirs.self_attn.in_proj_weight.copy_(torch.cat([attn.to_q.weight, attn.to_k.weight, attn.to_v.weight]))
            theirs.self_attn.in_proj_bias.zero_()
            theirs.self_attn.out_proj.load_state_dict(attn.to_out[0].state_dict())
            for name, module in (("norm1", ours.norm1), ("norm2", ours.norm2)):
                getattr(theirs, name).load_state_dict(module.state_dict())
            theirs.linear1.load_state_dict(ours.ff[0].state_dict())
            theirs.linear2.load_state_dict(ours.ff[-1].state_dict())
        encoder.norm.load_state_dict(model.norm.state_dict())
    return encoder


def as_ldm_bert(model):
    """The same network as diffusers' port of the paper's text encoder."""
    config = model.config
    bert = LDMBertModel(
        LDMBertConfig(
            vocab_size=config.vocab_size,
            max_position_embeddings=config.max_tokens,
            encoder_layers=config.depth,
            encoder_ffn_dim=4 * config.width,
            encoder_attention_heads=config.num_heads,
            head_dim=config.head_channels,
            d_model=config.width,
            dropout=0.0,
        )
    ).double()
    bert.model.embed_tokens.load_state_dict(model.token_embedding.state_dict())
    bert.model.embed_positions.load_state_dict(model.position_embedding.state_dict())
    bert.model.layer_norm.load_state_dict(model.norm.state_dict())
    for theirs, ours in zip(bert.model.layers, model.layers, strict=True):
        for name in ("q", "k", "v"):
            getattr(theirs.self_attn, f"{name}_proj").load_state_dict(getattr(ours.attn, f"to_{name}").state_dict())
        theirs.self_attn.out_proj.load_state_dict(ours.attn.to_out[0].state_dict())
        theirs.self_attn_layer_norm.load_state_dict(ours.norm1.state_dict())
        theirs.final_layer_norm.load_state_dict(ours.norm2.state_dict())
        theirs.fc1.load_state_dict(ours.ff[0].state_dict())
        theirs.fc2.load_state_dict(ours.ff[-1].state_dict())
    return bert.eval()


PROMPTS = ["a large red circle on white", "", "a green square, above a yellow triangle, on black"]


def test_equals_pytorchs_transformer(tokenizer):
    model = build(tokenizer)
    encoder = as_torch_encoder(model)
    tokens = model.prepare(PROMPTS)["tokens"]
    embedded = (model.token_embedding(tokens) + model.position_embedding(torch.arange(MAX_TOKENS))).detach()
    torch.testing.assert_close(model({"tokens": tokens}).context, encoder(embedded), rtol=0, atol=1e-10)


def test_gradients_equal_those_of_pytorchs_transformer(tokenizer):
    model = build(tokenizer)
    encoder = as_torch_encoder(model)
    tokens = model.prepare(PROMPTS)["tokens"]
    weights = torch.randn(3, MAX_TOKENS, 16, dtype=torch.float64)
    embedded = (model.token_embedding(tokens) + model.position_embedding(torch.arange(MAX_TOKENS))).detach()
    embedded.requires_grad_(True)
    (encoder(embedded) * weights).sum().backward()
    (model({"tokens": tokens}).context * weights).sum().backward()

    def agree(ours, theirs):
        torch.testing.assert_close(ours.grad, theirs, rtol=0, atol=1e-10)

    agree(model.position_embedding.weight, embedded.grad.sum(0))
    per_token = torch.zeros_like(model.token_embedding.weight)
    agree(model.token_embedding.weight, per_token.index_add(0, tokens.flatten(), embedded.grad.flatten(0, 1)))
    for ours, theirs in zip(model.layers, encoder.layers, strict=True):
        to_q, to_k, to_v = theirs.self_attn.in_proj_weight.grad.chunk(3)
        agree(ours.attn.to_q.weight, to_q)
        agree(ours.attn.to_k.weight, to_k)
        agree(ours.attn.to_v.weight, to_v)
        agree(ours.attn.to_out[0].weight, theirs.self_attn.out_proj.weight.grad)
        agree(ours.ff[0].weight, theirs.linear1.weight.grad)
        agree(ours.ff[-1].bias, theirs.linear2.bias.grad)
        agree(ours.norm1.weight, theirs.norm1.weight.grad)
        agree(ours.norm2.bias, theirs.norm2.bias.grad)
    agree(model.norm.weight, encoder.norm.weight.grad)


def test_equals_the_papers_encoder_with_an_inner_width_of_its_own(tokenizer):
    model = build(tokenizer, num_heads=3, head_channels=8)  # 24 inside, 16 outside
    tokens = model.prepare(PROMPTS)["tokens"]
    theirs = as_ldm_bert(model)(tokens).last_hidden_state
    torch.testing.assert_close(model({"tokens": tokens}).context, theirs, rtol=0, atol=1e-10)


def test_papers_text_encoder_has_the_papers_size(tokenizer):
    with torch.device("meta"):
        model = TextTransformer(TextTransformerConfig(vocab_size=30522), tokenizer)
    unused_logits = 640 * 30522 + 30522  # the reference carries a head that it never calls
    assert sum(parameter.numel() for parameter in model.parameters()) + unused_logits == 186_154_682


def test_order_of_words_matters(tokenizer):
    model = build(tokenizer)
    context = model.encode(["red circle blue star", "blue circle red star"]).context
    assert (context[0] - context[1]).abs().max() > 0.1


def test_prompts_do_not_see_each_other(tokenizer):
    model = build(tokenizer)
    batch = model.encode(PROMPTS).context
    alone = torch.cat([model.encode([prompt]).context for prompt in PROMPTS])
    torch.testing.assert_close(batch, alone, rtol=0, atol=1e-12)


def test_blank_prompts_are_the_null_condition(tokenizer):
    model = build(tokenizer)
    null = model.prepare([model.null])["tokens"]
    for prompt in ("  ", "\n", "\x00"):
        assert torch.equal(model.prepare([prompt])["tokens"], null)
    assert not torch.equal(model.prepare(["red"])["tokens"], null)


def test_prompt_is_read_without_case_and_control_characters(tokenizer):
    model = build(tokenizer)
    expected = model.prepare(["a red circle"])["tokens"]
    assert torch.equal(model.prepare(["A\x00 RED  Circle "])["tokens"], expected)


def test_notes_gather_all_that_is_not_read(tokenizer):
    model = build(tokenizer)
    assert model.notes(["a red circle", ""]) == []
    assert model.notes(["a red hexagon\x07", "a red hexagon", "a red circle on white, a blue star"]) == [
        "1 control character removed from the prompt",
        "the model never saw 'hexagon'; closest known: 'pentagon'",
        "the prompt has 9 tokens, the encoder reads 7: dropped 'blue star'",
    ]


def test_copies_of_the_model_read_prompts_alike(tokenizer):
    model = build(tokenizer)
    twin = copy.deepcopy(model)
    for prompt in ("[PAD] red", "a red circle"):
        assert torch.equal(model.prepare([prompt])["tokens"], twin.prepare([prompt])["tokens"])


def test_bad_prompts_are_refused(tokenizer):
    model = build(tokenizer)
    with pytest.raises(RequestError, match="prompt is None of type NoneType"):
        model.prepare(["red", None])
    with pytest.raises(RequestError, match=r"got the string 'red', write \['red'\]"):
        model.prepare("red")
    with pytest.raises(RequestError, match="got an empty one"):
        model.encode([])


def test_initialisation_has_the_stated_sizes(tokenizer):
    torch.manual_seed(0)
    config = TextTransformerConfig(vocab_size=tokenizer.get_vocab_size(), width=128, depth=2, num_heads=2)
    model = TextTransformer(config, tokenizer)
    for module, std in (
        (model.token_embedding, 1.0),
        (model.position_embedding, 1.0),
        (model.layers[1].attn.to_q, 1 / math.sqrt(128)),
        (model.layers[1].attn.to_out[0], 1 / math.sqrt(4 * 128)),
        (model.layers[1].ff[0], 1 / math.sqrt(128)),
        (model.layers[1].ff[-1], 1 / math.sqrt(4 * 512)),
    ):
        assert module.weight.std().item() == pytest.approx(std, rel=0.05)
    assert all(not layer.ff[0].bias.any() and not layer.attn.to_out[0].bias.any() for layer in model.layers)


def test_pooled_vector_sums_the_words_of_a_prompt_and_no_padding(tokenizer):
    model = build(tokenizer, pooled=True)
    cond = model.encode(["red circle", ""])
    words = len(tokenizer.encode("red circle").ids)
    torch.testing.assert_close(cond.vector[0], cond.context[0, :words].sum(0) / words**0.5)
    torch.testing.assert_close(cond.vector[1], cond.context[1, :2].sum(0) / 2**0.5)
    assert model.vector_dim == 16
    assert build(tokenizer).encode(["red circle"]).vector is None


def test_config_survives_json_and_refuses_nonsense():
    config = TextTransformerConfig(vocab_size=30, depth=2)
    assert from_dict(TextTransformerConfig, to_dict(config)) == config
    with pytest.raises(ConfigError, match="depth is 1000000000; it must be from 1 to 256"):
        TextTransformerConfig(vocab_size=30, depth=10**9)
    with pytest.raises(ConfigError, match="max_tokens is 2; it must be from 3"):
        TextTransformerConfig(vocab_size=30, max_tokens=2)

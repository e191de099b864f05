r"""Weights on words: what is a mark and what is text, and which tokens become longer."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldm_lab.core.errors import RequestError
from ldm_lab.tasks import Pipeline
from ldm_lab.tasks.weights import Weighted, encode_prompts, read_weights


@pytest.mark.parametrize(
    ("prompt", "text", "weights"),
    [
        ("a (red:1.4) circle", "a red circle", ((2, 5, 1.4),)),
        ("(a large red:0.5) circle", "a large red circle", ((0, 11, 0.5),)),
        ("(red:2)(blue:0) star", "redblue star", ((0, 3, 2.0), (3, 7, 0.0))),
        (r"a \(red:1.4) circle", "a (red:1.4) circle", ()),
        (r"\(a:1) (b:2)", "(a:1) b", ((6, 7, 2.0),)),
        ("a circle (red) on white", "a circle (red) on white", ()),
        ("( red:1.4) and (red :1.4)", "( red:1.4) and (red :1.4)", ()),
        ("(red:-1) (red:x) (red:1.) (red:.5) (:1) (a:b:1)", "(red:-1) (red:x) (red:1.) (red:.5) (:1) (a:b:1)", ()),
        ("((red:1.4))", "(red)", ((1, 4, 1.4),)),
        (" \t(red:1.4) ", "red", ((0, 3, 1.4),)),
        (r"back\slash and \( stay", r"back\slash and \( stay", ()),
    ],
)
def test_what_is_a_mark(prompt, text, weights):
    assert read_weights(prompt) == Weighted(text, weights)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="(")))
def test_without_a_parenthesis_there_is_no_mark(prompt):
    assert read_weights(prompt).weights == ()


@pytest.mark.parametrize("weight", ["3.1", "1000", "9" * 400])
def test_a_weight_out_of_range_is_named(weight):
    with pytest.raises(RequestError, match=f"the weight of 'red' is {weight[:20]}; it must be from 0 to 3"):
        read_weights(f"a (red:{weight}) circle")


class TestEncoding:
    def tokens(self, model, text):
        return model.conditioner.tokenizer.encode(text).tokens

    @torch.no_grad()
    def test_the_tokens_of_the_words_are_longer_and_no_others(self, tiny_model):
        plain, weighted = (
            encode_prompts(tiny_model, [prompt]).context[0]
            for prompt in ("a large red circle", "a (large Red:1.5) circle")
        )
        tokens = self.tokens(tiny_model, "a large red circle")
        factors = torch.tensor([1.5 if token in ("large", "red") else 1.0 for token in tokens])
        assert tokens[2:4] == ["large", "red"]
        assert torch.equal(weighted, plain * factors[:, None])

    @torch.no_grad()
    def test_the_vector_of_the_sentence_is_kept(self, make_tiny_model):
        config = make_tiny_model().config.conditioner
        model = make_tiny_model(conditioner=replace(config, pooled=True))
        plain, weighted = (encode_prompts(model, [prompt]) for prompt in ("a red circle", "a (red:1.5) circle"))
        assert torch.equal(weighted.vector, plain.vector)
        assert not torch.equal(weighted.context, plain.context)
        run = Pipeline(model).text_to_image("a (red:1.5) circle", num_steps=1)
        assert len(run.images) == 1

    @torch.no_grad()
    def test_an_unknown_word_and_a_word_cut_off(self, tiny_model):
        prompt = "a zebra large red circle on"
        plain = encode_prompts(tiny_model, [prompt]).context
        zebra = encode_prompts(tiny_model, [prompt.replace("zebra", "(zebra:2)")]).context
        assert torch.equal(zebra[0, 2], 2 * plain[0, 2])
        beyond = encode_prompts(tiny_model, [prompt + " (star:2)"]).context
        assert torch.equal(beyond, encode_prompts(tiny_model, [prompt + " star"]).context)

    @torch.no_grad()
    def test_weight_1_and_no_weight_are_the_same(self, tiny_model):
        first, second = (encode_prompts(tiny_model, [prompt]).context for prompt in ("a (red:1.0) star", "a red star"))
        assert torch.equal(first, second)

    @torch.no_grad()
    def test_each_prompt_has_its_own(self, tiny_model):
        both = encode_prompts(tiny_model, ["a (red:2) star", "a blue star"]).context
        alone = encode_prompts(tiny_model, ["a blue star"]).context
        torch.testing.assert_close(both[1:], alone)

    def test_an_encoder_without_a_tokenizer_says_so(self, tiny_model, make_tiny_model):
        model = make_tiny_model()
        del model.conditioner.tokenizer
        model.conditioner.encode = tiny_model.conditioner.encode
        with pytest.raises(RequestError, match="the prompt weighs 'red', but this model's text encoder does not tell"):
            encode_prompts(model, ["a (red:2) star"])


def test_the_walk_follows_the_weights(tiny_model):
    pipeline = Pipeline(tiny_model, defaults={"num_steps": 2, "sampler": "ddim"})
    prompts = ("a red star", "a (red:1.0) star", "a (red:2.5) star", "a (red:0) star")
    plain, one, more, none = (pipeline.text_to_image(prompt) for prompt in prompts)
    assert plain.images[0].tobytes() == one.images[0].tobytes()
    assert len({run.images[0].tobytes() for run in (plain, more, none)}) == 3
    assert more.settings.prompt == "a (red:2.5) star"
    assert more.notes == ()

"""Tokens and words: a tokenizer of words, one of pieces, weights, and what is cut off."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from ldm_lab.conditioning import ClassLabelConfig, TextTransformerConfig, build_conditioner
from ldm_lab.core.errors import RequestError, ShapeError
from ldm_lab.probes import Word, heat_map_of, words_of


@pytest.fixture
def pieces():
    """A text transformer whose tokenizer cuts words into pieces, as BERT's does."""
    names = ["[PAD]", "[UNK]", "a", "star", "##fish", "red", "##dish", ","]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    config = TextTransformerConfig(vocab_size=8, max_tokens=6, width=4, depth=1, num_heads=1, head_channels=4)
    return build_conditioner(config, tokenizer=tokenizer)


def test_each_word_has_the_token_that_the_tokenizer_gives_it(tiny_model):
    prompt = "a  Small blue star"
    words = words_of(tiny_model.conditioner, prompt)
    (tokens,) = tiny_model.conditioner.prepare([prompt])["tokens"]
    assert [word.text for word in words] == ["a", "Small", "blue", "star"]
    for word in words:
        (position,) = word.tokens
        assert tokens[position] == tiny_model.conditioner.tokenizer.token_to_id(word.text.lower())
        assert prompt[word.start :].startswith(word.text)


def test_a_word_in_pieces_has_several_tokens(pieces):
    assert words_of(pieces, "a reddish, starfish") == [
        Word("a", 0, (0,)),
        Word("reddish", 2, (1, 2)),
        Word(",", 9, (3,)),
        Word("starfish", 11, (4, 5)),
    ]


def test_a_word_that_occurs_twice_is_two_words(tiny_model):
    first, _, second = words_of(tiny_model.conditioner, "red circle red")
    assert (first.text, second.text) == ("red", "red")
    assert first.tokens != second.tokens


def test_weights_are_no_words(tiny_model):
    plain = words_of(tiny_model.conditioner, "a red circle")
    assert words_of(tiny_model.conditioner, "a (red:1.4) circle") == plain


def test_unknown_words_have_tokens_and_words_cut_off_have_none(tiny_model):
    words = words_of(tiny_model.conditioner, "a zebra a a a a a red")
    assert [word.text for word in words] == ["a", "zebra", "a", "a", "a", "a"]


def test_no_words_in_no_prompt(tiny_model):
    assert words_of(tiny_model.conditioner, "") == []


def test_a_conditioner_without_words():
    labels = build_conditioner(ClassLabelConfig(num_classes=3, width=4))
    with pytest.raises(RequestError, match="a ClassLabel does not tell which tokens words become; use a model with a"):
        words_of(labels, "a")


def test_the_heat_map_of_a_word_is_the_mean_of_its_tokens():
    maps = torch.arange(2 * 3 * 4).reshape(2, 3, 2, 2).float()
    torch.testing.assert_close(heat_map_of(Word("reddish", 0, (0, 2)), maps), (maps[:, 0] + maps[:, 2]) / 2)
    with pytest.raises(ShapeError, match=r"shape \(2, 3, 2, 2\); 'a' needs .* with more than 3 tokens"):
        heat_map_of(Word("a", 0, (3,)), maps)

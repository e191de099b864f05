import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from ldm_lab.conditioning import load_tokenizer, train_tokenizer
from ldm_lab.conditioning.tokenizer import SPECIAL_TOKENS, bound, text_notes, tokenize
from ldm_lab.core.errors import CheckpointFormatError, ConfigError


def tokens(tokenizer, text):
    return tokenize(tokenizer, [text])[0].tokens


@pytest.fixture
def wordpiece():
    """A miniature of BERT's tokenizer: its model, its special tokens, its splitting."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "circle", "##s", "star"]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(words[:4])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def test_special_tokens_come_first(tokenizer):
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3]


def test_words_are_lower_case_and_punctuation_stands_alone(tokenizer):
    assert tokens(tokenizer, "A RED circle, two!!") == "[BOS] a red circle , two ! ! [EOS]".split()


def test_training_is_a_function_of_the_captions():
    captions = ["red circle", "blue star", "star circle"]
    assert train_tokenizer(captions).to_str() == train_tokenizer(captions).to_str()
    assert train_tokenizer(captions).to_str() != train_tokenizer(captions[:2]).to_str()


def test_vocabulary_keeps_the_most_frequent_words():
    captions = ["red red red circle circle star"]
    assert set(train_tokenizer(captions, vocab_size=6).get_vocab()) == {*SPECIAL_TOKENS, "red", "circle"}
    assert set(train_tokenizer(captions, min_frequency=3).get_vocab()) == {*SPECIAL_TOKENS, "red"}


def test_captions_without_words_are_refused():
    with pytest.raises(ConfigError, match="no words"):
        train_tokenizer(["", " "])


def test_bounded_tokenizer_always_returns_its_length(tokenizer):
    bounded = bound(tokenizer, max_tokens=6, vocab_size=100)
    assert tokens(bounded, "a red circle on white") == "[BOS] a red circle on [EOS]".split()
    assert tokens(bounded, "red") == "[BOS] red [EOS] [PAD] [PAD] [PAD]".split()
    assert tokens(bounded, "") == "[BOS] [EOS] [PAD] [PAD] [PAD] [PAD]".split()


def test_bounding_leaves_the_original_alone(tokenizer):
    before = tokenizer.to_str()
    bound(tokenizer, max_tokens=6, vocab_size=100)
    assert tokenizer.to_str() == before


def test_special_tokens_typed_by_a_user_are_text(tokenizer):
    bounded = bound(tokenizer, max_tokens=8, vocab_size=100)
    assert tokens(bounded, "[EOS] red") == "[BOS] [UNK] [UNK] [UNK] red [EOS] [PAD] [PAD]".split()


def test_notes_name_unknown_words_and_the_closest_known(tokenizer):
    bounded = bound(tokenizer, max_tokens=16, vocab_size=100)
    assert text_notes(bounded, "a red circle on white") == []
    assert text_notes(bounded, "a Cirlce and a zebra zebra") == [
        "the model never saw 'Cirlce'; closest known: 'circle'",
        "the model never saw 'and'",
        "the model never saw 'zebra'",
    ]


def test_notes_name_what_is_cut_off(tokenizer):
    bounded = bound(tokenizer, max_tokens=6, vocab_size=100)
    assert text_notes(bounded, "a red circle on") == []
    assert text_notes(bounded, "a red circle on white, blue  star") == [
        "the prompt has 8 tokens, the encoder reads 4: dropped 'white, blue  star'"
    ]


def test_notes_count_letters_rather_than_bytes(tokenizer):
    bounded = bound(tokenizer, max_tokens=4, vocab_size=100)
    assert text_notes(bounded, "🟥 é red circle") == [
        "the model never saw '🟥'",
        "the model never saw 'é'",
        "the prompt has 4 tokens, the encoder reads 2: dropped 'red circle'",
    ]


def test_wordpiece_tokenizers_are_read_as_well(wordpiece, tmp_path):
    wordpiece.enable_truncation(3)
    wordpiece.enable_padding(length=3)
    wordpiece.save(str(tmp_path / "tokenizer.json"))
    bounded = bound(load_tokenizer(tmp_path / "tokenizer.json"), max_tokens=6, vocab_size=8)
    assert tokens(bounded, "red circles") == "[CLS] red circle ##s [SEP] [PAD]".split()
    assert text_notes(bounded, "red circles red stars") == [
        "the prompt has 6 tokens, the encoder reads 4: dropped 'stars'"
    ]


def test_saved_tokenizer_reads_as_before(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_str(), encoding="utf-8")
    assert load_tokenizer(path).to_str() == tokenizer.to_str()


def test_unreadable_tokenizers_are_refused(tmp_path):
    with pytest.raises(CheckpointFormatError, match=r"nowhere\.json: No such file"):
        load_tokenizer(tmp_path / "nowhere.json")
    for content in (b"", b"{}", b"\xff\xfe", b'{"model": {"type": "WordLevel"}}'):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(CheckpointFormatError, match=r"bad\.json is not a tokenizer\.json"):
            load_tokenizer(tmp_path / "bad.json")


def test_tokenizers_that_do_not_fit_are_refused(tokenizer, wordpiece):
    size = tokenizer.get_vocab_size()
    bound(tokenizer, max_tokens=6, vocab_size=size)
    with pytest.raises(ConfigError, match=f"has {size} tokens, but .* vocab_size={size - 1}"):
        bound(tokenizer, max_tokens=6, vocab_size=size - 1)
    without_padding = Tokenizer(models.WordLevel({"[UNK]": 0, "red": 1}, unk_token="[UNK]"))
    with pytest.raises(ConfigError, match=r"no \[PAD\] token"):
        bound(without_padding, max_tokens=6, vocab_size=8)

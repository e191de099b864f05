"""Word-level tokenizers: trained on captions, bounded to an encoder's length, honest about what they leave out."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Encoding, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from ldm_lab.core.errors import CheckpointFormatError, ConfigError

PAD, UNKNOWN, BEGIN, END = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[BOS]", "[EOS]")


def train_tokenizer(captions: Iterable[str], *, vocab_size: int = 30_000, min_frequency: int = 1) -> Tokenizer:
    """Learn the words of some captions: lower case, NFC, split at blanks and at every punctuation mark.

    Args:
        captions: The sentences of the training set.
        vocab_size: Most entries that the vocabulary may have, the four special tokens included.
        min_frequency: How often a word must occur to be kept.

    Raises:
        ConfigError: If no word is left.
    """
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=list(SPECIAL_TOKENS), show_progress=False
    )
    tokenizer.train_from_iterator(captions, trainer)
    if tokenizer.get_vocab_size() <= len(SPECIAL_TOKENS):
        raise ConfigError("the captions contain no words to learn a vocabulary from; check that they are not empty")
    ends = [(token, tokenizer.token_to_id(token)) for token in (BEGIN, END)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A {END}", special_tokens=ends)
    return tokenizer


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Read a tokenizer.json: one that ``train_tokenizer`` made, or a wordpiece one such as BERT's.

    Raises:
        CheckpointFormatError: If the file cannot be read or is no tokenizer.
    """
    try:
        return Tokenizer.from_str(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointFormatError(f"cannot read the tokenizer {path}: {error.strerror}") from error
    except Exception as error:  # the library raises bare Exception
        raise CheckpointFormatError(f"{path} is not a tokenizer.json: {error}") from error


def bound(tokenizer: Tokenizer, *, max_tokens: int, vocab_size: int) -> Tokenizer:
    """A copy that always returns exactly ``max_tokens`` tokens, cutting or padding at the end.

    Raises:
        ConfigError: If the vocabulary is larger than ``vocab_size`` or lacks a token for padding or unknown words.
    """
    vocabulary = tokenizer.get_vocab()
    missing = [token for token in (PAD, UNKNOWN) if token not in vocabulary]
    if missing:
        raise ConfigError(f"the tokenizer has no {' and no '.join(missing)} token; the text transformer needs both")
    needed = max(vocabulary.values()) + 1
    if needed > vocab_size:
        raise ConfigError(
            f"the tokenizer has {needed} tokens, but this text transformer was built with vocab_size={vocab_size}; "
            f"build it with vocab_size={needed} or use the tokenizer it was trained with"
        )
    bounded = Tokenizer.from_str(tokenizer.to_str())
    bounded.enable_truncation(max_tokens)
    bounded.enable_padding(length=max_tokens, pad_id=vocabulary[PAD], pad_token=PAD)
    return bounded


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Encoding]:
    """Encode sentences; the name of a special token inside a sentence is text like any other."""
    tokenizer.encode_special_tokens = True  # not kept by copies of a tokenizer, hence set here
    return tokenizer.encode_batch(list(texts))


def text_notes(tokenizer: Tokenizer, text: str) -> list[str]:
    """Say which words of a sentence are unknown to a bounded tokenizer, and which are cut off."""
    (encoding,) = tokenize(tokenizer, [text])
    pieces = [encoding, *encoding.overflowing]
    spans = [span for piece in pieces for span, special in _spans(piece) if not special]
    capacity = tokenizer.truncation["max_length"] - tokenizer.num_special_tokens_to_add(is_pair=False)
    unknown = [text[slice(*encoding.offsets[i])] for i, token in enumerate(encoding.tokens) if token == UNKNOWN]
    return unknown_notes(unknown, tokenizer.get_vocab()) + truncation_notes(text, spans, capacity=capacity)


def unknown_notes(words: Iterable[str], vocabulary: Iterable[str]) -> list[str]:
    """Say of each word that it is unknown, and which words of a vocabulary are spelled most alike."""
    unknown = list(dict.fromkeys(words))
    known = sorted(word for word in vocabulary if word.isalnum()) if unknown else []
    return [_unknown_note(word, known) for word in unknown]


def truncation_notes(text: str, spans: Sequence[tuple[int, int]], *, capacity: int) -> list[str]:
    """Say what lies beyond the first ``capacity`` tokens.

    Args:
        text: The sentence.
        spans: First and last place in ``text`` of every token, special tokens left out.
        capacity: How many of them are read.
    """
    if len(spans) <= capacity:
        return []
    dropped = text[spans[capacity][0] :]
    return [f"the prompt has {len(spans)} tokens, the encoder reads {capacity}: dropped {dropped!r}"]


def _spans(encoding: Encoding) -> Iterable[tuple[tuple[int, int], int]]:
    return zip(encoding.offsets, encoding.special_tokens_mask, strict=True)


def _unknown_note(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word.lower(), known, n=3)
    hint = f"; closest known: {', '.join(map(repr, close))}" if close else ""
    return f"the model never saw {word!r}{hint}"

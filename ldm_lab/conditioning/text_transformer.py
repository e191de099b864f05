"""The paper's text encoder: a BERT-style transformer that is trained together with the diffusion model."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from tokenizers import Tokenizer

from ldm_lab.conditioning.conditioner import Prepared, checked_batch
from ldm_lab.conditioning.token_transformer import TokenTransformer
from ldm_lab.conditioning.tokenizer import PAD, bound, text_notes, tokenize
from ldm_lab.core.config import check, setting
from ldm_lab.core.prompts import clean_prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTransformerConfig:
    """Sizes of the text encoder; the reference uses 8 heads of 64 whatever the width, so their product may differ."""

    vocab_size: int = setting(dataclasses.MISSING, help="Number of tokens known.", minimum=5, maximum=1_000_000)
    max_tokens: int = setting(77, help="Tokens read of a prompt, special ones included.", minimum=3, maximum=4096)
    width: int = setting(640, help="Width of a token, which is the UNet's context_dim.", minimum=1, maximum=8192)
    depth: int = setting(32, help="Number of layers.", minimum=1, maximum=256)
    num_heads: int = setting(8, help="Attention heads.", minimum=1, maximum=256)
    head_channels: int = setting(64, help="Width of each head.", minimum=1, maximum=1024)
    pooled: bool = setting(False, help="Also give the condition as one vector, added to the time embedding.")

    concat_channels: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check(self)


class TextTransformer(TokenTransformer):
    """Prompts → context tokens (B, max_tokens, width), and one vector if ``pooled``; trained from scratch."""

    null = ""

    def __init__(self, config: TextTransformerConfig, tokenizer: Tokenizer) -> None:
        tokenizer = bound(tokenizer, max_tokens=config.max_tokens, vocab_size=config.vocab_size)
        super().__init__(
            vocab_size=config.vocab_size,
            max_tokens=config.max_tokens,
            width=config.width,
            depth=config.depth,
            num_heads=config.num_heads,
            head_channels=config.head_channels,
            pooled_padding=tokenizer.token_to_id(PAD) if config.pooled else None,
        )
        self.config = config
        self.tokenizer = tokenizer

    def prepare(self, y: Sequence[str]) -> Prepared:
        """Prompts → {"tokens": (B, max_tokens)} on the CPU; the empty prompt is the null condition.

        Raises:
            RequestError: If a prompt is no string, too long, or not text.
        """
        prompts = [clean_prompt(prompt)[0] for prompt in checked_batch(y)]
        return {"tokens": torch.tensor([encoding.ids for encoding in tokenize(self.tokenizer, prompts)])}

    def notes(self, y: Sequence[str]) -> list[str]:
        """Say what was removed from the prompts, which words the model never saw, and what was cut off."""
        found: list[str] = []
        for prompt in checked_batch(y):
            text, notes = clean_prompt(prompt)
            found += notes + text_notes(self.tokenizer, text)
        return list(dict.fromkeys(found))

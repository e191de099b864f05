"""The paper's text encoder: a BERT-style transformer that is trained together with the diffusion model."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from ldm_lab.conditioning.conditioner import Prepared, checked_batch, move
from ldm_lab.conditioning.record import Conditioning
from ldm_lab.conditioning.tokenizer import bound, text_notes, tokenize
from ldm_lab.core.config import check, setting
from ldm_lab.core.prompts import clean_prompt
from ldm_lab.nn.attention import Attention


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTransformerConfig:
    """Sizes of the text encoder; the reference uses 8 heads of 64 whatever the width, so their product may differ."""

    vocab_size: int = setting(dataclasses.MISSING, help="Number of tokens known.", minimum=5, maximum=1_000_000)
    max_tokens: int = setting(77, help="Tokens read of a prompt, special ones included.", minimum=3, maximum=4096)
    width: int = setting(640, help="Width of a token, which is the UNet's context_dim.", minimum=1, maximum=8192)
    depth: int = setting(32, help="Number of layers.", minimum=1, maximum=256)
    num_heads: int = setting(8, help="Attention heads.", minimum=1, maximum=256)
    head_channels: int = setting(64, help="Width of each head.", minimum=1, maximum=1024)

    def __post_init__(self) -> None:
        check(self)


class TextLayer(nn.Module):
    """One pre-norm layer: self-attention, then an MLP four times as wide with GELU, each added to its input."""

    def __init__(self, config: TextTransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, num_heads=config.num_heads, head_channels=config.head_channels)
        self.norm2 = nn.LayerNorm(width)
        self.ff = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h: Tensor) -> Tensor:
        """(B, N, D) → (B, N, D)."""
        h = h + self.attn(self.norm1(h))
        return h + self.ff(self.norm2(h))


class TextTransformer(nn.Module):
    """Prompts → context tokens (B, max_tokens, width), by a transformer trained from scratch.

    The tau_theta of LDM (Rombach et al. 2022), appendix E.2.1: learned positions, pre-norm layers, a final LayerNorm.
    As in the reference, padding is attended to like any other token, so no mask is needed anywhere.
    """

    null = ""
    vector_dim = None

    def __init__(self, config: TextTransformerConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config = config
        self.context_dim = config.width
        self.tokenizer = bound(tokenizer, max_tokens=config.max_tokens, vocab_size=config.vocab_size)
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.position_embedding = nn.Embedding(config.max_tokens, config.width)
        self.layers = nn.ModuleList(TextLayer(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.initialize_weights()

    def initialize_weights(self) -> None:
        """Draw the starting values, as GPT-2 does; the reference leaves its linear layers at PyTorch's default.

        Embeddings and linear maps: normal, std 0.02, biases zero.
        Maps that end a residual branch: smaller by sqrt(2 depth), so that the sum of all branches keeps its size.
        Norms: one and zero, PyTorch's default.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for layer in self.layers:
            for last in (layer.attn.to_out[0], layer.ff[-1]):
                nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * self.config.depth))

    def prepare(self, y: Sequence[str]) -> Prepared:
        """Prompts → {"tokens": (B, max_tokens)} on the CPU; the empty prompt is the null condition.

        Raises:
            RequestError: If a prompt is no string, too long, or not text.
        """
        prompts = [clean_prompt(prompt)[0] for prompt in checked_batch(y)]
        return {"tokens": torch.tensor([encoding.ids for encoding in tokenize(self.tokenizer, prompts)])}

    def forward(self, prepared: Prepared) -> Conditioning:
        """{"tokens": (B, N)} → context (B, N, D)."""
        h = self.token_embedding(prepared["tokens"]) + self.position_embedding.weight  # (B, N, D)
        for layer in self.layers:
            h = layer(h)
        return Conditioning(context=self.norm(h))

    def encode(self, y: Sequence[str]) -> Conditioning:
        """Prompts → ``Conditioning`` on the module's device."""
        return self(move(self.prepare(y), self.norm.weight.device))

    def notes(self, y: Sequence[str]) -> list[str]:
        """Say what was removed from the prompts, which words the model never saw, and what was cut off."""
        found: list[str] = []
        for prompt in checked_batch(y):
            text, notes = clean_prompt(prompt)
            found += notes + text_notes(self.tokenizer, text)
        return list(dict.fromkeys(found))

"""The transformer of the paper's tau_theta: tokens in, context for cross-attention out, whatever the tokens mean."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ldm_lab.conditioning.conditioner import Encode, Prepared, move
from ldm_lab.conditioning.record import Conditioning
from ldm_lab.nn.attention import Attention


class TransformerLayer(nn.Module):
    """One pre-norm layer: self-attention, then an MLP four times as wide with GELU, each added to its input."""

    def __init__(self, width: int, *, num_heads: int, head_channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, num_heads=num_heads, head_channels=head_channels)
        self.norm2 = nn.LayerNorm(width)
        self.ff = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h: Tensor) -> Tensor:
        """(B, N, D) → (B, N, D)."""
        h = h + self.attn(self.norm1(h))
        return h + self.ff(self.norm2(h))


class TokenTransformer(nn.Module):
    """Tokens (B, N) → context (B, N, D): learned positions, pre-norm layers, a final LayerNorm.

    The tau_theta of LDM (Rombach et al. 2022), appendix E.2.1. As in the reference every token attends to every other,
    padding included, so no mask is needed anywhere. Text and layout are kinds of it rather than holding one, so that
    their parameters have the same names.

    Where it is told which token is padding, it also gives all other tokens as one vector for the time embedding, as
    SDXL does with its text (Podell et al. 2023, section 2.2). Every block then hears from the first step on which words
    there are, long before cross-attention has learned where to look.

    Args:
        vocab_size: Number of different tokens.
        max_tokens: Tokens of a condition.
        width: Width of a token.
        depth: Number of layers.
        num_heads: Attention heads.
        head_channels: Width of each head.
        pooled_padding: The token that is padding, if a vector is wanted; None: context alone.
    """

    has_null = True
    concat_channels = 0

    def __init__(
        self,
        *,
        vocab_size: int,
        max_tokens: int,
        width: int,
        depth: int,
        num_heads: int,
        head_channels: int,
        pooled_padding: int | None = None,
    ) -> None:
        super().__init__()
        self.context_dim = width
        self.vector_dim = None if pooled_padding is None else width
        self.pooled_padding = pooled_padding
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.position_embedding = nn.Embedding(max_tokens, width)
        sizes = {"num_heads": num_heads, "head_channels": head_channels}
        self.layers = nn.ModuleList(TransformerLayer(width, **sizes) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.initialize_weights()

    def initialize_weights(self) -> None:
        """Draw the starting values.

        Tokens and positions: normal, std 1, PyTorch's default for embeddings. As small as GPT-2's (0.02), words drown
        in what the layers add, and a context trained so told grounds apart and nothing else; with small positions the
        order of words is not heard, and so no relation.
        Linear maps: normal, std 1/sqrt(width of the input), biases zero, so that attention tells tokens apart from the
        start.
        Maps that end a residual branch: smaller by sqrt(2 depth), so that the sum of all branches keeps its size.
        Norms: one and zero, PyTorch's default.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for embedding in (self.token_embedding, self.position_embedding):
            nn.init.normal_(embedding.weight)
        for layer in self.layers:
            for last in (layer.attn.to_out[0], layer.ff[-1]):
                nn.init.normal_(last.weight, std=(2 * len(self.layers) * last.in_features) ** -0.5)

    def attach(self, encode: Encode) -> None:
        """Needs no first stage."""

    def prepare(self, y: Sequence[Any]) -> Prepared:
        """Raw conditions → {"tokens": (B, N)} on the CPU; what they are is known to each kind."""
        raise NotImplementedError

    def encode(self, y: Sequence[Any]) -> Conditioning:
        """Raw conditions → ``Conditioning`` on the module's device."""
        return self(move(self.prepare(y), self.norm.weight.device))

    def forward(self, prepared: Prepared) -> Conditioning:
        """{"tokens": (B, N)} → context (B, N, D), and a vector (B, D) where padding is known."""
        h = self.token_embedding(prepared["tokens"]) + self.position_embedding.weight  # (B, N, D)
        for layer in self.layers:
            h = layer(h)
        context = self.norm(h)
        return Conditioning(context=context, vector=self._pooled(context, prepared["tokens"]))

    def _pooled(self, context: Tensor, tokens: Tensor) -> Tensor | None:
        """Sum over all tokens but padding, divided by the root of their number, which keeps the spread. (B, D)"""
        if self.pooled_padding is None:
            return None
        own = (tokens != self.pooled_padding)[..., None]  # (B, N, 1)
        return (context * own).sum(1) / own.sum(1).clamp(min=1).sqrt()

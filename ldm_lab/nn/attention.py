"""Multi-head attention over tokens, and its convolutional wrapper for feature maps.

Keys and values are a value of their own (``keys_values``): a sampling loop computes those of the text once.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ldm_lab.nn.blocks import group_norm, repeat_batch

KeysValues = tuple[Tensor, Tensor]

EXPLICIT_WEIGHTS = 256 * 256  # queries × keys up to which training in bf16 on a processor writes the weights out


class DotProduct(nn.Module):
    """softmax(Q K^T / sqrt(D)) V; Vaswani et al. 2017, eq. 1.

    A module without parameters, so that torch's forward hooks see queries and keys; without a hook it costs a call.
    """

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(B, heads, N, D), (B, heads, M, D), (B, heads, M, E) → (B, heads, N, E)."""
        if _learns_in_bf16_on_cpu(queries) and queries.shape[2] * keys.shape[2] <= EXPLICIT_WEIGHTS:
            return _attend_explicitly(queries, keys, values)
        return F.scaled_dot_product_attention(queries, keys, values)


def _learns_in_bf16_on_cpu(queries: Tensor) -> bool:
    return queries.requires_grad and queries.dtype == torch.bfloat16 and queries.device.type == "cpu"


def _attend_explicitly(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The same through the matrix of weights; torch's fused kernel takes 5 times as long there, both ways."""
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)  # (B, heads, N, M)
    return torch.softmax(scores, dim=-1).to(values.dtype) @ values


class Attention(nn.Module):
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1), heads side by side.

    Args:
        width: Width of the tokens that ask, and of the output.
        context_width: Width of the tokens that are attended to; None: the asking ones.
        num_heads: Number of heads.
        head_channels: Width of each head.
        qkv_bias: Whether the three projections have a bias; the reference's transformers have none.
    """

    def __init__(
        self,
        width: int,
        *,
        context_width: int | None = None,
        num_heads: int,
        head_channels: int,
        qkv_bias: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        inner = num_heads * head_channels
        context_width = context_width or width
        self.to_q = nn.Linear(width, inner, bias=qkv_bias)
        self.to_k = nn.Linear(context_width, inner, bias=qkv_bias)
        self.to_v = nn.Linear(context_width, inner, bias=qkv_bias)
        self.dot_product = DotProduct()
        self.to_out = nn.ModuleList([nn.Linear(inner, width)])

    def keys_values(self, context: Tensor) -> KeysValues:
        """Project context tokens (B, M, C) to keys and values, each (B, heads, M, D)."""
        return self._split(self.to_k(context)), self._split(self.to_v(context))

    def forward(self, tokens: Tensor, keys_values: KeysValues | None = None) -> Tensor:
        """(B, N, C) → (B, N, C); without ``keys_values`` the tokens attend to each other.

        Where ``keys_values`` are for several copies of the batch, every copy is answered: (copies·B, N, C).
        """
        keys, values = self.keys_values(tokens) if keys_values is None else keys_values
        queries = repeat_batch(self._split(self.to_q(tokens)), len(keys))
        h = self.dot_product(queries, keys, values)
        return self.to_out[0](rearrange(h, "b heads n d -> b n (heads d)"))

    def _split(self, tokens: Tensor) -> Tensor:
        return rearrange(tokens, "b n (heads d) -> b heads n d", heads=self.num_heads)


class SelfAttention2d(Attention):
    """Residual self-attention over all places of a feature map, as in DDPM and the paper's unconditional models.

    One head in the first stage; in the UNet as many as its config says. It is an ``Attention`` rather than holding one
    so that its parameters keep their usual names.
    """

    def __init__(self, channels: int, *, num_heads: int = 1, groups: int = 32, eps: float = 1e-6) -> None:
        super().__init__(channels, num_heads=num_heads, head_channels=channels // num_heads, qkv_bias=True)
        self.group_norm = group_norm(channels, groups=groups, eps=eps)

    def forward(self, h: Tensor) -> Tensor:  # type: ignore[override]
        """(B, C, H, W) → (B, C, H, W)."""
        tokens = rearrange(self.group_norm(h), "b c height width -> b (height width) c")
        attended = super().forward(tokens)
        return h + rearrange(attended, "b (height width) c -> b c height width", height=h.shape[2])

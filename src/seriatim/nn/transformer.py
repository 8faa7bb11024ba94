"""Parts of the Transformer (Vaswani 2017): multi-head attention, and the layers of an encoder and a decoder.

    Attention(Q, K, V) = softmax(Q Kᵀ / √d + mask) V              by torch's scaled_dot_product_attention
    MultiHead(x, y)    = [head_1, …, head_N] W_o,    head_n = Attention(x W_q,n, y W_k,n, y W_v,n)

Time-major: x [T, B, C]. A mask is boolean, True where a query may attend to a key: [T, S] for all rows, or [B, T, S] (T
may be 1); each query needs at least one such key. Keys and values are plain tensors that a call takes and returns.
Handed from call to call they are the cache that makes one more step cheap; computed once from a source, a decoder
attends over them.

Parameters have the names and shapes of ``torch.nn.MultiheadAttention``, ``TransformerEncoderLayer`` and
``TransformerDecoderLayer``, so a ``state_dict`` of one loads into the other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.errors import UsageError
from seriatim.nn import checks
from seriatim.nn.affine import Affine
from seriatim.nn.positions import rotate
from seriatim.ops.products import linear

KeysValues = tuple[Tensor, Tensor]
"""Keys and values [S, B, C]; the heads are consecutive blocks of C."""


def causal_mask(queries: int, keys: int, span: int | None = None) -> Tensor:
    """A mask [queries, keys]. The queries are the last of the keys' steps; each sees its own step and the steps before.

    With ``span`` a query sees only the last ``span`` of them.
    """
    back = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)
    return (back >= 0) if span is None else (back >= 0) & (back < span)


def padding_mask(lengths: Tensor, steps: int) -> Tensor:
    """A mask [B, 1, steps] from lengths [B]: True for the keys before their row's end."""
    return (torch.arange(steps, device=lengths.device) < lengths[:, None])[:, None]


class MultiHeadAttention(nn.Module):
    """Multi-head attention with biases. With ``rotary`` queries and keys are rotated by their positions (Su 2021).

    Raises ``UsageError`` if ``heads`` does not divide ``size``, and with ``rotary`` if the parts are odd.
    """

    def __init__(self, size: int, heads: int, *, rotary: bool = False) -> None:
        super().__init__()
        if size % heads or (rotary and size // heads % 2):
            even = " into an even size each" if rotary else ""
            raise UsageError(f"heads: got {heads}, wanted a number that divides {size}{even}")
        self.size, self.heads, self.rotary = size, heads, rotary
        self.in_proj_weight = nn.Parameter(torch.empty(3 * size, size))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * size))
        self.out_proj = Affine(size, size)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def over_itself(
        self, x: Tensor, *, past: KeysValues | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, KeysValues]:
        """Attend from x [T, B, C] over ``past`` [P, B, C] and x; return the output and the P + T keys and values."""
        query, key, value = linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        if past is not None:
            key, value = torch.cat([past[0].to(key.dtype), key]), torch.cat([past[1].to(value.dtype), value])
        return self._attend(query, key, value, mask), (key, value)

    def keys_values(self, source: Tensor) -> KeysValues:
        """Project ``source`` [S, B, C] for ``over``."""
        weight, bias = self.in_proj_weight[self.size :], self.in_proj_bias[self.size :]
        key, value = linear(source, weight, bias).chunk(2, -1)
        return key, value

    def over(self, x: Tensor, source: KeysValues, *, mask: Tensor | None = None) -> Tensor:
        """Attend from x [T, B, C] over a source, given by its ``keys_values``."""
        query = linear(x, self.in_proj_weight[: self.size], self.in_proj_bias[: self.size])
        return self._attend(query, source[0].to(query.dtype), source[1].to(query.dtype), mask)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value = (part.reshape(*part.shape[:2], self.heads, -1) for part in (query, key, value))
        if self.rotary:  # the queries are the last of the keys' steps
            steps = torch.arange(len(key), device=key.device)
            query, key = rotate(query, steps[len(key) - len(query) :]), rotate(key, steps)
        query, key, value = (part.permute(1, 2, 0, 3) for part in (query, key, value))  # [B, heads, T, C / heads]
        if mask is not None and mask.dim() == 3:
            mask = mask[:, None]
        heads = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        output: Tensor = self.out_proj(heads.permute(2, 0, 1, 3).flatten(2))
        return output

    def extra_repr(self) -> str:
        return f"{self.size}, heads={self.heads}" + (", rotary=True" if self.rotary else "")


class _ResidualLayer(nn.Module):
    """Base class of both layers: the residual connection with its norm, and the feed-forward part.

    With ``norm_first`` a part computes x + part(norm(x)), otherwise norm(x + part(x)). With it the gradient has a path
    past all norms, and training needs little or no warm-up (Xiong 2020); the stack needs one more norm after its last
    layer.
    """

    def __init__(self, size: int, feedforward: int, dropout: float, norm_first: bool) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.linear1, self.linear2 = Affine(size, feedforward), Affine(feedforward, size)
        self.dropout = nn.Dropout(checks.probability("dropout", dropout))

    def _before(self, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        """The input of a part."""
        return norm(x) if self.norm_first else x

    def _after(self, norm: nn.LayerNorm, x: Tensor, part: Tensor) -> Tensor:
        """Add the output of a part to x."""
        x = x + self.dropout(part)
        return x if self.norm_first else norm(x)

    def _feedforward(self, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        hidden = self.dropout(torch.relu(self.linear1(self._before(norm, x))))
        return self._after(norm, x, self.linear2(hidden))


class EncoderLayer(_ResidualLayer):
    """Self-attention → feed-forward, each with dropout, residual and layer norm.

    With a causal mask and ``past`` it is the layer of a decoder without a source. Dropout applies to the output of each
    part and inside the feed-forward part. It does not apply to the attention weights, because PyTorch's fused attention
    could then not be used.
    """

    def __init__(
        self,
        size: int,
        heads: int,
        feedforward: int | None = None,
        *,
        dropout: float = 0.0,
        norm_first: bool = True,
        rotary: bool = False,
    ) -> None:
        super().__init__(size, feedforward or 4 * size, dropout, norm_first)
        self.self_attn = MultiHeadAttention(size, heads, rotary=rotary)
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)

    def forward(
        self, x: Tensor, *, past: KeysValues | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, KeysValues]:
        """[T, B, C] → [T, B, C], and the P + T keys and values, which are the ``past`` of the next steps."""
        part, keys_values = self.self_attn.over_itself(self._before(self.norm1, x), past=past, mask=mask)
        x = self._after(self.norm1, x, part)
        return self._feedforward(self.norm2, x), keys_values


class DecoderLayer(_ResidualLayer):
    """Causal self-attention → attention over a source → feed-forward, each with dropout, residual and layer norm."""

    def __init__(
        self,
        size: int,
        heads: int,
        feedforward: int | None = None,
        *,
        dropout: float = 0.0,
        norm_first: bool = True,
        rotary: bool = False,
    ) -> None:
        super().__init__(size, feedforward or 4 * size, dropout, norm_first)
        self.self_attn = MultiHeadAttention(size, heads, rotary=rotary)
        self.multihead_attn = MultiHeadAttention(size, heads)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(size), nn.LayerNorm(size), nn.LayerNorm(size)

    def read(self, source: Tensor) -> KeysValues:
        """Project a source [S, B, C], once for all steps."""
        return self.multihead_attn.keys_values(source)

    def forward(
        self,
        x: Tensor,
        source: KeysValues,
        *,
        past: KeysValues | None = None,
        mask: Tensor | None = None,
        source_mask: Tensor | None = None,
    ) -> tuple[Tensor, KeysValues]:
        """[T, B, C] → [T, B, C], and the P + T keys and values of the self-attention.

        ``source`` comes from ``read``; ``mask`` [T, P + T] is None for a single step, which sees all steps before it;
        ``source_mask`` is ``padding_mask(source_lengths, S)``.
        """
        part, keys_values = self.self_attn.over_itself(self._before(self.norm1, x), past=past, mask=mask)
        x = self._after(self.norm1, x, part)
        part = self.multihead_attn.over(self._before(self.norm2, x), source, mask=source_mask)
        x = self._after(self.norm2, x, part)
        return self._feedforward(self.norm3, x), keys_values

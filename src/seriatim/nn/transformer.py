"""The Transformer's parts (Vaswani 2017): multi-head attention, and the layers of an encoder and a decoder.

    Attention(Q, K, V) = softmax(Q Kᵀ / √d + mask) V              by torch's scaled_dot_product_attention
    MultiHead(x, y)    = [head_1, …, head_N] W_o,    head_n = Attention(x W_q,n, y W_k,n, y W_v,n)

Time-major: x [T, B, C]. A mask is boolean, True where a query may look: [T, S] for all rows, or [B, T, S] (T may be 1);
every query must be allowed one key. Keys and values are plain tensors that go in and come out: kept from call to call
they are the cache that makes one more step cheap, computed once from a source they are what a decoder attends over.

Parameters have the names and shapes of ``torch.nn.MultiheadAttention``, ``TransformerEncoderLayer`` and
``TransformerDecoderLayer``: a ``state_dict`` of one loads into the other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.errors import UsageError
from seriatim.nn import checks
from seriatim.nn.positions import rotate

KeysValues = tuple[Tensor, Tensor]
"""Keys and values [S, B, C], all heads side by side."""


def causal_mask(queries: int, keys: int, span: int | None = None) -> Tensor:
    """[queries, keys]: each query, one of the last steps of ``keys``, looks at itself and those before it.

    With ``span``: at the last ``span`` steps alone, itself among them.
    """
    back = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)
    return (back >= 0) if span is None else (back >= 0) & (back < span)


def padding_mask(lengths: Tensor, steps: int) -> Tensor:
    """Lengths [B] → [B, 1, steps]: whether a key stands before its row's end."""
    return (torch.arange(steps, device=lengths.device) < lengths[:, None])[:, None]


class MultiHeadAttention(nn.Module):
    """Multi-head attention with biases. ``rotary``: queries and keys are turned by where they stand (Su 2021).

    Raises ``UsageError`` where ``heads`` does not divide ``size``, or not into even parts with ``rotary``.
    """

    def __init__(self, size: int, heads: int, *, rotary: bool = False) -> None:
        super().__init__()
        if size % heads or (rotary and size // heads % 2):
            even = " into an even size each" if rotary else ""
            raise UsageError(f"heads: got {heads}, wanted a number that divides {size}{even}")
        self.size, self.heads, self.rotary = size, heads, rotary
        self.in_proj_weight = nn.Parameter(torch.empty(3 * size, size))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * size))
        self.out_proj = nn.Linear(size, size)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def over_itself(
        self, x: Tensor, *, past: KeysValues | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, KeysValues]:
        """Attend from x [T, B, C] over ``past`` [P, B, C] and x; return the output and the P + T keys and values."""
        query, key, value = functional.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        if past is not None:
            key, value = torch.cat([past[0].to(key.dtype), key]), torch.cat([past[1].to(value.dtype), value])
        return self._attend(query, key, value, mask), (key, value)

    def keys_values(self, source: Tensor) -> KeysValues:
        """Project ``source`` [S, B, C] for ``over``."""
        weight, bias = self.in_proj_weight[self.size :], self.in_proj_bias[self.size :]
        key, value = functional.linear(source, weight, bias).chunk(2, -1)
        return key, value

    def over(self, x: Tensor, source: KeysValues, *, mask: Tensor | None = None) -> Tensor:
        """Attend from x [T, B, C] over what ``keys_values`` made of a source."""
        query = functional.linear(x, self.in_proj_weight[: self.size], self.in_proj_bias[: self.size])
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


class _Layer(nn.Module):
    """What both layers share: how a part is wrapped in its residual, and the feed-forward part.

    ``norm_first``: x + part(norm(x)) and not norm(x + part(x)). The gradient then has a way past every norm, and
    training needs little warm-up or none (Xiong 2020); the stack wants one more norm behind its last layer.
    """

    def __init__(self, size: int, feedforward: int, dropout: float, norm_first: bool) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.linear1, self.linear2 = nn.Linear(size, feedforward), nn.Linear(feedforward, size)
        self.dropout = nn.Dropout(checks.probability("dropout", dropout))

    def _before(self, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        """What a part reads."""
        return norm(x) if self.norm_first else x

    def _after(self, norm: nn.LayerNorm, x: Tensor, part: Tensor) -> Tensor:
        """What a part adds to x."""
        x = x + self.dropout(part)
        return x if self.norm_first else norm(x)

    def _feedforward(self, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        hidden = self.dropout(torch.relu(self.linear1(self._before(norm, x))))
        return self._after(norm, x, self.linear2(hidden))


class EncoderLayer(_Layer):
    """Self-attention → feed-forward, each with dropout, residual and layer norm.

    With a causal mask and ``past`` it is the layer of a decoder that attends over nothing else. Dropout is on what each
    part gives and inside the feed-forward part, not on the attention's weights: it would keep them from the fused path.
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
        """[T, B, C] → [T, B, C], and the P + T keys and values to give as ``past`` with the steps that follow."""
        part, kept = self.self_attn.over_itself(self._before(self.norm1, x), past=past, mask=mask)
        x = self._after(self.norm1, x, part)
        return self._feedforward(self.norm2, x), kept


class DecoderLayer(_Layer):
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

        ``source`` comes from ``read``; ``mask`` [T, P + T] is None for a single step, which sees all before it;
        ``source_mask`` is ``padding_mask(source_lengths, S)``.
        """
        part, kept = self.self_attn.over_itself(self._before(self.norm1, x), past=past, mask=mask)
        x = self._after(self.norm1, x, part)
        part = self.multihead_attn.over(self._before(self.norm2, x), source, mask=source_mask)
        x = self._after(self.norm2, x, part)
        return self._feedforward(self.norm3, x), kept

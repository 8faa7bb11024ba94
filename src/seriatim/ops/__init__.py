"""The recurrence as PyTorch operations, one layer in one direction.

``recurrence`` holds the ordered table of implementations and picks one; ``fused`` stands on PyTorch's own
functions, ``composed`` on plain operations. Operators of ``torch.library`` over a native engine are not built
yet; they will be one more row of the table.
"""

"""The recurrence as PyTorch operations, one layer in one direction.

``recurrence`` holds the ordered table of implementations and picks one: ``native`` stands on the engine, ``fused`` on
PyTorch's own functions, ``composed`` on plain operations.
"""

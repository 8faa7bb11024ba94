"""The recurrence as PyTorch operations.

``recurrence`` is the way in: an ordered table of implementations. Its row ``eager`` takes whole stacks and cells
straight to the engine, ``native`` runs one layer by the engine, ``pytorch`` uses PyTorch's own functions, ``composed``
plain operations.
"""

"""The recurrence on NumPy arrays, forward and backward, one layer in one direction.

``reference`` is the plain twin: the clearest statement of what is computed, and the oracle that every
faster path is tested against. The native engine is not built yet; it will stand beside the twin with the
same names and the same signatures.
"""

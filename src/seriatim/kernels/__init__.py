"""The recurrence on NumPy arrays, forward and backward, one layer in one direction.

``reference`` is the plain twin: the clearest statement of what is computed, and the oracle that every
faster path is tested against. ``native``, the engine, stands beside it with the same names and the same signatures.
"""

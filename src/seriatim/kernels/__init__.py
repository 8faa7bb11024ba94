"""The recurrence on NumPy arrays, forward and backward, one layer in one direction.

``reference`` is the plain twin: the clearest statement of what is computed, and the oracle that every
faster path is tested against. ``native``, the engine, has the same functions with the same signatures.
"""

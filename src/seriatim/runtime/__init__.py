"""Running an exported model with NumPy alone, a step at a time with its state kept; no torch. Not built yet."""

"""Gradients and updates over time: truncated backpropagation, clipping, the loop, checkpoints, and who watches."""

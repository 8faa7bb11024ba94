"""Gradients and updates over time: learners, clipping, the training loop, checkpoints and observers."""

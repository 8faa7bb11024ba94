"""Checks of a trained model: pure functions from ``Evidence`` to a ``Check`` each, and the table of all of them."""

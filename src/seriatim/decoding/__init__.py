"""Generates sequences from a step function, with NumPy only: sampling, beam search, forecasts with quantiles."""

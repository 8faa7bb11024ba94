"""A step function to sequences, with NumPy alone: greedy, sampling and forecasts with quantiles."""

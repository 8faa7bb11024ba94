"""Measures of what a recurrent model remembers: pure functions on a step function, a model and a batch."""

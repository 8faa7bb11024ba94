"""Paired timings of recurrent layers on the user's own machine."""

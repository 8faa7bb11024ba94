"""Converts raw values to arrays and back, with NumPy only: vocabularies of characters, words or byte pairs, scalers
and class labels. Each is fitted once on the training part, saved as JSON, and loaded by the code that runs the model.
"""

"""Raw values ↔ arrays, both ways, with NumPy alone: vocabularies of characters, words or byte pairs, scalers
and class labels. Each is fitted once on the training part, saved as JSON, and read back by whatever runs the model.
"""

"""Reads ONNX files and runs them on NumPy arrays, with the recurrent nodes on the engine. ``onnx`` is not needed."""

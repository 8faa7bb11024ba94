"""A run folder to a runtime folder or to ONNX. Not built yet."""

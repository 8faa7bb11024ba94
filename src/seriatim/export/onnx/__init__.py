"""Turns an exported model into ONNX files of standard nodes, and checks them with onnxruntime."""

"""Experiment loggers, which ``--log`` names: TensorBoard, Weights & Biases, MLflow.

Each is an adapter of one protocol, fed by the rows of ``metrics.jsonl``. Its library is imported when it is asked for.
"""

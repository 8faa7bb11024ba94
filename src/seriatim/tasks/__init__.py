"""Data, model, learner, metrics and baselines put together; one file per task."""

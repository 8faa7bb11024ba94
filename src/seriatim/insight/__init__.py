"""Why a model does or does not learn: pure functions on a model and a batch, and the report. Not built yet."""

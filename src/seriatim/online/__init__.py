"""Learning on a live stream with ``learn_one`` and ``predict_one``. Not built yet."""

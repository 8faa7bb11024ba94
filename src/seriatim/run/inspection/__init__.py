"""The verb ``inspect``: a run's evidence is gathered task by task, judged, and written as a report."""

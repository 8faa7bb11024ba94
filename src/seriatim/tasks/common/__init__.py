"""Parts that several tasks share: readers, batches, splits and writers of text."""

"""Files, frames and arrays → ordered batches: readers that name the line of every fault, splits that respect order,
windows that are views, streams for truncated back-propagation, buckets by length, and the bundled sets.
"""

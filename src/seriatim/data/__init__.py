"""Turns files, frames and arrays into ordered batches: readers that report the line of each error, splits that keep
order, windows that are views, streams for truncated backpropagation, buckets by length, and the bundled data sets.
"""

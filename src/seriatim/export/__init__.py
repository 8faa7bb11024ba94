"""Turns a run into a runtime folder, and checks that both give the same results."""

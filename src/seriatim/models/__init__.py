"""Input, network and head made into something trainable, and the naive models to beat; one file per family.

A model never imports a learner.
"""

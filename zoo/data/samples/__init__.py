"""Sample data sets that need no download: drawn from a formula, or found on every machine with Python.

One file for each, with `load() -> Dataset`; `datasets.toml` lists them. Seeds and splits are fixed.
"""

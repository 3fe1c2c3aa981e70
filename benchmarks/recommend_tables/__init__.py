"""What `benchmarks/recommend.py` reads and judges, a module for each kind of table.

`ucr.csv` and `vtab.csv` say how large the data sets are of which those archives' tables tell accuracies:
training samples, classes and length, after the archive's own summary (Dau et al. 2018); training samples of
the full sets and classes after Zhai et al. 2020, and the side of a square with about as many pixels as an
image has as it is distributed.
"""

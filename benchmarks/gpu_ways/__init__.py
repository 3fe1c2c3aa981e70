"""The ways of training that `benchmarks/gpu.py` compares, each run in a process of its own."""

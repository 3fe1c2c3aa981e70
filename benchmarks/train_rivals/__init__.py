"""Who takes part in `benchmarks/train.py`: a module each, imported in that contestant's own process alone.

Each has `train(job) -> Result`, which trains the job's model on the job's data, once through it, with AdamW
at a constant learning rate, as the users of that library would write it.
"""

"""What a model gets right and wrong, sample by sample: class by class, step by step, the worst of all."""

"""Keras on TensorFlow: `compile` and `fit`, as its examples train."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from train_rivals.cases import BETAS, EPSILON, LR, SEED, WEIGHT_DECAY, make_data
from train_rivals.job import Job, Result, Watch
from train_rivals.keras_models import make_model


class StepTimes(keras.callbacks.Callback):
    """Tells the watch of each step."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """A step is over."""
        self.watch.step(lambda: self.model.optimizer.iterations.numpy())


def train(job: Job) -> Result:
    """Arrays in memory, shuffled by `fit`; compiled, or not, as Keras decides."""
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    keras.utils.set_random_seed(SEED)
    case, watch = job.of, Watch(job)
    data = make_data(case, job.samples)
    images = case.task == "image-classification"
    inputs = np.ascontiguousarray(data.inputs.transpose(0, 2, 3, 1)) if images else data.inputs
    with np.load(job.start) as weights:
        model = make_model(case, dict(weights))
    optimizer = keras.optimizers.AdamW(
        LR,
        weight_decay=WEIGHT_DECAY,
        beta_1=BETAS[0],
        beta_2=BETAS[1],
        epsilon=EPSILON,
        global_clipnorm=case.clip or None,
    )
    optimizer.exclude_from_weight_decay(
        [weight for weight in model.trainable_weights if weight.shape.rank < 2]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss)
    first = float(loss(data.targets[: case.batch], model(inputs[: case.batch], training=False)))
    model.fit(inputs, data.targets, batch_size=case.batch, verbose=0, callbacks=[StepTimes(watch)])
    return Result(
        seconds=watch.seconds,
        parameters=model.count_params(),
        start_loss=first,
        version=f"keras {keras.__version__}, tensorflow {tf.__version__}",
    )

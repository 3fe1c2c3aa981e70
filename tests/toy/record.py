import hashlib
import shutil
from pathlib import Path

import msgspec

import zoo

run = zoo.Run.open("runs/tuned")
file = Path(shutil.copy(run.weights_path, "zoo_toy/linear.digits.safetensors"))
told = run.record
spec = zoo.WeightsSpec(
    tag="digits",
    model=told.model,
    source=f"package://zoo_toy/{file.name}",
    sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    bytes=file.stat().st_size,
    problem=told.problem,
    preprocess=told.preprocess,
    labels=told.labels,
    metrics=told.metrics,
    dataset=told.source,
    license="Apache-2.0",
    data_license="CC-BY-4.0",
    receipt=told.receipt(),
)
Path("zoo_toy/weights.json").write_bytes(msgspec.json.encode({"weights": [spec]}))

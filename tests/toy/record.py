from pathlib import Path

import zoo

zoo.add_weights(zoo.Run.open("runs/tuned"), Path("zoo_toy"), tag="digits")

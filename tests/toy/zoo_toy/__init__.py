import zoo


@zoo.hookimpl
def zoo_models() -> list[zoo.ModelSpec]:
    """The architectures that `models.toml` describes."""
    return zoo.read_models(__package__, "models.toml")


@zoo.hookimpl
def zoo_weights() -> list[zoo.WeightsSpec]:
    """The weights that `record.py` wrote down."""
    return zoo.read_weights(__package__, "weights.json")


@zoo.hookimpl
def zoo_commands() -> list[object]:
    """One more command of `zoo`, imported when it is asked for."""
    from zoo_toy.show import show

    return [show]

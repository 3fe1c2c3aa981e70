"""What zoo can be asked to do: one module per task, described to the registry in `tasks.toml`."""

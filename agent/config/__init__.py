"""The configuration: one YAML file, one schema, every fault named with its line."""

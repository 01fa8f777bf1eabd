"""Checks of the plugin under load and with random faults: `python -m soak`."""

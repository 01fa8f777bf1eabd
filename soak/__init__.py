"""What the plugin promises under load and against a server in a bad hour: `python -m soak`."""

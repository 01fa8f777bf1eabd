"""Builds the image of the plugin and tests it with real containers: `python -m image_test`."""

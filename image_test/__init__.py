"""The plugin's image, built and run for real: `python -m image_test`."""

"""What a step costs, beside the least it could cost and beside the published way of doing it: `python -m bench`."""

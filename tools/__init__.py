"""Scripts that the targets of the Makefile run."""

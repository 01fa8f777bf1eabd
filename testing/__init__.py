"""Shared by the tests, the benchmark, the soak test and the tools: the plugin as a process, servers to point it at."""

"""Configures pytest: the number of examples of the property tests, and what the coverage is measured of.

Property tests try few examples locally, and many where the environment variable CI is set.
"""

import os

from hypothesis import settings

# Derandomized, so that the same code always gives the same result.
settings.register_profile("ci", deadline=None, derandomize=True, database=None, max_examples=200)
settings.register_profile("local", settings.get_profile("ci"), max_examples=25)

many = settings.get_profile("ci" if os.environ.get("CI") else "local")
some = settings(many, max_examples=many.max_examples * 2 // 5)

if "PYTEST_XDIST_WORKER" in os.environ:
    # Measuring the plugin's own processes as well makes their start several times slower and adds no line.
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)

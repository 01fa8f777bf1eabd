"""Runs the plugin with another folder for the state of triggers and another minimum interval.

`python -m testing.trigger_launcher FOLDER SECONDS run` is like `bin/komand_sentry run`, which has no option for either.
"""

import runpy
import sys

from testing.plugin import PLUGIN


def main() -> None:
    folder, seconds = sys.argv[1:3]
    # The runtime reads its arguments when it is imported, so it is imported afterwards.
    sys.argv[:3] = [str(PLUGIN)]

    import insightconnect_plugin_runtime.trigger as runtime  # noqa: PLC0415

    runtime.CACHE_DIR = folder

    from komand_sentry.util.trigger import loop  # noqa: PLC0415

    loop.MIN_INTERVAL = int(seconds)
    runpy.run_path(str(PLUGIN), run_name="__main__")


if __name__ == "__main__":
    main()

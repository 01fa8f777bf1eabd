"""Runs the validators of `insight-plugin validate` that need no network, each by name with its verdict.

`insight-plugin validate` stops at the first validator that cannot reach the network, and skips the rest. It runs in the
environment of the generator: `make validate`.
"""

import sys
from pathlib import Path
from typing import Any

from icon_plugin_spec.plugin_spec import KomandPluginSpec
from icon_validator.rules import JENKINS_VALIDATORS, VALIDATORS

ROOT = Path(__file__).resolve().parent.parent

NOT_RUN = {
    "VersionValidator": "asks the plugin hub for the released version",
    "RuntimeValidator": "asks the registry of images for the latest parent",
    "UnapprovedKeywordsValidator": "fetches the list of keywords",
    "URLValidator": "opens every link of help.md",
    "VersionBumpValidator": "compares with the remote named origin",
    "DockerValidator": "builds and runs the image: `make image-test` does",
}


def verdict(validator: Any, spec: KomandPluginSpec) -> str | None:
    """What is wrong, None where nothing is."""
    try:
        validator.validate(spec)
    except Exception as error:  # noqa: BLE001 - a validator that breaks down has not passed either
        return str(error) or type(error).__name__
    return None


def main() -> int:
    spec = KomandPluginSpec(str(ROOT), "plugin.spec.yaml")
    failed = 0
    for validator in (*VALIDATORS, *JENKINS_VALIDATORS):
        name = type(validator).__name__
        if name in NOT_RUN:
            print(f"  not run  {name}: {NOT_RUN[name]}")
            continue
        problem = verdict(validator, spec)
        failed += problem is not None
        print(f"  passed   {name}" if problem is None else f"  FAILED   {name}: {problem}")
    print(f"With a network, `insight-plugin validate` runs the {len(NOT_RUN)} others too.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

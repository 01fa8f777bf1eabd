"""Runs the validators of `insight-plugin validate` that need no network, each by name with its verdict.

`insight-plugin validate` stops at the first validator that cannot reach the network, and skips the rest. It runs in the
environment of the generator: `make validate`.
"""

import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
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
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            validator.validate(spec)
    except Exception as error:  # noqa: BLE001 - a validator that breaks down has not passed either
        return f"{str(error) or type(error).__name__} {said.getvalue()}".strip()
    return None


def copy_of_plugin(target: Path) -> None:
    """What git keeps of it, as it is now: some validators take any schema.py below it for the plugin's own."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        copy_of_plugin(Path(folder))
        return validate(KomandPluginSpec(folder, "plugin.spec.yaml"))


def validate(spec: KomandPluginSpec) -> int:
    """How many validators are not content, each said; 1 at most."""
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

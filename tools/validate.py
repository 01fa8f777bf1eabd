"""Runs the validators of `insight-plugin validate` that need no network, and prints the result of each.

`insight-plugin validate` stops at the first validator that cannot reach the network, and skips the rest. This script
runs in the environment of the generator, see `make validate`.
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
    "VersionValidator": "requests the released version from the plugin hub",
    "RuntimeValidator": "requests the latest parent image from its registry",
    "UnapprovedKeywordsValidator": "fetches the list of keywords",
    "URLValidator": "opens every link of help.md",
    "VersionBumpValidator": "compares with the git remote origin",
    "DockerValidator": "builds and runs the image, as `make image-test` does",
}


def problem_of(validator: Any, spec: KomandPluginSpec) -> str | None:
    """Run a validator.

    :returns: its error message, None if it passes
    """
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            validator.validate(spec)
    except Exception as error:  # noqa: BLE001 - a validator that crashes has not passed
        return f"{str(error) or type(error).__name__} {output.getvalue()}".strip()
    return None


def copy_plugin(target: Path) -> None:
    """Copy the files that git tracks or would add, because some validators read any schema.py in the folder."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        copy_plugin(Path(folder))
        return validate(KomandPluginSpec(folder, "plugin.spec.yaml"))


def validate(spec: KomandPluginSpec) -> int:
    """Run the validators and print their results.

    :returns: the exit status, 1 if a validator fails
    """
    failed = 0
    for validator in (*VALIDATORS, *JENKINS_VALIDATORS):
        name = type(validator).__name__
        if name in NOT_RUN:
            print(f"  not run  {name}: {NOT_RUN[name]}")
            continue
        problem = problem_of(validator, spec)
        failed += problem is not None
        print(f"  passed   {name}" if problem is None else f"  FAILED   {name}: {problem}")
    print(f"`insight-plugin validate` also runs the {len(NOT_RUN)} others, if a network is available.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

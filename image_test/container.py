"""Starts containers of the plugin and inspects its image."""

import gzip
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testing.plugin import ROOT

SCRIPT = ROOT / "tools" / "image"
# No capabilities, and no writable file system except /tmp.
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")
# podman inside a container needs runc, and limits that do not exceed those of the outer container.
PODMAN = ("--runtime", "runc") if shutil.which("runc") else ()
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


@dataclass(frozen=True)
class Container:
    """An image, and the engine that runs it.

    :param engine: `docker` or `podman`
    :param image: name of the image
    """

    engine: str
    image: str

    @property
    def command(self) -> tuple[str, ...]:
        return (self.engine, *(PODMAN if self.engine == "podman" else ()))

    def argv(self, *options: str) -> tuple[str, ...]:
        """The command that starts a container in the network of this machine, without the arguments of the plugin."""
        return (*self.command, "run", "--rm", "-i", "--network", "host", *LIMITS, *HARDENED, *options, self.image)

    def python(self, code: str) -> str:
        """Run Python code in a container.

        :returns: its output
        """
        return output_of(*self.argv("--entrypoint", "python"), "-c", code)

    @contextmanager
    def cache(self) -> Iterator[tuple[str, ...]]:
        """The options of `argv` for a new volume in which triggers store their state."""
        volume = f"sentry-test-{uuid.uuid4().hex[:8]}"
        output_of(*self.command, "volume", "create", volume)
        try:
            yield ("--volume", f"{volume}:/workspace/cache")
        finally:
            output_of(*self.command, "volume", "rm", "--force", volume)

    def stop(self, name: str) -> None:
        """Send SIGTERM to a container if it runs, and SIGKILL after 10 seconds."""
        subprocess.run([*self.command, "stop", "--time", "10", name], capture_output=True, check=False)

    def size(self, image: str = "") -> int:
        """The size of an image in bytes, by default of this one."""
        return int(output_of(*self.command, "image", "inspect", "--format", "{{.Size}}", image or self.image))


def plugin_container() -> Container:
    return Container(output_of(str(SCRIPT), "engine").strip(), output_of(str(SCRIPT), "name").strip())


def build() -> None:
    print(output_of(str(SCRIPT), "build").strip())


def load(archive: Path, container: Container) -> None:
    """Load an export after removing the image that it was made from."""
    subprocess.run([*container.command, "rmi", "--force", container.image], capture_output=True, check=False)
    with tempfile.NamedTemporaryFile(suffix=".tar") as tar:
        # podman before 2024 does not unpack the archive.
        with gzip.open(archive) as packed:
            shutil.copyfileobj(packed, tar)
        tar.flush()
        print(output_of(*container.command, "load", "--input", tar.name).strip())


def output_of(*argv: str) -> str:
    """Run a command.

    :returns: its output
    :raises AssertionError: it failed
    """
    process = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert process.returncode == 0, f"{' '.join(argv[:4])} failed:\n{process.stdout}{process.stderr}"
    return process.stdout

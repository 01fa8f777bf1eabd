"""How a container of the plugin is started, and what is asked of its image."""

import gzip
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from testing.plugin import ROOT

SCRIPT = ROOT / "tools" / "image"
# As little as a container can be given: no capabilities, nothing to write to but /tmp, and the image's own user.
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")
# Where podman itself runs in a container, runc is the runtime that can start another.
PODMAN = ("--runtime", "runc") if shutil.which("runc") else ()
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


@dataclass(frozen=True)
class Container:
    """An image, and the engine that runs it: `docker` or `podman`."""

    engine: str
    image: str

    @property
    def command(self) -> tuple[str, ...]:
        return (self.engine, *(PODMAN if self.engine == "podman" else ()))

    def argv(self, *options: str) -> tuple[str, ...]:
        """What starts a container on the network of this machine; arguments of the plugin follow."""
        return (*self.command, "run", "--rm", "-i", "--network", "host", *LIMITS, *HARDENED, *options, self.image)

    def python(self, code: str) -> str:
        """What Python code prints inside the container."""
        return output_of(*self.argv("--entrypoint", "python"), "-c", code)

    def size(self, image: str = "") -> int:
        """In bytes."""
        return int(output_of(*self.command, "image", "inspect", "--format", "{{.Size}}", image or self.image))


def plugin_container() -> Container:
    return Container(output_of(str(SCRIPT), "engine").strip(), output_of(str(SCRIPT), "name").strip())


def build() -> None:
    print(output_of(str(SCRIPT), "build").strip())


def load(archive: Path, container: Container) -> None:
    """Loads an export in place of the image that it was made from."""
    subprocess.run([*container.command, "rmi", "--force", container.image], capture_output=True, check=False)
    with tempfile.NamedTemporaryFile(suffix=".tar") as tar:
        # docker reads the archive as it is; podman of before 2024 does not unpack it by itself.
        with gzip.open(archive) as packed:
            shutil.copyfileobj(packed, tar)
        tar.flush()
        print(output_of(*container.command, "load", "--input", tar.name).strip())


def output_of(*argv: str) -> str:
    """:raises AssertionError: it failed"""
    process = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert process.returncode == 0, f"{' '.join(argv[:4])} failed:\n{process.stdout}{process.stderr}"
    return process.stdout

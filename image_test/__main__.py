"""Builds the image and proves that it runs: every message of tests/ on stdin and over HTTP, against a sandbox outside.

The container is run as it should be: as its own user nobody, read-only, without capabilities.
    python -m image_test            of the image
    python -m image_test FILE.plg   of an export, which is loaded first
"""

import re
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from sandbox import Sandbox
from testing.plugin import ROOT, Json, PluginServer, run_plugin, sample_messages

from .container import Container, build, load, output_of, plugin_container

EXPECTED_FILES = re.compile(
    r"(bin/komand_sentry|plugin\.spec\.yaml|requirements\.txt|setup\.py"
    r"|komand_sentry/[a-z_/]+\.py|komand_sentry/[a-z_/]*__pycache__/[a-z_]+\.cpython-\d+\.pyc)"
)
LIST_FILES = """
import os
for folder, _, names in os.walk("/workspace"):
    print("\\n".join(os.path.relpath(os.path.join(folder, name), "/workspace") for name in names))
"""
WHO_AND_WHAT = """
import os, pwd
print(pwd.getpwuid(os.getuid()).pw_name)
print(open("/proc/self/status").read().split("CapEff:")[1].split()[0])
try:
    open("/workspace/written", "w")
except OSError as error:
    print(error.strerror)
"""
STARTS = 5


def check_files(container: Container) -> None:
    files = sorted(filter(None, container.python(LIST_FILES).splitlines()))
    print(f"\n{len(files)} files in /workspace:")
    print("\n".join(f"  {name}" for name in files))
    strangers = [name for name in files if not EXPECTED_FILES.fullmatch(name)]
    assert not strangers, f"these do not belong into the image: {strangers}"
    compiled = {re.sub(r"__pycache__/(\w+)\.cpython-\d+\.pyc", r"\1.py", name) for name in files if ".pyc" in name}
    sources = {name for name in files if re.fullmatch(r"komand_sentry/.*\.py", name)}
    assert compiled == sources, f"without bytecode: {sorted(sources - compiled)}"


def check_size(container: Container) -> None:
    parent = re.findall(r"^FROM .* (\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)[-1]
    beyond = container.size() - container.size(parent)
    print(f"\nsize beyond the parent image: {beyond / 1024:.0f} KiB")
    assert beyond < 20 * 2**20, "the image has grown beyond what the plugin needs"


def check_confinement(container: Container) -> None:
    user, capabilities, refusal = container.python(WHO_AND_WHAT).split("\n")[:3]
    confined = ("nobody", 0, "Read-only file system")
    assert (user, int(capabilities, 16), refusal) == confined, (user, capabilities, refusal)
    print(f"runs as {user}, without capabilities, on a file system that is read-only")


def check_outputs(name: str, output: Json) -> None:
    if name == "submit_event":
        assert re.fullmatch("[0-9a-f]{32}", output["id"]), output
    elif name == "list_project_issues":
        assert [issue["title"] for issue in output["issues"]] == ["Pump P-2 stopped"], output
    elif name == "list_issue_events":
        assert output["events"][0]["title"] == "Pump P-2 stopped", output
    elif name == "update_issue":
        assert output["issue"]["status"] == "resolved", output
    else:
        assert output["success"] is True, output


def check_stdin(container: Container) -> None:
    info = output_of(*container.argv(), "info")
    assert "update_issue" in info, info
    with Sandbox() as sandbox:
        for name, message in sample_messages(sandbox.env).items():
            command = "test" if name == "connection_test" else "run"
            body = run_plugin(command, message, container.argv())
            assert body["status"] == "ok", body
            check_outputs(name, body["output"])
            print(f"  stdin  {name}: ok")


def check_http(container: Container) -> None:
    with Sandbox() as sandbox, PluginServer(container.argv()) as server:
        with urllib.request.urlopen(f"{server.base}/api/v1/status", timeout=30) as health:
            assert health.status == 200, health.status
            print("  HTTP   health check: ok")
        for name, message in sample_messages(sandbox.env).items():
            is_test = name == "connection_test"
            body = server.test_connection(message) if is_test else server.run(name, message)
            assert body["status"] == "ok", body
            check_outputs(name, body["output"])
            print(f"  HTTP   {name}: ok")


def report_cold_start(container: Container) -> None:
    """The time of a step, and of a container that does nothing."""
    with Sandbox() as sandbox:
        message = sample_messages(sandbox.env)["list_project_issues"]
        steps = [seconds_of(lambda: run_plugin("run", message, container.argv())) for _ in range(STARTS)]
    nothing = [seconds_of(lambda: container.python("pass")) for _ in range(STARTS)]
    step, bare = statistics.median(steps), statistics.median(nothing)
    print(f"cold start of a step: {step:.2f} s, of which the container itself {bare:.2f} s (medians of {STARTS})")


def seconds_of(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def main() -> int:
    container = plugin_container()
    try:
        if len(sys.argv) > 1:
            load(Path(sys.argv[1]), container)
            check_stdin(container)
            return 0
        build()
        check_files(container)
        check_size(container)
        check_confinement(container)
        check_stdin(container)
        check_http(container)
        report_cold_start(container)
    except AssertionError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Builds the image and runs the messages of tests/ in a container, against a sandbox outside.

One container in HTTP mode runs all of the actions. On stdin, where each takes a container, some of them suffice. A
trigger runs in two containers, the second of which continues from the state of the first.

The containers are confined: they run as the user nobody, read-only and without capabilities.
    python -m image_test            tests the image
    python -m image_test FILE.plg   loads an export and tests it
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

from sandbox import Sandbox
from testing.plugin import ROOT, TRIGGERS, Json, PluginServer, run_plugin, sample_messages, sample_steps, trigger_sample
from testing.sink import Sink
from testing.support import connection_to, run_action

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
CONFINEMENT = """
import os, pwd
print(pwd.getpwuid(os.getuid()).pw_name)
print(open("/proc/self/status").read().split("CapEff:")[1].split()[0])
try:
    open("/workspace/written", "w")
except OSError as error:
    print(error.strerror)
"""
ON_STDIN = ("connection_test", "submit_event", "list_project_issues", "list_issue_events", "update_issue", "get_event")
MAX_SIZE = 4 * 2**20
STARTS = 5
WAIT_SECONDS = 60
# A trigger that is stopped before it has read the response to a message sends the message again.
RESPONSE_SECONDS = 1.0
MAX_STOP_SECONDS = 5.0


def check_files(container: Container) -> None:
    """Check that the image contains the plugin and nothing else, with the bytecode of each module."""
    files = sorted(filter(None, container.python(LIST_FILES).splitlines()))
    print(f"\n{len(files)} files in /workspace:")
    print("\n".join(f"  {name}" for name in files))
    unexpected = [name for name in files if not EXPECTED_FILES.fullmatch(name)]
    assert not unexpected, f"unexpected files in the image: {unexpected}"
    compiled = {re.sub(r"__pycache__/(\w+)\.cpython-\d+\.pyc", r"\1.py", name) for name in files if ".pyc" in name}
    sources = {name for name in files if re.fullmatch(r"komand_sentry/.*\.py", name)}
    assert compiled == sources, f"modules without bytecode: {sorted(sources - compiled)}"


def check_size(container: Container) -> None:
    """Check how much the image adds to its parent."""
    parent = re.findall(r"^FROM .* (\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)[-1]
    added = container.size() - container.size(parent)
    print(f"\nsize without the parent image: {added / 1024:.0f} KiB")
    assert added < MAX_SIZE, f"the image adds more than {MAX_SIZE / 1024:.0f} KiB to its parent"


def check_confinement(container: Container) -> None:
    """Check the user, the capabilities and the file system inside the container."""
    user, capabilities, error = container.python(CONFINEMENT).split("\n")[:3]
    confined = ("nobody", 0, "Read-only file system")
    assert (user, int(capabilities, 16), error) == confined, (user, capabilities, error)
    print(f"runs as {user} without capabilities on a read-only file system")


def is_expected(name: str, output: Json) -> bool:
    """Whether a message of tests/ has the expected effect."""
    title = "Pump P-2 stopped"
    checks: dict[str, Callable[[], bool]] = {
        "connection_test": lambda: output["success"] is True,
        "submit_event": lambda: re.fullmatch("[0-9a-f]{32}", output["id"]) is not None,
        "list_project_issues": lambda: [issue["title"] for issue in output["issues"]] == [title],
        "list_issue_events": lambda: output["events"][0]["title"] == title,
        "search_issues": lambda: [issue["title"] for issue in output["issues"]] == [title],
        "get_issue": lambda: title in output["summary"],
        "get_event": lambda: output["details"]["message"] == title,
        "list_tag_values": lambda: [value["value"] for value in output["values"]] == ["north"],
        "list_projects": lambda: "pump-station" in [project["slug"] for project in output["projects"]],
        "list_members": lambda: "admin@example.com" in [member["email"] for member in output["members"]],
        "list_teams": lambda: "ops" in [team["slug"] for team in output["teams"]],
        "add_comment": lambda: "OPS-42" in output["comment"]["text"],
        "list_comments": lambda: ["OPS-42" in comment["text"] for comment in output["comments"]] == [True],
        "update_issues": lambda: (output["dry_run"], output["matched"], output["changed"]) == (True, 1, 0),
        "update_issue": lambda: output["issue"]["status"] == "resolved",
        "merge_issues": lambda: output["completed"] is True and len(output["merged"]) == 1,
        "delete_issues": lambda: len(output["deleted"]) == 1,
    }
    return checks[name]()


def check_body(name: str, body: Json, mode: str) -> None:
    """Check that a step succeeds with the expected output."""
    assert body["status"] == "ok", body
    assert is_expected(name, body["output"]), body["output"]
    print(f"  {mode:5}  {name}: ok")


def check_stdin(container: Container) -> None:
    """Run messages in containers that read them from stdin."""
    info = output_of(*container.argv(), "info")
    missing = [name for name in ("update_issue", *TRIGGERS) if name not in info]
    assert not missing, f"not in the image: {missing}\n{info}"
    with Sandbox() as sandbox:
        messages = sample_messages(sandbox.env)
        for name in ON_STDIN:
            command = "test" if name == "connection_test" else "run"
            check_body(name, run_plugin(command, messages[name], container.argv()), "stdin")


def check_http(container: Container) -> None:
    """Send each message to a container in HTTP mode."""
    with Sandbox() as sandbox, PluginServer(container.argv()) as server:
        with urllib.request.urlopen(f"{server.base}/api/v1/status", timeout=30) as health:
            assert health.status == 200, health.status
            print("  HTTP   health check: ok")
        for name, message in sample_steps(sandbox.env):
            is_test = name == "connection_test"
            body = server.test_connection(message) if is_test else server.run(name, message)
            check_body(name, body, "HTTP")


def check_triggers(container: Container) -> None:
    """Run each trigger in two containers that share a cache: a record is sent once, and SIGTERM ends the container."""
    for name in TRIGGERS:
        with Sandbox() as sandbox, Sink() as sink, container.cache() as cache:
            connection = connection_to(sandbox.base, sandbox.env["TOKEN"])
            message = trigger_sample(name, sandbox.env, sink.url)
            stops = []
            for count in (1, 2):
                event = {"message": f"Pump P-{count} stopped"}
                run_action("submit_event", connection, {"dsn": sandbox.env["DSN_PUBLIC"], "event_json": event})
                stops.append(run_trigger(container, cache, message, sink, count))
            titles = [(output.get("issue") or output["event"])["title"] for output in sink.outputs]
        assert titles == ["Pump P-1 stopped", "Pump P-2 stopped"], titles
        print(f"  stdin  {name}: ok, stopped in {' and '.join(f'{seconds:.1f} s' for seconds in stops)}")


def run_trigger(container: Container, cache: tuple[str, ...], message: Json, sink: Sink, count: int) -> float:
    """Run a trigger in a container until the sink has accepted `count` messages.

    :returns: how many seconds it takes to stop the container
    """
    name = f"sentry-test-{uuid.uuid4().hex[:8]}"
    argv = [*container.argv("--name", name, *cache), "run"]
    with tempfile.TemporaryFile() as start, tempfile.TemporaryFile() as log:
        start.write(json.dumps(message).encode())
        start.seek(0)
        process = subprocess.Popen(argv, stdin=start, stdout=log, stderr=log)
        is_complete = sink.wait_for(lambda outputs: len(outputs) >= count, WAIT_SECONDS)
        time.sleep(RESPONSE_SECONDS)
        seconds = seconds_of(lambda: container.stop(name))
        status = process.wait()
        log.seek(0)
        output = log.read().decode(errors="replace")
    assert is_complete, f"the sink has {len(sink.outputs)} messages instead of {count}:\n{output}"
    assert status == 0, f"ended with status {status}:\n{output}"
    assert seconds <= MAX_STOP_SECONDS, f"ended {seconds:.1f} s after it was stopped:\n{output}"
    return seconds


def report_cold_start(container: Container) -> None:
    """Print the duration of a step, and of starting a container."""
    with Sandbox() as sandbox:
        message = sample_messages(sandbox.env)["list_project_issues"]
        steps = [seconds_of(lambda: run_plugin("run", message, container.argv())) for _ in range(STARTS)]
    bare_starts = [seconds_of(lambda: container.python("pass")) for _ in range(STARTS)]
    step, bare = statistics.median(steps), statistics.median(bare_starts)
    print(f"a step takes {step:.2f} s, of which the container itself takes {bare:.2f} s (medians of {STARTS})")


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
            check_http(container)
            check_triggers(container)
            return 0
        build()
        check_files(container)
        check_size(container)
        check_confinement(container)
        check_stdin(container)
        check_http(container)
        check_triggers(container)
        report_cold_start(container)
    except AssertionError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs a message of tests/ against a sandbox: `python -m tools.run list_project_issues`.

The sandbox's URL, token and DSN are filled in here, so the files in tests/ stay without credentials. A trigger is ended
after its first message.
"""

import json
import subprocess
import sys
import time
from typing import Any

from sandbox import Sandbox
from testing.plugin import ENVIRONMENT, LOCAL, SECOND_ISSUE_ACTIONS, TRIGGERS, Json, another_event, sample_messages
from tools.trigger import run_trigger, trigger_samples

WIDTH = 110


def run_message(name: str, message: Json) -> tuple[str, Json]:
    """Run one message in a process of the plugin.

    :returns: the log of the step, and the body of the response
    """
    argv = [*LOCAL, "test" if name == "connection_test" else "run"]
    process = subprocess.run(
        argv, input=json.dumps(message), stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False
    )
    log, _, response = process.stdout.strip().rpartition("\n")
    body: Json = json.loads(response)["body"]
    return log, body


def run_sample(sandbox: Sandbox, name: str, message: Json) -> tuple[str, Json]:
    """Run a message of tests/; return the log, and the body of the response or of the first message of a trigger."""
    if name in TRIGGERS:
        done = run_trigger(sandbox, name, message["body"]["input"])
        return done.log, done.message["body"]
    return run_message(name, message)


def pretty(value: Any, indent: str = "") -> str:
    """JSON in which each object and list that fits into a line is on one line."""
    text = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(text) <= WIDTH or not isinstance(value, dict | list):
        return text
    inner = f"{indent}  "
    if isinstance(value, dict):
        items = [f"{inner}{json.dumps(key)}: {pretty(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    return "[\n" + ",\n".join(f"{inner}{pretty(item, inner)}" for item in value) + f"\n{indent}]"


def main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    with Sandbox() as sandbox:
        messages = {**sample_messages(sandbox.env), **trigger_samples(sandbox.env)}
        if name not in messages:
            print(f"There is no message {name!r} in tests/. Choose one of: {', '.join(messages)}", file=sys.stderr)
            return 2
        if name not in ("connection_test", "submit_event"):
            # The other messages need the issue of this event.
            run_message("submit_event", messages["submit_event"])
        if name in SECOND_ISSUE_ACTIONS:
            run_message("submit_event", another_event(messages))
        print(f"Input (tests/{name}.json):\n{pretty(messages[name]['body'].get('input', {}))}\n")
        started = time.monotonic()
        log, body = run_sample(sandbox, name, messages[name])
        seconds = time.monotonic() - started
    heading = "First message" if name in TRIGGERS else "Response"
    print(f"Log:\n{log}\n\n{heading} after {seconds:.1f} s:\n{pretty(body)}")
    return 0 if body.get("status", "ok") == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())

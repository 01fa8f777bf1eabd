"""Count the files and the visits of two data paths through the plugin: `python -m tools.trace`.

A file counts once however often it is entered. A visit is a call from one file of the plugin into another one.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sandbox import Sandbox
from testing.plugin import ROOT
from testing.support import ACTIONS, connection_to, run_action

PLUGIN = f"{ROOT / 'komand_sentry'}/"


class Trace:
    """The files of the plugin in the order in which control passes through them."""

    def __init__(self) -> None:
        self.path: list[str] = []

    def record(self, frame: FrameType, event: str, _argument: Any) -> None:
        """Profile function: see sys.setprofile."""
        file = _plugin_file(frame)
        if event == "call" and file and file != _calling_file(frame):
            self.path.append(file)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Record what runs within the block."""
        sys.setprofile(self.record)
        try:
            yield
        finally:
            sys.setprofile(None)

    def report(self, title: str) -> str:
        """One line of counts, and the files in the order of their first visit."""
        files = list(dict.fromkeys(self.path))
        return f"{title}: {len(files)} files, {len(self.path)} visits\n  {' '.join(files)}"


def _plugin_file(frame: FrameType) -> str:
    name = frame.f_code.co_filename
    return name.removeprefix(PLUGIN) if name.startswith(PLUGIN) else ""


def _calling_file(frame: FrameType) -> str:
    """The file of the plugin that the call came from, through whatever libraries."""
    caller = frame.f_back
    while caller and not _plugin_file(caller):
        caller = caller.f_back
    return _plugin_file(caller) if caller else ""


def main() -> None:
    """Trace one Update Issue, and one page of List Project Issues."""
    with Sandbox() as sandbox:
        connection = connection_to(sandbox.base, sandbox.env["TOKEN"])
        slugs = {"organization_slug": sandbox.env["ORG"], "project_slug": sandbox.env["PROJECT"]}
        run_action("submit_event", connection, {"dsn": sandbox.env["DSN_PUBLIC"], "event_json": {"message": "Trace"}})
        issue = run_action("list_project_issues", connection, slugs)["issues"][0]
        paths = {
            # Before the update, which resolves the only issue: an empty list costs another request.
            "list_project_issues": slugs,
            "update_issue": {"issue_id": issue["id"], "status": "resolved"},
        }
        for name, params in paths.items():
            action = ACTIONS[name]()
            action.connection = connection
            action.run(params)
            trace = Trace()
            with trace.running():
                action.run(params)
            print(trace.report(name))


if __name__ == "__main__":
    main()

"""The published way of doing it: the plugin's actions as plugins for this runtime are usually written.

The same runtime, the same generated schemas and the same Sentry; a connection for each request (`requests.get`), nulls
taken out with the runtime's own `clean`, inputs and outputs judged by the runtime.

    python -c "from bench.naive import main; main()" run
"""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import insightconnect_plugin_runtime
import requests
from insightconnect_plugin_runtime.exceptions import PluginException
from insightconnect_plugin_runtime.helper import clean

PACKAGE = Path(__file__).resolve().parent.parent / "komand_sentry"
PAGE = 100
SECONDS = 60
MOST_IN_CLEAR = 400

Json = dict[str, Any]


def schema(folder: str) -> ModuleType:
    """A generated schema alone: importing it from its package would import the whole plugin, and take its time."""
    spec = importlib.util.spec_from_file_location(f"naive_{Path(folder).name}", PACKAGE / folder / "schema.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_CONNECTION = schema("connection")
_SUBMIT = schema("actions/submit_event")
_ISSUES = schema("actions/list_project_issues")
_EVENTS = schema("actions/list_issue_events")
_UPDATE = schema("actions/update_issue")


class Connection(insightconnect_plugin_runtime.Connection):
    def __init__(self) -> None:
        super().__init__(input=_CONNECTION.ConnectionSchema())

    def connect(self, params: Json) -> None:
        self.url = params["url"].rstrip("/")
        self.headers = {"Authorization": f"Bearer {params['token']['token']}"}

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        return checked(requests.request(method, self.url + path, headers=self.headers, timeout=SECONDS, **more))

    def pages(self, path: str, params: Json, limit: int) -> list[Json]:
        """All pages of a list, until there is no other or the limit is reached."""
        records: list[Json] = []
        while True:
            response = self.call("GET", path, params=params)
            records += clean(response.json())
            following = response.links.get("next", {})
            if following.get("results") != "true" or 0 < limit <= len(records):
                return records
            params = {**params, "cursor": following["cursor"]}


def checked(response: requests.Response) -> requests.Response:
    """:raises PluginException: the server refused the request"""
    if response.status_code >= MOST_IN_CLEAR:
        raise PluginException(preset=PluginException.Preset.UNKNOWN, data=response.text)
    return response


class SubmitEvent(insightconnect_plugin_runtime.Action):
    def __init__(self) -> None:
        super().__init__(
            name="submit_event",
            description=_SUBMIT.Component.DESCRIPTION,
            input=_SUBMIT.SubmitEventInput(),
            output=_SUBMIT.SubmitEventOutput(),
        )

    def run(self, params: Json) -> Json:
        dsn = urlsplit(params["dsn"])
        url = f"{dsn.scheme}://{dsn.hostname}:{dsn.port}/api{dsn.path}/store/"
        version = params.get("sentry_version", 7)
        headers = {"X-Sentry-Auth": f"Sentry sentry_version={version}, sentry_key={dsn.username}"}
        response = checked(requests.post(url, json=params["event_json"], headers=headers, timeout=SECONDS))
        return {"id": response.json()["id"]}


class ListProjectIssues(insightconnect_plugin_runtime.Action):
    def __init__(self) -> None:
        super().__init__(
            name="list_project_issues",
            description=_ISSUES.Component.DESCRIPTION,
            input=_ISSUES.ListProjectIssuesInput(),
            output=_ISSUES.ListProjectIssuesOutput(),
        )

    def run(self, params: Json) -> Json:
        path = f"/api/0/projects/{params['organization_slug']}/{params['project_slug']}/issues/"
        limit = params.get("limit", 0)
        query = {"statsPeriod": params.get("statsPeriod", ""), "limit": limit or PAGE}
        return {"issues": self.connection.pages(path, query, limit)}


class ListIssueEvents(insightconnect_plugin_runtime.Action):
    def __init__(self) -> None:
        super().__init__(
            name="list_issue_events",
            description=_EVENTS.Component.DESCRIPTION,
            input=_EVENTS.ListIssueEventsInput(),
            output=_EVENTS.ListIssueEventsOutput(),
        )

    def run(self, params: Json) -> Json:
        path = f"/api/0/issues/{params['issue_id']}/events/"
        limit = params.get("limit", 0)
        query = {"full": int(params.get("full", False)), "per_page": limit or PAGE}
        return {"events": self.connection.pages(path, query, limit)}


class UpdateIssue(insightconnect_plugin_runtime.Action):
    """Nothing measures it. It is here since a plugin with this action loads its schema, whichever action is run."""

    def __init__(self) -> None:
        super().__init__(
            name="update_issue",
            description=_UPDATE.Component.DESCRIPTION,
            input=_UPDATE.UpdateIssueInput(),
            output=_UPDATE.UpdateIssueOutput(),
        )

    def run(self, params: Json) -> Json:
        changes = {name: value for name, value in params.items() if name != "issue_id"}
        return {
            "issue": clean(self.connection.call("PUT", f"/api/0/issues/{params['issue_id']}/", json=changes).json())
        }


class NaivePlugin(insightconnect_plugin_runtime.Plugin):
    def __init__(self) -> None:
        super().__init__(name="Naive", vendor="bench", version="1.0.0", description="As usual", connection=Connection())
        for action in (SubmitEvent(), ListProjectIssues(), ListIssueEvents(), UpdateIssue()):
            self.add_action(action)


def main() -> None:
    insightconnect_plugin_runtime.CLI(NaivePlugin()).run()

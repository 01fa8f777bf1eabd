"""Two plugins on the same runtime to compare with: one that does only what cannot be avoided, one in the usual style.

`bare` parses a list or posts an event, and leaves the rest to the runtime: the floor of `run` and of submitting.
`naive` opens a connection for each request, removes nulls with the runtime's `clean`, and has the runtime validate with
the generated schemas of the measured plugin, whose folder is the environment variable PLUGIN_ROOT.

    python -c "from bench.plugins import naive; naive()" run
"""

# mypy: disable-error-code="misc,no-untyped-call"

import importlib.util
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import insightconnect_plugin_runtime as runtime
import requests
from insightconnect_plugin_runtime.helper import clean

Json = dict[str, Any]

SECONDS = 60


class Connection(runtime.Connection):
    def connect(self, params: Json) -> None:
        self.url = params["url"].rstrip("/")
        self.headers = {"Authorization": f"Bearer {params['token']['token']}"}


class Action(runtime.Action):
    """:param do: takes the connection and the inputs, returns the output"""

    def __init__(self, name: str, schema_in: Any, schema_out: Any, do: Callable[[Connection, Json], Json]) -> None:
        super().__init__(name, name, schema_in, schema_out)
        self.do = do

    def run(self, params: Json) -> Json:
        return self.do(self.connection, params)


class AnyValue(runtime.Input):
    """Accept everything, without the time that a validation takes."""

    def validate(self, parameters: Any) -> None:
        """Accept everything."""


def bare() -> None:
    # The naive plugin does not spend the time of these imports.
    import orjson  # noqa: PLC0415

    from bench.floor import fetch, pool  # noqa: PLC0415

    def list_project_issues(connection: Connection, params: Json) -> Json:
        query = urlencode({"query": "is:unresolved", "statsPeriod": params["statsPeriod"], "limit": 100})
        records = fetch(f"{connection.url}{issues_path(params)}?{query}")
        # The plugin returns no nulls. Without them the runtime writes the same amount of text for both.
        for record in records:
            for key in [key for key, value in record.items() if value is None]:
                del record[key]
        return {"issues": records}

    def submit_event(_: Connection, params: Json) -> Json:
        url, headers = store(params["dsn"])
        response = pool().request("POST", url, body=orjson.dumps(params["event_json"]), headers=headers)
        return {"id": orjson.loads(response.data)["id"]}

    steps = (list_project_issues, submit_event)
    serve(AnyValue({}), (Action(step.__name__, AnyValue({}), AnyValue({}), step) for step in steps))


def naive() -> None:
    package = Path(os.environ["PLUGIN_ROOT"], "komand_sentry")
    steps = {step.__name__: step for step in (submit_event, list_project_issues, list_issue_events)}
    actions = []
    # A plugin loads the schemas of all its actions, so this one has all of them. Most do nothing.
    for file in sorted(package.glob("actions/*/schema.py")):
        name = file.parent.name
        title = name.title().replace("_", "")
        actions.append(
            Action(name, schema(file, f"{title}Input"), schema(file, f"{title}Output"), steps.get(name, nothing))
        )
    serve(schema(package / "connection" / "schema.py", "ConnectionSchema"), actions)


def serve(connection_schema: Any, actions: Iterable[Action]) -> None:
    plugin = runtime.Plugin("Bench", "bench", "To compare with", "1.0.0", Connection(input=connection_schema))
    for action in actions:
        plugin.add_action(action)
    runtime.CLI(plugin, sys.argv[1:]).run()


def schema(file: Path, name: str) -> Any:
    """Create an instance of a class of a generated schema, without importing the plugin around it."""
    spec = importlib.util.spec_from_file_location(f"schema_{file.parent.name}", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)()


def issues_path(params: Json) -> str:
    return f"/api/0/projects/{params['organization_slug']}/{params['project_slug']}/issues/"


def store(dsn: str) -> tuple[str, dict[str, str]]:
    """The URL to post events to, and the headers."""
    parts = urlsplit(dsn)
    url = f"{parts.scheme}://{parts.hostname}:{parts.port}/api{parts.path}/store/"
    return url, {"X-Sentry-Auth": f"Sentry sentry_version=7, sentry_key={parts.username}"}


def list_project_issues(connection: Connection, params: Json) -> Json:
    return {"issues": pages(connection, issues_path(params), {"statsPeriod": params["statsPeriod"], "limit": 100})}


def list_issue_events(connection: Connection, params: Json) -> Json:
    path = f"/api/0/issues/{params['issue_id']}/events/"
    return {"events": pages(connection, path, {"full": int(params["full"]), "per_page": 100})}


def submit_event(_: Connection, params: Json) -> Json:
    url, headers = store(params["dsn"])
    response = requests.post(url, json=params["event_json"], headers=headers, timeout=SECONDS)
    response.raise_for_status()
    return {"id": response.json()["id"]}


def nothing(_: Connection, params: Json) -> Json:
    return params


def pages(connection: Connection, path: str, params: Json) -> list[Json]:
    """Read all pages of a list."""
    records: list[Json] = []
    while True:
        response = requests.get(connection.url + path, headers=connection.headers, timeout=SECONDS, params=params)
        response.raise_for_status()
        records += clean(response.json())
        following = response.links.get("next", {})
        if following.get("results") != "true":
            return records
        params = {**params, "cursor": following["cursor"]}

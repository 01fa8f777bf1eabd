"""A plugin on the same runtime that does nothing of its own, to show what the runtime costs.

- `recall` returns records that are in its memory already: what remains is the runtime's masking, jsonify and transfer.
- `submit_event` posts the given event over a connection that is kept, and nothing else.

    python -c "from bench.bare import main; main()" http
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import insightconnect_plugin_runtime
import orjson
import urllib3

Json = dict[str, Any]

SECONDS = 60.0
_remembered: dict[str, Json] = {}
_pool = urllib3.PoolManager(maxsize=16, timeout=SECONDS)


class _Unjudged(insightconnect_plugin_runtime.Input):
    """Takes everything."""

    def __init__(self) -> None:
        super().__init__({})

    def validate(self, parameters: Any) -> None:
        """Nothing is refused."""


class Connection(insightconnect_plugin_runtime.Connection):
    def __init__(self) -> None:
        super().__init__(input={})

    def connect(self, params: Json) -> None:
        """There is nothing to prepare."""


class Recall(insightconnect_plugin_runtime.Action):
    def __init__(self) -> None:
        super().__init__(
            "recall", "Return what a file holds, from memory after the first time", _Unjudged(), _Unjudged()
        )

    def run(self, params: Json) -> Json:
        path = params["path"]
        if path not in _remembered:
            _remembered[path] = orjson.loads(Path(path).read_bytes())
        return _remembered[path]


class SubmitEvent(insightconnect_plugin_runtime.Action):
    def __init__(self) -> None:
        super().__init__("submit_event", "Post an event", _Unjudged(), _Unjudged())

    def run(self, params: Json) -> Json:
        dsn = urlsplit(params["dsn"])
        url = f"{dsn.scheme}://{dsn.hostname}:{dsn.port}/api{dsn.path}/store/"
        headers = {"X-Sentry-Auth": f"Sentry sentry_version=7, sentry_key={dsn.username}"}
        response = _pool.request("POST", url, body=orjson.dumps(params["event_json"]), headers=headers)
        return {"id": orjson.loads(response.data)["id"]}


class BarePlugin(insightconnect_plugin_runtime.Plugin):
    def __init__(self) -> None:
        super().__init__(name="Bare", vendor="bench", version="1.0.0", description="Bare", connection=Connection())
        self.add_action(Recall())
        self.add_action(SubmitEvent())


def main() -> None:
    insightconnect_plugin_runtime.CLI(BarePlugin()).run()

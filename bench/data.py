"""Events to submit, and the issues and events of lists. The number of a record determines its content.

The sandbox turns a submitted event into an issue and an event as Sentry lists them. All records are copies of these
two, in which each # becomes a random digit.
"""

import random
import re
from typing import Any

import requests

from sandbox import Sandbox

Json = dict[str, Any]

TOKEN = "sntryu_" + "0123456789abcdef" * 4
PUBLIC_KEY = "fedcba9876543210" * 2
_CODE = [
    "    def read_pressure(self, pump: Pump) -> float:",
    "        reading = self._bus.read(pump.address, REGISTER_PRESSURE, count=2)",
    "        if reading.is_error:",
    '            raise PumpStopped(f"pump {pump.name} answered {reading.code}")',
    "        pressure = decode_float(reading.registers) * pump.scale + pump.offset",
]
_FRAME = {
    "filename": "control/loop.py",
    "abs_path": "/srv/station/venv/lib/python3.11/site-packages/control/loop.py",
    "module": "control.loop",
    "function": "read_pressure",
    "lineno": 241,
    "in_app": True,
    "context_line": _CODE[3],
    "vars": {"self": "<Loop at 0x7f8#########>", "pump": "<Pump P-###>", "pressure": "#.#########", "unit": "bar"},
}
_ERROR = {"type": "TimeoutError", "value": "Ventil Süd P-### did not answer within ## seconds"}
_BREADCRUMB = {"category": "control.loop", "message": "Pump P-### turns at 19##.# revolutions a minute"}


def outgoing_event(number: int) -> Json:
    """An event of about 4 KB to submit."""
    event: Json = _vary(_event([_FRAME] * 6, breadcrumbs=10), random.Random(number))
    return event


def examples() -> tuple[Json, Json]:
    """An issue as Sentry lists it, and an event of about 40 KB as it lists it with `full=1`."""
    event = _event([_FRAME | {"pre_context": _CODE, "post_context": _CODE}] * 26, breadcrumbs=40)
    event["modules"] = {f"package-{place}": "1.2.3" for place in range(45)}
    with Sandbox() as sandbox, requests.Session() as session:
        env, api = sandbox.env, f"{sandbox.base}/api/0"
        session.headers["Authorization"] = f"Bearer {env['TOKEN']}"
        key = {"sentry_key": env["PUBLIC_KEY"], "sentry_version": "7"}
        session.post(f"{sandbox.base}/api/{env['PROJECT_ID']}/store/", params=key, json=event).raise_for_status()
        issues = session.get(f"{api}/projects/{env['ORG']}/{env['PROJECT']}/issues/", params={"statsPeriod": "24h"})
        (issue,) = issues.json()
        (listed,) = session.get(f"{api}/issues/{issue['id']}/events/", params={"full": "1"}).json()
    return issue, listed


def record(example: Json, number: int) -> Json:
    """The copy of an example with this number, and with an ID that no other has."""
    identities = dict.fromkeys({"id", "eventID"} & example.keys(), str(1_000_000 + number))
    varied: Json = _vary(example, random.Random(number)) | identities
    return varied


def _event(frames: list[Json], breadcrumbs: int) -> Json:
    return {
        "level": "error",
        "platform": "python",
        "environment": "production",
        "release": "pumps@1.4.2",
        "tags": {"site": "north", "pump": "P-###"},
        "user": {"id": "1###", "email": "person-####@example.com"},
        "contexts": {"runtime": {"name": "CPython", "version": "3.11.7"}, "browser": {"name": "Firefox"}},
        "exception": {"values": [_ERROR | {"stacktrace": {"frames": frames}}]},
        "breadcrumbs": {"values": [_BREADCRUMB] * breadcrumbs},
    }


def _vary(value: Any, rng: random.Random) -> Any:
    """Replace each # in all texts of a value with a random digit."""
    if isinstance(value, dict):
        return {key: _vary(item, rng) for key, item in value.items()}
    if isinstance(value, list):
        return [_vary(item, rng) for item in value]
    return re.sub("#", lambda _: str(rng.randrange(10)), value) if isinstance(value, str) else value

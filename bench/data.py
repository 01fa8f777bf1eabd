"""Issues and events as Sentry sends them, made up. The number of a record decides what is in it.

Records of a real server have much in common (the same files, functions and lines of code), nulls where there is nothing
to say, and texts of all lengths. So have these, since parsing, cleaning and validating depend on it.
"""

import hashlib
import random
from typing import Any

Json = dict[str, Any]

TOKEN = "sntryu_" + hashlib.sha256(b"bench").hexdigest()
PUBLIC_KEY = hashlib.md5(b"bench", usedforsecurity=False).hexdigest()
PROJECT = 7
ISSUE = 4501

_STARTED = 1_785_600_000
_HOURS = 24
_LEVELS = ("error", "error", "error", "warning", "info", "fatal")
_PARTS = ("Pump", "Valve", "Gate", "Sensor", "Boiler", "Turbine", "Ventil Süd")
_TROUBLES = (
    "did not answer within 30 seconds",
    "stopped while the pressure was above its limit",
    "reported a value outside of its range",
    "was asked for a setting that it does not have",
)
_ERRORS = ("TimeoutError", "ValueError", "ConnectionResetError", "KeyError", "PumpStopped")
_MODULES = ("control.loop", "control.pumps", "drivers.modbus", "drivers.serial", "web.views.station", "store.readings")
_FUNCTIONS = ("run", "step", "read_pressure", "set_speed", "handle_request", "write_all", "decode_frame", "retry")
_LIBRARIES = ("celery.app.trace", "django.core.handlers.base", "psycopg.cursor", "urllib3.connectionpool")
_CODE = (
    "    def read_pressure(self, pump: Pump) -> float:",
    "        reading = self._bus.read(pump.address, REGISTER_PRESSURE, count=2)",
    "        if reading.is_error:",
    '            raise PumpStopped(f"pump {pump.name} answered {reading.code}")',
    "        pressure = decode_float(reading.registers) * pump.scale + pump.offset",
    "",
    "        # The sensor needs a moment after the pump has started.",
    "        if pump.age < SETTLING_SECONDS:",
    "            return self._last.get(pump.name, pressure)",
    "        self._last[pump.name] = pressure",
    "        return pressure",
)
_FRAMES = 26
_LINES = 5
_CRUMBS = 40
_PACKAGES = 45


def issue(number: int) -> Json:
    """An issue as `GET /projects/{organization}/{project}/issues/` lists it, with its events of each hour."""
    chance = random.Random(number)
    identity = str(1_000_000 + number)
    title, kind = f"{_part(chance)} {chance.choice(_TROUBLES)}", chance.choice(_ERRORS)
    platform = chance.choice(("python", "javascript", "python", None))
    seen = _STARTED - number * 37
    return {
        "id": identity,
        "shareId": None,
        "shortId": f"PUMP-STATION-{number:X}",
        "title": f"{kind}: {title}",
        "culprit": f"{chance.choice(_MODULES)} in {chance.choice(_FUNCTIONS)}",
        "permalink": f"https://acme.sentry.io/issues/{identity}/",
        "logger": chance.choice((None, "control.loop", "")),
        "level": chance.choice(_LEVELS),
        "status": "unresolved",
        "statusDetails": {},
        "substatus": chance.choice(("ongoing", "new", "escalating")),
        "isPublic": False,
        "platform": platform,
        "project": {"id": str(PROJECT), "name": "pump-station", "slug": "pump-station", "platform": platform},
        "type": "error",
        "metadata": {
            "value": title,
            "type": kind,
            "filename": f"{chance.choice(_MODULES).replace('.', '/')}.py",
            "function": chance.choice(_FUNCTIONS),
            "in_app_frame_mix": "mixed",
            "initial_priority": 75,
        },
        "numComments": chance.choice((0, 0, 0, 3)),
        "assignedTo": _assignee(chance),
        "isBookmarked": False,
        "isSubscribed": chance.random() < 0.2,
        "subscriptionDetails": chance.choice((None, None, {"reason": "assigned"})),
        "hasSeen": chance.random() < 0.5,
        "annotations": _annotations(number) if chance.random() < 0.15 else [],
        "issueType": "error",
        "issueCategory": "error",
        "priority": chance.choice(("high", "medium", "low")),
        "priorityLockedAt": None,
        "isUnhandled": chance.random() < 0.5,
        "count": str(int(chance.expovariate(1 / 300)) + 1),
        "userCount": int(chance.expovariate(1 / 20)),
        "firstSeen": _moment(seen - chance.randrange(10_000_000)),
        "lastSeen": _moment(seen),
        "stats": {"24h": [[_STARTED // 3600 * 3600 + hour * 3600, _count(chance)] for hour in range(_HOURS)]},
    }


def event(number: int) -> Json:
    """An event as `GET /issues/{id}/events/?full=1` lists it."""
    chance = random.Random(-number - 1)
    identity = f"{chance.getrandbits(128):032x}"
    title, kind = f"{_part(chance)} {chance.choice(_TROUBLES)}", chance.choice(_ERRORS)
    seen = _STARTED - number * 11
    return {
        "id": identity,
        "groupID": str(ISSUE),
        "eventID": identity,
        "projectID": str(PROJECT),
        "size": 30_000 + chance.randrange(9_000),
        "entries": [
            {"type": "exception", "data": _exceptions(chance, kind, title)},
            {"type": "breadcrumbs", "data": {"values": [_crumb(chance, seen - age) for age in range(_CRUMBS, 0, -1)]}},
            {"type": "request", "data": _request(chance)},
        ],
        "dist": None,
        "message": "",
        "title": f"{kind}: {title}",
        "location": "control/loop.py",
        "user": _user(chance),
        "contexts": _contexts(chance),
        "sdk": {"name": "sentry.python.django", "version": "2.75.0"},
        "context": {"sys.argv": ["manage.py", "run", f"--station={chance.randrange(9)}"], "last_value": None},
        "packages": {f"package-{place}": f"{place % 7}.{place}.{place % 3}" for place in range(_PACKAGES)},
        "type": "error",
        "metadata": {"type": kind, "value": title, "filename": "control/loop.py", "function": "run"},
        "tags": _tags(chance, identity),
        "platform": "python",
        "dateCreated": _moment(seen),
        "dateReceived": _moment(seen + 2),
        "errors": [],
        "occurrence": None,
        "_meta": {"entries": {}, "message": None, "user": None, "contexts": None, "tags": {}, "sdk": None},
        "crashFile": None,
        "culprit": "control.loop in run",
        "fingerprints": [f"{chance.getrandbits(128):032x}"],
        "groupingConfig": {"id": "newstyle:2023-01-11", "enhancements": "KLUv_SAYwQAAkwKRs25ld3N0eWxlOjIwMjMtMDEtMTGQ"},
    }


def outgoing_event(number: int, notes: int = 0) -> Json:
    """An event to submit, in the shape that the input schema declares, of about 4 KB.

    :param notes: so many bytes more of extra data
    """
    chance = random.Random(number)
    title, kind = f"{_part(chance)} {chance.choice(_TROUBLES)}", chance.choice(_ERRORS)
    return {
        "message": f"Event {number}: {title}",
        "level": "error",
        "platform": "python",
        "environment": "production",
        "release": "pumps@1.4.2",
        "tags": {"site": chance.choice(("north", "south")), "pump": str(number)},
        "user": {"id": str(number), "email": f"person-{number}@example.com"},
        "extra": {"reading": chance.random(), "notes": _notes(notes)},
        "exception": {
            "values": [
                {"type": kind, "value": title, "stacktrace": {"frames": [_outgoing_frame(chance) for _ in range(8)]}}
            ]
        },
        "breadcrumbs": {"values": [{"category": "pump", "message": f"Speed {chance.random():.3f}"} for _ in range(10)]},
    }


def _notes(size: int) -> list[Json]:
    """Data of so many bytes, made of small things, as a large event is."""
    line = "The sensor needs a moment after the pump has started, and reads nothing until then. "
    return [{"line": place, "text": line} for place in range(size // (len(line) + 25))]


def _outgoing_frame(chance: random.Random) -> Json:
    place = chance.randrange(len(_CODE) - _LINES)
    return {
        "filename": "control/loop.py",
        "function": chance.choice(_FUNCTIONS),
        "module": chance.choice(_MODULES),
        "lineno": chance.randrange(1, 900),
        "in_app": True,
        "pre_context": list(_CODE[place : place + 2]),
        "context_line": _CODE[place + 2],
        "vars": {"pump": f"<Pump P-{chance.randrange(99)}>", "pressure": f"{chance.random():.6f}"},
    }


def _part(chance: random.Random) -> str:
    return f"{chance.choice(_PARTS)} P-{chance.randrange(500)}"


def _moment(seconds: int) -> str:
    days, rest = divmod(seconds, 86400)
    return f"2026-{days % 12 + 1:02}-{days % 28 + 1:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"


def _count(chance: random.Random) -> int:
    """Most hours of most issues are quiet."""
    return 0 if chance.random() < 0.7 else int(chance.expovariate(1 / 30))


def _assignee(chance: random.Random) -> Json | None:
    number = chance.randrange(1, 30)
    user = {"type": "user", "id": str(number), "name": f"Person {number}", "email": f"person-{number}@example.com"}
    return chance.choice((None, None, user, {"type": "team", "id": str(number), "name": f"team-{number}"}))


def _annotations(number: int) -> list[Json]:
    return [{"displayName": f"ACME-{number}", "url": f"https://jira.example.com/browse/ACME-{number}"}]


def _exceptions(chance: random.Random, kind: str, title: str) -> Json:
    value = {
        "type": kind,
        "value": title,
        "mechanism": {"type": "django", "handled": False, "synthetic": None, "help_link": None, "meta": None},
        "threadId": None,
        "module": "control.errors",
        "stacktrace": {
            "frames": [_frame(chance, place) for place in range(_FRAMES)],
            "framesOmitted": None,
            "registers": None,
            "hasSystemFrames": True,
        },
        "rawStacktrace": None,
        "rawModule": None,
        "rawType": None,
        "rawValue": None,
    }
    return {"values": [value], "hasSystemFrames": True, "excOmitted": None}


def _frame(chance: random.Random, place: int) -> Json:
    is_own = place % 3 != 0
    module = (_MODULES if is_own else _LIBRARIES)[place % 4]
    filename = f"{module.replace('.', '/')}.py"
    line = 20 + place * 17
    return {
        "filename": filename,
        "absPath": f"/srv/station/{'' if is_own else 'venv/lib/python3.11/site-packages/'}{filename}",
        "module": module,
        "package": None,
        "platform": None,
        "instructionAddr": None,
        "symbolAddr": None,
        "function": _FUNCTIONS[place % len(_FUNCTIONS)],
        "rawFunction": None,
        "symbol": None,
        "context": [[line - _LINES + row, _CODE[row]] for row in range(2 * _LINES + 1)],
        "lineNo": line,
        "colNo": None,
        "trust": None,
        "inApp": is_own,
        "errors": None,
        "lock": None,
        "sourceLink": None,
        "vars": {
            "self": f"<Loop of station {chance.randrange(9)} at 0x7f{chance.getrandbits(40):010x}>",
            "pump": f"<Pump P-{chance.randrange(500)}>",
            "pressure": f"{chance.random() * 9:.9f}",
            "attempt": chance.randrange(5),
            "options": {"timeout": "30.0", "retries": "None", "speeds": ["0.1", "0.5", "'full'"]},
        },
    }


def _crumb(chance: random.Random, seen: int) -> Json:
    if chance.random() < 0.4:
        data = {"method": "GET", "url": f"http://10.0.0.{chance.randrange(250)}/registers", "status_code": 200}
        return _crumb_of("http", "httplib", None, data, seen)
    message = f"Pump P-{chance.randrange(500)} turns at {chance.random() * 3000:.1f} revolutions a minute"
    return _crumb_of("default", "control.loop", message, None, seen)


def _crumb_of(kind: str, category: str, message: str | None, data: Json | None, seen: int) -> Json:
    return {
        "type": kind,
        "timestamp": _moment(seen),
        "level": "info",
        "message": message,
        "category": category,
        "data": data,
        "event_id": None,
    }


def _request(chance: random.Random) -> Json:
    return {
        "apiTarget": None,
        "method": "POST",
        "url": "https://station.example.com/pumps/speed",
        "query": [["pump", str(chance.randrange(500))], ["dry", "0"]],
        "fragment": None,
        "data": {"speed": chance.random(), "unit": "rpm", "note": None},
        "headers": [
            ["Accept", "application/json"],
            ["Host", "station.example.com"],
            ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"],
            ["X-Request-Id", f"{chance.getrandbits(128):032x}"],
        ],
        "cookies": [],
        "env": {"SERVER_NAME": "station.example.com", "SERVER_PORT": "443", "REMOTE_ADDR": "192.0.2.9"},
        "inferredContentType": "application/json",
    }


def _user(chance: random.Random) -> Json:
    number = str(chance.randrange(10_000))
    geo = {"country_code": "DE", "city": "Köln", "subdivision": "North Rhine-Westphalia", "region": "Germany"}
    return {
        "id": number,
        "email": f"person-{number}@example.com",
        "username": None,
        "ip_address": f"192.0.2.{chance.randrange(250)}",
        "name": None,
        "geo": chance.choice((None, geo)),
        "data": None,
    }


def _contexts(chance: random.Random) -> Json:
    trace = {"trace_id": f"{chance.getrandbits(128):032x}", "span_id": f"{chance.getrandbits(64):016x}"}
    return {
        "browser": {"name": "Firefox", "version": "128.0", "type": "browser"},
        "client_os": {"name": "Linux", "version": None, "type": "os"},
        "runtime": {"name": "CPython", "version": "3.11.7", "build": "3.11.7 (main)", "type": "runtime"},
        "trace": {**trace, "parent_span_id": None, "op": "http.server", "status": "internal_error", "type": "trace"},
        "device": {"memory_size": 16 * 2**30, "free_memory": chance.getrandbits(33), "type": "device"},
    }


def _tags(chance: random.Random, identity: str) -> list[Json]:
    values = {
        "browser": "Firefox 128.0",
        "environment": "production",
        "handled": "no",
        "level": "error",
        "mechanism": "django",
        "os.name": "Linux",
        "release": "pumps@1.4.2",
        "runtime": "CPython 3.11.7",
        "server_name": f"station-{chance.randrange(9)}",
        "site": chance.choice(("north", "south")),
        "transaction": "/pumps/speed",
        "url": "https://station.example.com/pumps/speed",
        "trace": identity[:16],
    }
    user = chance.randrange(10_000)
    named: list[Json] = [{"key": key, "value": value} for key, value in values.items()]
    return [*named, {"key": "user", "value": f"id:{user}", "query": f'user.id:"{user}"'}]

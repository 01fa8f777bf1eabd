"""The sandbox compared with Sentry's OpenAPI description: its responses match the documented schemas.

The description is not part of the project. It is read from a folder next to the repository.
"""

import json
import os
import re
import unittest
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import requests
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from sandbox import Sandbox

DESCRIPTION = Path(__file__).parents[2] / "shared" / "reference" / "openapi-issues.json"

ALL_ORGS = "/api/0/organizations/"
ORG = f"{ALL_ORGS}{{organization_id_or_slug}}/"
PROJECT = "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/"
ISSUE = f"{ORG}issues/{{issue_id}}/"

Json = dict[str, Any]

NO_ADMINISTRATION = "the sandbox creates its organizations, projects, members, teams and keys when it starts"
NO_HASHES = "no action reads hashes"
NO_PROJECT_EVENTS = "no action lists the events of a project"
LEFT_OUT: dict[tuple[str, str], str] = {
    ("GET", f"{ISSUE}hashes/"): NO_HASHES,
    ("GET", f"{PROJECT}events/"): NO_PROJECT_EVENTS,
    ("POST", f"{ORG}projects/"): NO_ADMINISTRATION,
    ("POST", f"{ORG}members/"): NO_ADMINISTRATION,
    ("POST", f"{ORG}teams/"): NO_ADMINISTRATION,
    ("POST", f"{PROJECT}keys/"): NO_ADMINISTRATION,
}


class Call(NamedTuple):
    """A request to a served endpoint. With an issue or event in its path or query, it is sent once for each of them."""

    method: str
    path: str
    query: str = ""
    body: Json | None = None


ALL_DELTA: Json = {"isPublic": True, "status": "resolved", "statusDetails": {"inRelease": "latest"}}
CALLS = (
    Call("GET", ALL_ORGS),
    Call("GET", f"{ORG}projects/"),
    Call("GET", f"{ORG}members/"),
    Call("GET", f"{ORG}teams/"),
    Call("GET", f"{PROJECT}keys/"),
    Call("GET", f"{ORG}issues/", "query="),
    Call("GET", f"{ORG}issues/", "query={event_id}"),
    Call("GET", f"{PROJECT}issues/", "query="),
    Call("GET", f"{PROJECT}issues/", "query={event_id}&statsPeriod=14d"),
    Call("GET", ISSUE),
    Call("GET", f"{ISSUE}events/"),
    Call("GET", f"{ISSUE}events/", "full=1"),
    Call("GET", f"{ISSUE}events/{{event_id}}/"),
    Call("GET", f"{ISSUE}tags/{{key}}/"),
    Call("GET", f"{ISSUE}tags/{{key}}/values/", "sort=count"),
    Call("GET", f"{ORG}shortids/{{issue_id}}/"),
    Call("GET", f"{ORG}eventids/{{event_id}}/"),
    Call("GET", f"{PROJECT}events/{{event_id}}/"),
    Call("PUT", ISSUE, body={"isBookmarked": True}),
    # These change the status of the issues.
    Call("PUT", f"{PROJECT}issues/", "id={issue_id}", {"status": "unresolved"}),
    Call("PUT", f"{PROJECT}issues/", "id={issue_id}", ALL_DELTA),
    Call("PUT", f"{ORG}issues/", "id={issue_id}", {"status": "ignored", "statusDetails": {"ignoreCount": 1}}),
    Call("PUT", f"{ORG}issues/", "id={issue_id}", {"assignedTo": "team:1", "priority": "low", "hasSeen": True}),
    Call("PUT", f"{ORG}issues/", "id=999999999", {"status": "unresolved"}),
    Call("PUT", f"{ORG}issues/", "query=twin", {"merge": True}),
    Call("DELETE", f"{ORG}issues/", "id=999999999"),
    Call("DELETE", f"{PROJECT}issues/", "id=999999999"),
    Call("DELETE", ISSUE),
)


class Difference(NamedTuple):
    """A known difference from the description.

    :param call: a regular expression for the call
    :param fields: a regular expression for the fields that do not match the schema
    :param keyword: the keyword of the schema that they violate
    """

    call: str
    fields: str
    keyword: str
    reason: str


LIST = re.escape(f"GET {ORG}issues/")
DIFFERENCES = (
    Difference(
        f"(GET|PUT) {re.escape(ORG)}(issues|shortids)/.*",
        r"(\[\]\.|group\.)?statusDetails\.ignore(Count|Until|UserCount|UserWindow|Window)",
        "type",
        "a snooze has all conditions, the unused ones as null",
    ),
    Difference(
        f"{LIST}\\?query=.*",
        r"\[\]\.(inbox|owners|sessionCount|integrationIssues|sentryAppIssues|latestEventHasAttachments)",
        "required",
        "only with `expand`, which the sandbox ignores",
    ),
    Difference(re.escape(f"PUT {ORG}issues/?") + ".*", "inbox", "type", "null after a change of the status"),
    Difference(f"{LIST}.*", r"\[\]\.matchingEvent(Id|Environment)", "required", "only in a search for an event ID"),
    Difference(
        r"GET .*/events/\?full=1",
        r"\[\]\.event\.type",
        "required",
        "the documented form is the one without `full`; a full event has `type` instead",
    ),
    Difference(
        re.escape(f"PUT {PROJECT}issues/") + ".*",
        "isPublic",
        "required",
        "the response has only what was changed",
    ),
)


EXCEPTION: Json = {
    "exception": {
        "values": [
            {
                "type": "PressureLoss",
                "value": "Pipe 7 lost 2.1 bar",
                "module": "pumps",
                "mechanism": {"type": "generic", "handled": False},
                "stacktrace": {
                    "frames": [
                        {
                            "filename": "pumps/main.py",
                            "abs_path": "/srv/pumps/main.py",
                            "module": "pumps.main",
                            "function": "run",
                            "lineno": 12,
                            "colno": 5,
                            "pre_context": ["def run():"],
                            "context_line": "    measure(pipe)",
                            "post_context": [""],
                            "in_app": True,
                            "vars": {"pipe": "7"},
                        },
                        {"filename": "lib/gauge.py", "function": "measure", "lineno": 3, "in_app": False},
                    ]
                },
            }
        ]
    },
    "level": "fatal",
    "platform": "python",
    "logger": "pumps",
    "transaction": "measure",
    "server_name": "pump-1",
    "release": "pumps@1.4.2",
    "dist": "7",
    "environment": "production",
    "tags": {"site": "north"},
    "extra": {"bar": 2.1},
    "modules": {"gauge": "1.0"},
    "user": {"id": "7", "email": "lin@example.com", "username": "lin", "ip_address": "10.0.0.7", "data": {"shift": 2}},
    "request": {"url": "http://pumps.example.com/7", "method": "GET", "query_string": "a=b", "headers": {"Host": "x"}},
    "contexts": {"os": {"name": "Linux", "version": "6"}, "runtime": {"name": "CPython", "version": "3.11"}},
    "breadcrumbs": {"values": [{"timestamp": 1700000000.5, "category": "gauge", "message": "low"}]},
    "sdk": {"name": "sentry.python", "version": "2.0.0"},
}
EVENTS: dict[str, Json] = {
    "exception": EXCEPTION,
    "message": {"logentry": {"message": "Pump %s stopped", "params": ["P-2"]}, "level": "warning"},
    "bare": {"message": "Bare"},
    "with a wrong time": {"message": "Late", "timestamp": "2018-07-16T00:00:00Z", "environment": "staging"},
    "anonymous": {"message": "Someone", "user": {"ip_address": "10.0.0.8"}, "release": "pumps@1.4.1"},
    "bookmarked": {"message": "To be bookmarked", "environment": "production"},
    "ignored for a while": {"message": "To be snoozed", "tags": [["site", "south"], ["empty", ""]]},
    "ignored until seen again": {"message": "To be snoozed until seen again"},
}
CHANGES: dict[str, Json] = {
    "exception": {
        "status": "resolved",
        "statusDetails": {"inRelease": "pumps@1.4.2"},
        "assignedTo": "admin@example.com",
        "isPublic": True,
        "hasSeen": True,
    },
    "message": {"status": "resolved", "isSubscribed": True},
    "bare": {"status": "resolvedInNextRelease", "assignedTo": "lin@example.com"},
    "anonymous": {"status": "ignored", "substatus": "archived_until_escalating", "assignedTo": "team:1"},
    "bookmarked": {"isBookmarked": True, "isSubscribed": True, "hasSeen": True, "priority": "low"},
    "ignored for a while": {"status": "ignored", "statusDetails": {"ignoreDuration": 30}},
    "ignored until seen again": {"status": "ignored", "statusDetails": {"ignoreUserCount": 3, "ignoreUserWindow": 60}},
}


def as_json_schema(schema: Any) -> Any:
    """Convert OpenAPI 3.0 to JSON Schema 2020-12: `nullable: true` becomes another type and enumerated value."""
    if isinstance(schema, list):
        return [as_json_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: as_json_schema(value) for key, value in schema.items()}
    if converted.get("nullable") is not True:
        return converted
    del converted["nullable"]
    if "enum" in converted:
        converted["enum"] = [*(value for value in converted["enum"] if value is not None), None]
    if "type" in converted:
        return converted | {"type": [converted["type"], "null"]}
    return {"anyOf": [converted, {"type": "null"}]}


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from references(part)


def read_description() -> Json:
    if not DESCRIPTION.is_file():
        reason = f"Sentry's OpenAPI description is missing: {DESCRIPTION.name} in {DESCRIPTION.parent.name}/"
        if os.environ.get("CI"):
            raise AssertionError(reason)
        raise unittest.SkipTest(reason)
    description: Json = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    return description


class TestConversion(unittest.TestCase):
    def test_null_is_valid_where_the_schema_is_nullable_and_nowhere_else(self) -> None:
        cases: list[tuple[Json, bool]] = [
            ({"type": "string", "nullable": True}, True),
            ({"type": "string", "nullable": False}, False),
            ({"type": "string"}, False),
            ({"type": "string", "enum": ["a"], "nullable": True}, True),
            ({"enum": ["a"], "nullable": True}, True),
            ({"oneOf": [{"type": "string"}], "nullable": True}, True),
        ]
        for schema, is_valid in cases:
            with self.subTest(schema):
                self.assertEqual(Draft202012Validator(as_json_schema(schema)).is_valid(None), is_valid)
                self.assertFalse(Draft202012Validator(as_json_schema(schema)).is_valid(1))

    def test_a_property_may_be_called_nullable(self) -> None:
        schema = {"type": "object", "properties": {"nullable": {"type": "string", "nullable": True}}}
        self.assertFalse(Draft202012Validator(as_json_schema(schema)).is_valid({"nullable": 1}))


FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def is_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def mismatches(response: Any, schema: Json) -> Iterator[tuple[str, str, str]]:
    """For each mismatch the field (without indices), the keyword of the schema, and the message."""
    for error in Draft202012Validator(as_json_schema(schema), format_checker=FORMATS).iter_errors(response):
        path = ".".join("[]" if isinstance(step, int) else step for step in error.absolute_path)
        for field in missing(error) or [""]:
            yield ".".join(filter(None, (path, field))), str(error.validator), error.message


def missing(error: ValidationError) -> list[str]:
    """The name of a missing property, from the message of the error."""
    quoted = re.match("'(.+)' is a required property", error.message)
    return [quoted[1]] if quoted and error.validator == "required" else []


class TestOpenApi(unittest.TestCase):
    """A sandbox with an issue for each of EVENTS, in different states."""

    description: ClassVar[Json]
    sandbox: ClassVar[Sandbox]
    http: ClassVar[requests.Session]
    events: ClassVar[list[str]]
    issues: ClassVar[list[Json]]

    @classmethod
    def setUpClass(cls) -> None:
        cls.description = read_description()
        cls.sandbox = cls.enterClassContext(Sandbox())
        cls.http = cls.enterClassContext(requests.Session())
        cls.http.headers["Authorization"] = f"Bearer {cls.sandbox.env['TOKEN']}"
        cls.make_data()

    @classmethod
    def send(cls, method: str, path: str, body: Json | None = None) -> Json:
        response = cls.http.request(method, cls.sandbox.base + path, json=body)
        response.raise_for_status()
        created: Json = response.json()
        return created

    @classmethod
    def make_data(cls) -> None:
        env = cls.sandbox.env
        store = f"/api/{env['PROJECT_ID']}/store/?sentry_key={env['PUBLIC_KEY']}"
        cls.events = [cls.send("POST", store, event)["id"] for event in EVENTS.values()]
        cls.send("POST", store, {**EXCEPTION, "release": "pumps@1.4.3"})  # a second event of the first issue
        for twin in ("first", "second"):
            cls.send("POST", store, {"message": f"The {twin} twin"})  # not listed in cls.issues, only to be merged
        cls.issues = []
        for event_id, name in zip(cls.events, EVENTS, strict=True):
            found = cls.send("GET", f"/api/0/organizations/acme/eventids/{event_id}/")
            path = f"/api/0/organizations/acme/issues/{found['groupId']}/"
            if name in CHANGES:
                cls.send("PUT", path, CHANGES[name])
            cls.issues.append(cls.send("GET", path))

    def requests_of(self, call: Call) -> list[str]:
        """The paths with their queries, one for each issue if the call refers to an issue."""
        template = f"{call.path}?{call.query}" if call.query else call.path
        template = template.replace("{organization_id_or_slug}", self.sandbox.env["ORG"])
        template = template.replace("{project_id_or_slug}", self.sandbox.env["PROJECT"])
        id_of_issue = "shortId" if "/shortids/" in template else "id"
        pairs = zip(self.events, self.issues, strict=True)
        filled = [template.format(event_id=event, issue_id=issue[id_of_issue], key="level") for event, issue in pairs]
        return list(dict.fromkeys(filled))

    def schema_of(self, call: Call, response: requests.Response) -> Json | None:
        """The schema of the response, None if the description has no body for it."""
        self.assertLess(response.status_code, 300, response.text)
        responses = self.description["paths"][call.path][call.method.lower()]["responses"]
        self.assertIn(str(response.status_code), responses)
        content = responses[str(response.status_code)].get("content")
        return content["application/json"]["schema"] if content else None

    def test_every_documented_endpoint_is_served_or_left_out_for_a_reason(self) -> None:
        paths = self.description["paths"]
        documented = {(method.upper(), path) for path, methods in paths.items() for method in methods}
        served = {(call.method, call.path) for call in CALLS}
        self.assertEqual(served | set(LEFT_OUT), documented)
        self.assertEqual(served & set(LEFT_OUT), set())

    def test_left_out_endpoints_are_not_served(self) -> None:
        for method, path in LEFT_OUT:
            with self.subTest(f"{method} {path}"):
                values = {"organization_id_or_slug": "acme", "project_id_or_slug": "pump-station"}
                url = self.sandbox.base + path.format(**values, issue_id=self.issues[0]["id"])
                self.assertIn(self.http.request(method, url, json={}).status_code, (404, 405))

    def test_the_description_is_self_contained(self) -> None:
        self.assertEqual(list(references(self.description)), [])

    def test_responses_match_the_description(self) -> None:
        found_differences: set[Difference] = set()
        for call in CALLS:
            name = f"{call.method} {call.path}" + (f"?{call.query}" if call.query else "")
            for target in self.requests_of(call):
                with self.subTest(f"{call.method} {target}"):
                    response = self.http.request(call.method, self.sandbox.base + target, json=call.body)
                    schema = self.schema_of(call, response)
                    if schema is None:
                        self.assertEqual(response.text, "")
                        continue
                    if call.method == "GET":
                        self.assertTrue(response.json(), "an empty response proves nothing")
                    found = set(mismatches(response.json(), schema))
                    known = {mismatch: known_differences(name, mismatch) for mismatch in found}
                    self.assertEqual([mismatch for mismatch in found if not known[mismatch]], [])
                    found_differences.update(*known.values())
        self.assertEqual(set(DIFFERENCES) - found_differences, set(), "differences that no longer exist")


def known_differences(call: str, mismatch: tuple[str, str, str]) -> list[Difference]:
    field, keyword, _ = mismatch
    return [
        known
        for known in DIFFERENCES
        if keyword == known.keyword and re.fullmatch(known.call, call) and re.fullmatch(known.fields, field)
    ]

"""List Tag Values against a scripted server."""

import json
import unittest

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import (
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    RouteMissing,
    ServerFailed,
    Unauthorized,
)
from komand_sentry.util.sentry.pagination import RecordList
from komand_sentry.util.sentry.tags import MAX_VALUES, incompleteness, normalize_tag_value, ranked, share
from testing.plugin import Json
from testing.scripted_server import Answer, Received
from unit_test.organization_list_case import DENIED, answer, run_script

ISSUE = "/api/0/organizations/acme/issues/5/"
TAGS = f"{ISSUE}tags/"
TAG = f"{TAGS}release/"
VALUES = f"{TAG}values/"
PLAIN_TAG = "/api/0/issues/5/tags/release/"
NOT_FOUND = Answer(404, b'{"detail": "The requested resource does not exist"}')
INPUTS: Json = {"issue_id": "5", "organization_slug": "acme", "key": "release"}


def tag(total: int | None = 4, unique: int = 2) -> Answer:
    details = {"key": "release", "name": "Release", "uniqueValues": unique, "totalValues": total, "topValues": []}
    return Answer(body=json.dumps(details).encode())


def value(text: str, count: int) -> Json:
    seen = {"firstSeen": "2026-08-01T12:00:00Z", "lastSeen": "2026-08-02T12:00:00Z"}
    return {"key": "release", "name": text, "value": text, "count": count, **seen, "query": f'release:"{text}"'}


def list_values(inputs: Json, *script: tuple[str, Answer]) -> tuple[Json, list[Received]]:
    return run_script("list_tag_values", {**INPUTS, **inputs}, *(("GET", path, found) for path, found in script))


class TestListTagValues(unittest.TestCase):
    def test_values_with_counts_and_shares(self) -> None:
        output, received = list_values({}, (TAG, tag()), (VALUES, answer(value("1.4.2", 3), value("1.4.1", 1))))
        self.assertEqual((output["total"], output["truncated"]), (4, False))
        self.assertEqual(
            [(found["value"], found["share"]) for found in output["values"]], [("1.4.2", 0.75), ("1.4.1", 0.25)]
        )
        expected = {**value("1.4.2", 3), "share": 0.75}
        del expected["query"]
        self.assertEqual(output["values"][0], expected)
        self.assertEqual(received[0].params, [])
        self.assertEqual(received[1].params, [("sort", "count"), ("per_page", "100")])

    def test_environment_limit_and_cursor(self) -> None:
        inputs = {"environment": "production", "limit": 1, "cursor": "0:1:0"}
        output, received = list_values(inputs, (TAG, tag()), (VALUES, answer(value("1.4.1", 1), cursor="0:2:0")))
        self.assertEqual((output["truncated"], output["next_cursor"]), (True, "0:2:0"))
        environment = ("environment", "production")
        self.assertEqual(received[0].params, [environment])
        page = [("sort", "count"), environment, ("per_page", "1"), ("cursor", "0:1:0")]
        self.assertEqual(received[1].params, page)

    def test_users(self) -> None:
        user = {"id": "3", "value": "id:7", "username": "alice", "email": "a@example.com", "ipAddress": "192.0.2.1"}
        unknown = {"id": None, "value": "email:b@example.com", "count": 1, "name": None}
        path = f"{TAGS}user/"
        found = answer({**user, "label": "alice", "count": 3, "identifier": "7", "avatarUrl": "x"}, unknown)
        output, _ = list_values({"key": "user"}, (path, tag()), (f"{path}values/", found))
        del user["id"]
        self.assertEqual(
            output["values"],
            [
                {"key": "user", **user, "name": "alice", "count": 3, "share": 0.75},
                {"key": "user", "value": unknown["value"], "name": unknown["value"], "count": 1, "share": 0.25},
            ],
        )

    def test_values_are_sorted_if_the_server_does_not(self) -> None:
        found = answer(value("a", 1), value("b", 2), value("c", 1))
        output, _ = list_values({}, (TAG, tag()), (VALUES, found))
        self.assertEqual([record["value"] for record in output["values"]], ["b", "a", "c"])
        self.assertNotIn("warning", output)

    def test_warns_if_more_frequent_values_may_follow(self) -> None:
        found = answer(value("a", 1), value("b", 2), cursor="0:2:0")
        output, _ = list_values({"limit": 2}, (TAG, tag()), (VALUES, found))
        self.assertEqual(output["next_cursor"], "0:2:0")
        self.assertIn("does not sort values by count", output["warning"])

    def test_total_may_be_unknown(self) -> None:
        for total in (None, 0):
            output, _ = list_values({}, (TAG, tag(total)), (VALUES, answer(value("a", 1))))
            self.assertNotIn("total", output)
            self.assertNotIn("share", output["values"][0])

    def test_no_values(self) -> None:
        output, _ = list_values({}, (TAG, tag(None, 0)), (VALUES, answer()))
        self.assertEqual(output, {"values": [], "truncated": False})

    def test_key_is_quoted(self) -> None:
        path = f"{TAGS}device%2Ffamily/"
        output, _ = list_values({"key": "device/family"}, (path, tag()), (f"{path}values/", answer()))
        self.assertEqual(output["values"], [])

    def test_server_without_the_endpoint_of_the_organization(self) -> None:
        script = ((TAG, Answer(404)), (PLAIN_TAG, tag()), (f"{PLAIN_TAG}values/", answer(value("a", 4))))
        output, _ = list_values({}, *script)
        self.assertEqual(output["values"][0]["share"], 1)


class TestFailures(unittest.TestCase):
    def fail_with(self, expected: type[PluginException], inputs: Json, *script: tuple[str, Answer]) -> PluginException:
        with self.assertRaises(expected) as caught:
            list_values(inputs, *script)
        self.assertTrue(caught.exception.assistance)
        failure: PluginException = caught.exception
        return failure

    def test_unknown_key_names_the_known_ones(self) -> None:
        path, known = f"{TAGS}wombat/", Answer(body=b'[{"key": "os"}, {"key": "user"}]')
        failure = self.fail_with(NotFound, {"key": "wombat"}, (path, NOT_FOUND), (TAGS, known))
        self.assertEqual(failure.cause, "Issue 5 of organization acme has no tag wombat (404).")
        self.assertIn("os, user", failure.assistance)

    def test_unknown_key_of_an_issue_without_tags(self) -> None:
        failure = self.fail_with(NotFound, {}, (TAG, NOT_FOUND), (TAGS, Answer(body=b"[]")))
        self.assertIn("none", failure.assistance)

    def test_unknown_issue(self) -> None:
        failure = self.fail_with(NotFound, {}, (TAG, NOT_FOUND), (TAGS, NOT_FOUND))
        self.assertEqual(failure.cause, "Sentry found no issue 5 of organization acme (404).")

    def test_unknown_environment(self) -> None:
        failure = self.fail_with(NotFound, {"environment": "lab"}, (TAG, NOT_FOUND), (TAGS, NOT_FOUND))
        self.assertIn("environment lab", failure.assistance)

    def test_server_without_the_endpoint(self) -> None:
        known = Answer(body=b'[{"key": "release"}]')
        script = ((TAG, Answer(404)), (PLAIN_TAG, Answer(404)), (TAGS, known))
        failure = self.fail_with(RouteMissing, {}, *script)
        self.assertIn("does not list the values of a tag", failure.cause)

    def test_status(self) -> None:
        for response, expected in (
            (Answer(401, b'{"detail": "Invalid token"}'), Unauthorized),
            (DENIED, Forbidden),
            (Answer(429, headers={"Retry-After": "3600"}), RateLimited),
            (Answer(500, b'{"detail": "Internal Error"}'), ServerFailed),
        ):
            with self.subTest(response.status):
                self.fail_with(expected, {}, (TAG, response))
                self.fail_with(expected, {}, (TAG, tag()), (VALUES, response))

    def test_invalid_inputs_send_nothing(self) -> None:
        for inputs, cause in (
            ({"key": ".."}, "The key is invalid"),
            ({"key": " "}, "'key' is empty or missing"),
            ({"limit": -1}, "The limit is negative"),
            ({"issue_id": "a b"}, "The issue_id is invalid"),
        ):
            with self.subTest(inputs):
                self.assertIn(cause, self.fail_with(InvalidInput, inputs).cause)


class TestFunctions(unittest.TestCase):
    def test_share(self) -> None:
        for count, total, expected in (
            (1, 3, 0.3333),
            (5, 4, 1.0),
            (0, 4, 0.0),
            (None, 4, None),
            (1, None, None),
            (1, 0, None),
        ):
            with self.subTest(count=count, total=total):
                self.assertEqual(share(count, total), expected)

    def test_name(self) -> None:
        for record, name in (({"name": "N", "label": "L", "value": "V"}, "N"), ({"label": "L", "value": "V"}, "L")):
            self.assertEqual(normalize_tag_value(record)["name"], name)

    def test_values_without_a_count_are_last(self) -> None:
        found = RecordList([{"value": "a"}, {"value": "b", "count": 2}], False, None, None)
        self.assertEqual([record["value"] for record in ranked(found, "os", 2).values.records], ["b", "a"])

    def test_incompleteness(self) -> None:
        records = [value(str(number), 1) for number in range(MAX_VALUES)]
        ended, cut = RecordList(records, False, None, None), RecordList(records, True, "0:2:0", None)
        unranked = RecordList([value("a", 1), value("b", 2)], True, "0:2:0", None)
        for values, unique, expected in (
            (ended, 1234, "lists 1000 of 1234 values"),
            (ended, MAX_VALUES, ""),
            (ended, None, ""),
            (ended._replace(records=records[:9]), 10, ""),
            (cut, 1234, ""),
            (unranked, 2, "does not sort"),
            (unranked._replace(warning="w"), 2, ""),
        ):
            with self.subTest(unique=unique, expected=expected):
                found = incompleteness(values, unique)
                self.assertIn(expected, found)
                self.assertEqual(bool(found), bool(expected))

"""get_issue, get_event, list_tag_values, list_comments and add_comment: one issue as the server shows it."""

from typing import Any, ClassVar

from testing.plugin import Json

from .case import RUN, E2ECase

FRAMES = [
    {"filename": "lib/run.py", "function": "run", "lineno": 7, "in_app": False},
    {
        "filename": "pumps/valve.py",
        "function": "open",
        "lineno": 42,
        "in_app": True,
        "pre_context": ["def open(valve):"],
        "context_line": "    raise ValveTimeout(valve)",
        "post_context": [""],
    },
]
EVENT: Json = {
    "exception": {"values": [{"type": "ValveTimeout", "value": "V-7 stuck", "stacktrace": {"frames": FRAMES}}]},
    "platform": "python",
    "level": "fatal",
    "transaction": "/pumps/start",
    "request": {"url": "https://pumps.example.com/start", "method": "POST"},
    "user": {"id": f"read-{RUN}", "email": "user5@example.com", "ip_address": "198.51.100.7"},
}
SITES = ("north", "north", "south")


class TestRead(E2ECase):
    """An issue with three events."""

    issue: ClassVar[Json] = {}
    ids: ClassVar[list[str]] = []

    @classmethod
    def setUpClass(cls) -> None:
        case = cls("runTest")
        for number, site in enumerate(SITES):
            event = {**EVENT, "release": f"e2e@{RUN}-{number}", "environment": f"read-{number % 2}-{RUN}"}
            # Times in different seconds, because Sentry does not order the events of the same second.
            event["timestamp"] = case.seconds_ago(10 * (len(SITES) - number))
            cls.ids.append(case.submit("read", {**event, "tags": {"site": site}}))
            cls.issue = case.issue_of("read")
        case.eventually(lambda: len(case.events(cls.issue["id"])) == len(SITES), "all events")

    def runTest(self) -> None:
        """Required by setUpClass, which creates a case without a test."""

    def of_issue(self, name: str, **inputs: Any) -> Json:
        return self.step(name, {"issue_id": self.issue["id"], **inputs})

    def test_an_issue_with_its_details_and_a_summary(self) -> None:
        output = self.of_issue("get_issue")
        issue = output["issue"]
        self.assertEqual((issue["id"], issue["shortId"]), (self.issue["id"], self.issue["shortId"]))
        self.assertEqual(issue["firstRelease"]["version"], f"e2e@{RUN}-0")
        self.assertEqual(issue["lastRelease"]["version"], f"e2e@{RUN}-2")
        self.assertIn("site", [tag["key"] for tag in issue["tags"]])
        self.assertIn("first_seen", [activity["type"] for activity in issue["activity"]])
        self.assertIn("ValveTimeout", output["summary"])
        self.assertLessEqual(len(output["summary"]), 4000)

    def test_an_issue_by_permalink_and_by_short_id(self) -> None:
        for issue_id in (self.issue["permalink"], self.issue["shortId"]):
            params = {"issue_id": issue_id, "organization_slug": self.target["ORG"]}
            self.assertEqual(self.step("get_issue", params)["issue"]["id"], self.issue["id"])

    def test_the_latest_and_the_oldest_event(self) -> None:
        for inputs, event_id in (({}, self.ids[-1]), ({"event_id": "latest"}, self.ids[-1])):
            self.assertEqual(self.of_issue("get_event", **inputs)["event"]["eventID"], event_id)
        oldest = self.of_issue("get_event", event_id="oldest")
        self.assertEqual(oldest["event"]["eventID"], self.ids[0])

    def test_the_recommended_event(self) -> None:
        self.assertIn(self.of_issue("get_event", event_id="recommended")["event"]["eventID"], self.ids)

    def test_an_event_of_the_issue_by_its_id(self) -> None:
        output = self.of_issue("get_event", event_id=self.ids[1])
        self.assertEqual((output["event"]["eventID"], output["issue_id"]), (self.ids[1], self.issue["id"]))

    def test_an_event_by_its_id_alone(self) -> None:
        params = {"event_id": self.ids[1], "organization_slug": self.target["ORG"]}
        output = self.step("get_event", params)
        self.assertEqual((output["event"]["eventID"], output["issue_id"]), (self.ids[1], self.issue["id"]))

    def test_the_details_of_an_event(self) -> None:
        details = self.of_issue("get_event")["details"]
        expected = {
            "exception_type": "ValveTimeout",
            "exception_value": "V-7 stuck",
            "location": {"file": "pumps/valve.py", "function": "open", "line": 42},
            "release": f"e2e@{RUN}-2",
            "environment": f"read-0-{RUN}",
            "level": "fatal",
            "platform": "python",
            "transaction": "/pumps/start",
            "url": "https://pumps.example.com/start",
        }
        self.assertEqual({name: details.get(name) for name in expected}, expected)
        self.assertEqual((details["user"]["id"], details["user"]["email"]), (f"read-{RUN}", "user5@example.com"))
        self.assertEqual(details["tags"]["site"], "south")
        self.assertLess(details["stacktrace"].index("lib/run.py"), details["stacktrace"].index("pumps/valve.py"))
        self.assertIn(f"/issues/{self.issue['id']}/events/{self.ids[-1]}/", details["permalink"])

    def test_the_summary_of_an_event(self) -> None:
        summary = self.of_issue("get_event")["summary"]
        for text in ("ValveTimeout", "raise ValveTimeout(valve)", self.issue["permalink"]):
            self.assertIn(text, summary)

    def test_a_missing_event(self) -> None:
        error = self.failure("get_event", {"issue_id": self.issue["id"], "event_id": "0" * 32})
        self.assertIn("(404)", error["cause"])

    def test_tag_values_with_counts_and_shares(self) -> None:
        output = self.of_issue("list_tag_values", key="site")
        values = {value["value"]: (value["count"], round(value["share"], 2)) for value in output["values"]}
        self.assertEqual(values, {"north": (2, 0.67), "south": (1, 0.33)})
        self.assertEqual([value["count"] for value in output["values"]], [2, 1])
        self.assertEqual((output["total"], output["truncated"]), (3, False))

    def test_tag_values_with_a_limit(self) -> None:
        output = self.of_issue("list_tag_values", key="release", limit=2)
        self.assertEqual((len(output["values"]), output["truncated"]), (2, True))

    def test_tag_values_of_an_environment(self) -> None:
        values = self.of_issue("list_tag_values", key="site", environment=f"read-1-{RUN}")["values"]
        self.assertEqual([(value["value"], value["count"]) for value in values], [("north", 1)])

    def test_affected_users(self) -> None:
        (user,) = self.of_issue("list_tag_values", key="user")["values"]
        self.assertEqual((user["email"], user["count"]), ("user5@example.com", 3))

    def test_an_unknown_tag(self) -> None:
        self.assertIn("(404)", self.failure("list_tag_values", {"issue_id": self.issue["id"], "key": "none"})["cause"])

    def test_comments_are_posted_and_listed_newest_first(self) -> None:
        issue_id = self.new_issue("comments")["id"]
        posted = [self.comment(issue_id, f"Ticket OPS-{number}") for number in range(3)]
        self.assertEqual(posted[0]["text"], "Ticket OPS-0")
        output = self.step("list_comments", {"issue_id": issue_id})
        listed = [comment["id"] for comment in output["comments"]]
        self.assertEqual((listed, output["truncated"]), ([comment["id"] for comment in posted[::-1]], False))
        first = self.step("list_comments", {"issue_id": issue_id, "limit": 2})
        self.assertEqual(first["truncated"], True)
        rest = self.step("list_comments", {"issue_id": issue_id, "cursor": first["next_cursor"]})
        self.assertEqual([comment["id"] for comment in rest["comments"]], listed[2:])

    def comment(self, issue_id: str, text: str) -> Json:
        comment: Json = self.step("add_comment", {"issue_id": issue_id, "text": text})["comment"]
        return comment

    def test_a_comment_by_a_read_only_token(self) -> None:
        self.need("TOKEN_READONLY")
        params = {"issue_id": self.issue["id"], "text": "x"}
        self.assertIn("event:write", self.failure("add_comment", params, "TOKEN_READONLY")["assistance"])
        self.assertEqual(self.step("list_comments", {"issue_id": self.issue["id"]})["comments"], [])

    def test_by_stdin(self) -> None:
        inputs = {"issue_id": self.issue["id"]}
        self.assertEqual(self.step_by_stdin("get_issue", inputs)["issue"]["id"], self.issue["id"])
        self.assertEqual(self.step_by_stdin("get_event", inputs)["event"]["eventID"], self.ids[-1])
        values = self.step_by_stdin("list_tag_values", {**inputs, "key": "site"})["values"]
        self.assertEqual(len(values), 2)

    def test_missing_issues(self) -> None:
        for name, more in (
            ("get_issue", {}),
            ("get_event", {}),
            ("list_tag_values", {"key": "site"}),
            ("list_comments", {}),
            ("add_comment", {"text": "x"}),
        ):
            with self.subTest(name):
                self.assertIn("(404)", self.failure(name, {"issue_id": "999999999", **more})["cause"])

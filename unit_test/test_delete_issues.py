"""Delete Issues against the sandbox and scripted servers."""

import json
import unittest

from komand_sentry.util.errors.exceptions import ConnectionFailed, Forbidden, InvalidInput, RateLimited, Unauthorized
from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import ACTIONS, SandboxTestCase, connection_to, run_action, validate
from unit_test import faults

ISSUES = "/api/0/organizations/acme/issues/"
NOT_FOUND = Answer(404, b'{"detail": "The requested resource does not exist"}')
ACCEPTED = Answer(202)
REFUSED = Answer(403, b'{"detail": "You do not have permission to perform this action."}')

Script = tuple[str, str, Answer]


def issue(number: str) -> Answer:
    link = f"https://acme.sentry.io/issues/{number}/"
    record = {"id": number, "shortId": f"PUMP-{number}", "title": "Pump stopped", "permalink": link}
    return Answer(body=json.dumps(record).encode())


def get(name: str, answer: Answer | None = None) -> Script:
    return ("GET", f"{ISSUES}{name}/", answer or issue(name))


def delete(name: str, answer: Answer = ACCEPTED) -> Script:
    return ("DELETE", f"{ISSUES}{name}/", answer)


def run(*script: Script, ids: tuple[str, ...] = ("30", "31"), confirm: int | None = None) -> Json:
    params = {
        "organization_slug": "acme",
        "issue_ids": [*ids],
        "confirm": len(ids) if confirm is None else confirm,
    }
    validate(params, ACTIONS["delete_issues"]().input.schema)
    with ScriptedServer(*script) as server:
        output = run_action("delete_issues", connection_to(server.base, timeout=3600), params)
        for request in server.received:
            assert (request.params, request.body) == ([], b""), request
        return output


class TestSandbox(SandboxTestCase):
    def test_deleted_issues_are_gone_and_all_others_remain(self) -> None:
        for message in ("First", "Second", "Third"):
            self.submit({"message": message})
        issues = {issue["title"]: issue for issue in self.issues(all_statuses=True)}
        ids = [issues["First"]["id"], issues["Second"]["shortId"]]
        params = {"organization_slug": self.sandbox.env["ORG"], "issue_ids": ids, "confirm": 2}
        with self.assertRaises(Forbidden) as caught:
            run_action("delete_issues", connection_to(self.sandbox.base, self.sandbox.env["TOKEN_READONLY"]), params)
        self.assertIn("event:admin", caught.exception.assistance)
        output = self.run_action("delete_issues", params)
        self.assertEqual(output["deleted"], [issues["First"]["id"], issues["Second"]["id"]])
        self.assertEqual([issue["title"] for issue in self.issues(all_statuses=True)], ["Third"])


class TestDelete(unittest.TestCase):
    def test_reads_all_issues_and_deletes_each_one(self) -> None:
        output = run(get("30"), get("PUMP-31", issue("31")), delete("30"), delete("31"), ids=("30", "PUMP-31"))
        self.assertEqual(output["deleted"], ["30", "31"])
        self.assertEqual(
            output["results"][1],
            {
                "id": "31",
                "shortId": "PUMP-31",
                "title": "Pump stopped",
                "permalink": "https://acme.sentry.io/issues/31/",
                "changed": True,
            },
        )

    def test_an_issue_under_two_names_is_deleted_once(self) -> None:
        output = run(get("30"), get("PUMP-30", issue("30")), delete("30"), ids=("30", "PUMP-30"))
        self.assertEqual((output["deleted"], len(output["results"])), (["30"], 1))

    def test_issues_that_do_not_exist_are_reported_and_the_others_are_deleted(self) -> None:
        output = run(get("30", NOT_FOUND), get("31"), delete("31"), ids=("30", "31", "no ID"))
        missing, deleted, invalid = output["results"]
        self.assertEqual(output["deleted"], ["31"])
        self.assertEqual((missing["id"], missing["changed"], deleted["changed"]), ("30", False, True))
        self.assertIn("found no issue 30 of organization acme", missing["error"])
        self.assertIn("issue_id is invalid", invalid["error"])

    def test_a_refusal_of_one_issue_does_not_stop_the_others(self) -> None:
        for answer in (
            Answer(400, b'["Only error issues can be deleted."]'),
            Answer(409, b'{"detail": "busy"}'),
            Answer(500, b'{"detail": "Internal Error"}'),
            Answer(404),
            NOT_FOUND,
        ):
            with self.subTest(answer.status):
                output = run(get("30"), get("31"), delete("30", answer), delete("31"))
                self.assertEqual((output["deleted"], output["results"][0]["changed"]), (["31"], False))
                self.assertIn(str(answer.status), output["results"][0]["error"])

    def test_a_retry_that_finds_no_issue_is_a_success(self) -> None:
        for first in (Answer(503), Answer(play=faults.reset)):
            output = run(get("30"), delete("30", first), delete("30", NOT_FOUND), ids=("30",))
            self.assertEqual(output["deleted"], ["30"])
        output = run(get("30"), delete("30", Answer(503)), delete("30", Answer(404)), ids=("30",))
        self.assertEqual(output["deleted"], [])

    def test_a_server_without_the_endpoint_of_the_organization(self) -> None:
        found = Answer(body=b'{"id": "5", "permalink": "https://h.example/acme/pump-station/issues/5/"}')
        plain = "/api/0/issues/5/"
        script = (get("5", Answer(404)), *[("GET", plain, found)] * 2, ("DELETE", plain, ACCEPTED))
        self.assertEqual(run(*script, ids=("5",))["deleted"], ["5"])


class TestGuards(unittest.TestCase):
    def test_confirm_must_be_the_number_of_issues(self) -> None:
        for ids, confirm in ((("30", "31"), 1), (("30", "31"), 3), (("30",), 0), (("30",), -1), (("30", " 30 "), 2)):
            with self.subTest(ids, confirm=confirm), self.assertRaises(InvalidInput) as caught:
                run(ids=ids, confirm=confirm)
            self.assertIn("Nothing was deleted", caught.exception.cause)
        for empty in ((), (" ",)):
            with self.subTest(empty), self.assertRaises(InvalidInput):
                run(ids=empty, confirm=0)

    def test_confirm_counts_different_issues(self) -> None:
        self.assertEqual(run(get("30"), delete("30"), ids=("30", " 30 "), confirm=1)["deleted"], ["30"])

    def test_an_invalid_slug_sends_nothing(self) -> None:
        for slug in ("", ".."):
            params = {"organization_slug": slug, "issue_ids": ["30"], "confirm": 1}
            with self.subTest(slug), ScriptedServer() as server, self.assertRaises(InvalidInput):
                run_action("delete_issues", connection_to(server.base), params)

    def test_the_issue_that_another_one_was_merged_into_is_not_deleted(self) -> None:
        output = run(get("31", issue("30")), ids=("31",))
        self.assertEqual(output["deleted"], [])
        self.assertIn("merged into issue 30", output["results"][0]["error"])
        self.assertEqual(run(get("31", issue("30")), get("30"), delete("30"), ids=("31", "30"))["deleted"], ["30"])

    def test_an_answer_without_an_id_deletes_nothing(self) -> None:
        for body in (b"{}", b'{"id": null}', b'{"id": "../31"}'):
            with self.subTest(body):
                output = run(get("30", Answer(body=body)), ids=("30",))
                self.assertEqual((output["deleted"], output["results"][0]["changed"]), ([], False))


class TestFailuresOfAll(unittest.TestCase):
    def test_nothing_is_deleted_if_the_first_read_or_deletion_fails(self) -> None:
        for answer, count, error_type in (
            (Answer(401, b'{"detail": "Invalid token"}'), 1, Unauthorized),
            (Answer(429, b'"too frequently"'), 8, RateLimited),
            (Answer(play=faults.cut_off), 8, ConnectionFailed),
        ):
            with self.subTest(error_type), self.assertRaises(error_type):
                run(*[get("30", answer)] * count)
            with self.subTest(error_type, phase="delete"), self.assertRaises(error_type):
                run(get("30"), get("31"), *[delete("30", answer)] * count)
        with self.assertRaises(Forbidden) as caught:
            run(get("30"), get("31"), delete("30", REFUSED))
        self.assertIn("event:admin", caught.exception.assistance)

    def test_a_failure_in_between_tells_what_was_deleted(self) -> None:
        ids = ("30", "31", "32")
        read = [get(number) for number in ids]
        for answer, count, cause in (
            (REFUSED, 1, "may not access issue 31"),
            (Answer(401, b'{"detail": "Invalid token"}'), 1, "did not accept the token"),
            (Answer(503), 8, "failed on issue 31"),
            (Answer(play=faults.cut_off), 8, "may have deleted the issue"),
        ):
            with self.subTest(cause):
                output = run(*read, delete("30"), *[delete("31", answer)] * count, ids=ids)
                self.assertEqual(output["deleted"], ["30"])
                self.assertEqual([result["changed"] for result in output["results"]], [True, False, False])
                self.assertIn(cause, output["results"][1]["error"])
                self.assertIn("Not deleted, because an earlier deletion failed", output["results"][2]["error"])

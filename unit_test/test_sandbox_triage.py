"""The sandbox over HTTP on loopback: search, details, tags, comments, merges, deletion and look-ups."""

import os
import sys
import time
import unittest
from datetime import UTC, datetime
from typing import Any, ClassVar

import requests

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..")))

from sandbox import Sandbox
from unit_test.test_sandbox import DENIED, MISSING, SandboxTest

ISSUES = "/organizations/acme/issues/"


def moment(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class TestOrganizationIssues(SandboxTest):
    now: ClassVar[int]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        test, cls.now = cls(), int(time.time())
        for hours, title in enumerate(("newest", "an hour old", "two hours old")):
            test.submit(message=title, timestamp=cls.now - hours * 3600, environment="prod" if hours else None)
        test.submit("PROJECT2", message="at the gate", timestamp=cls.now - 3 * 86400, level="fatal")

    def titles(self, **params: Any) -> list[str]:
        response = self.api("GET", ISSUES, params=params)
        self.assertEqual(response.status_code, 200, response.text)
        return [issue["title"] for issue in response.json()]

    def test_filters(self) -> None:
        pump, gate = ["newest", "an hour old", "two hours old"], ["at the gate"]
        cases: list[tuple[dict[str, Any], list[str]]] = [
            ({}, pump + gate),
            ({"project": "-1"}, pump + gate),
            ({"project": "gate"}, gate),
            ({"project": [self.env["PROJECT_ID"], self.env["PROJECT2_ID"]]}, pump + gate),
            ({"environment": "prod"}, pump[1:]),
            ({"environment": ""}, pump[:1] + gate),
            ({"environment": ["", "prod"]}, pump + gate),
            ({"statsPeriod": "30m"}, pump[:1]),
            ({"statsPeriod": "1d"}, pump),
            ({"start": moment(self.now - 7200), "end": moment(self.now - 3599)}, pump[1:]),
            ({"start": moment(self.now - 7200), "end": moment(self.now - 3600)}, pump[2:]),
            ({"query": "level:fatal"}, gate),
            ({"query": "level:fatal", "statsPeriod": "1d"}, []),
            ({"sort": "new"}, pump + gate),
        ]
        for params, titles in cases:
            with self.subTest(params):
                self.assertEqual(self.titles(**params), titles)

    def test_the_cursor_continues_a_page(self) -> None:
        for sort in ("date", "new"):
            first = self.api("GET", ISSUES, params={"limit": 3, "sort": sort})
            page = (len(first.json()), first.links["next"]["results"], first.headers["X-Hits"])
            self.assertEqual(page, (3, "true", "4"))
            rest = self.titles(limit=3, sort=sort, cursor=first.links["next"]["cursor"])
            self.assertEqual(rest, ["at the gate"])

    def test_rows_have_statistics_and_totals(self) -> None:
        for period, buckets in (("24h", 24), ("14d", 14)):
            issue = self.api("GET", ISSUES, params={"groupStatsPeriod": period, "limit": 1}).json()[0]
            self.assertEqual(len(issue["stats"][period]), buckets)
            self.assertEqual((issue["lifetime"]["count"], issue["filtered"]), ("1", None))
        self.assertNotIn("stats", self.api("GET", ISSUES, params={"groupStatsPeriod": ""}).json()[0])

    def test_refused_parameters(self) -> None:
        cases: list[tuple[dict[str, str], int, str]] = [
            ({"statsPeriod": ""}, 400, "Invalid statsPeriod: ''"),
            ({"statsPeriod": "auto"}, 400, "Invalid statsPeriod: 'auto'"),
            ({"groupStatsPeriod": "1h"}, 400, "Invalid stats_period."),
            ({"start": moment(self.now)}, 400, "start and end are both required"),
            ({"start": moment(self.now), "end": moment(self.now)}, 400, "start must be before end"),
            ({"start": "2026-08-01T00:00:00+02:00", "end": moment(self.now)}, 400, "is not a valid ISO8601 date query"),
            ({"start": "yesterday", "end": moment(self.now)}, 400, "yesterday is not a valid ISO8601 date query"),
            ({"sort": "size"}, 400, "Sort key 'size' not supported."),
            ({"limit": "x"}, 400, "invalid limit"),
            ({"cursor": "x"}, 400, "Invalid cursor parameter."),
            ({"query": "is:odd"}, 400, "Error parsing search query"),
            ({"environment": "nowhere"}, 404, MISSING["detail"]),
            ({"project": "nowhere"}, 403, DENIED["detail"]),
            ({"project": self.env["PROJECT_BRAVO_ID"]}, 403, DENIED["detail"]),
        ]
        for params, status, detail in cases:
            with self.subTest(params):
                response = self.api("GET", ISSUES, params=params)
                self.assertEqual(response.status_code, status, response.text)
                self.assertIn(detail, response.json()["detail"])


class TestDetails(SandboxTest):
    def test_an_issue_with_history_people_tags_and_releases(self) -> None:
        for release in ("pumps@1", "pumps@2"):
            issue = self.new_issue(message="with details", release=release)["id"]
        changes = {"status": "resolved", "assignedTo": self.env["USER2_ID"], "hasSeen": True}
        self.api("PUT", f"/issues/{issue}/", json=changes)
        self.api("POST", f"/issues/{issue}/comments/", json={"text": "OPS-42"})
        found = self.api("GET", f"{ISSUES}{issue}/").json()
        kinds = [activity["type"] for activity in found["activity"]]
        self.assertEqual(kinds, ["note", "assigned", "set_resolved", "first_seen"])
        self.assertEqual(found["numComments"], 1)
        people = [person["id"] for person in found["participants"]]
        self.assertEqual(people, [self.env["USER_ID"], self.env["USER2_ID"]])
        self.assertEqual([person["id"] for person in found["seenBy"]], [self.env["USER_ID"]])
        self.assertEqual((found["firstRelease"]["version"], found["lastRelease"]["version"]), ("pumps@1", "pumps@2"))
        tags = {tag["key"]: (tag["uniqueValues"], tag["totalValues"]) for tag in found["tags"]}
        self.assertEqual(tags, {"level": (1, 2), "release": (2, 2)})

    def test_an_unknown_environment(self) -> None:
        issue = self.new_issue(environment="prod")["id"]
        self.assertEqual(self.api("GET", f"/issues/{issue}/?environment=prod").status_code, 200)
        self.assertEqual(self.api("GET", f"/issues/{issue}/?environment=nowhere").json(), MISSING)

    def test_an_event_by_its_id_alone(self) -> None:
        event_id = self.submit("PROJECT2", message="alone")
        found = self.api("GET", f"/organizations/acme/eventids/{event_id}/").json()
        self.assertEqual((found["projectSlug"], found["event"]["eventID"]), ("gate", event_id))
        self.assertEqual(self.api("GET", f"/organizations/acme/eventids/{'0' * 32}/").json(), MISSING)
        self.assertEqual(self.api("GET", "/organizations/acme/eventids/latest/").status_code, 400)


class TestTags(SandboxTest):
    issue: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        test, now = cls(), int(time.time())
        for age, (site, user) in enumerate((("east", 7), ("north", 8), ("north", 8), ("west", None), ("south", 7))):
            event: dict[str, Any] = {"message": "tagged", "timestamp": now - age, "release": f"pumps@{age // 4}"}
            event["environment"] = "prod" if age < 3 else "test"
            if user:
                event["user"] = {"id": user, "email": f"user{user}@example.com", "ip_address": "198.51.100.7"}
            event_id = test.submit(**event, tags={"site": site})
        cls.issue = test.issue_of(event_id)["id"]
        test.submit(message="another", tags={"only_there": "x"})

    def values(self, key: str, **params: Any) -> requests.Response:
        return self.api("GET", f"{ISSUES}{self.issue}/tags/{key}/values/", params=params)

    def test_a_tag_with_its_most_frequent_values(self) -> None:
        for prefix in ("/issues/", ISSUES):
            tag = self.api("GET", f"{prefix}{self.issue}/tags/site/").json()
            top = [(value["value"], value["count"]) for value in tag.pop("topValues")]
            self.assertEqual(top, [("north", 2), ("east", 1), ("south", 1), ("west", 1)])
            self.assertEqual(tag, {"key": "site", "name": "Site", "uniqueValues": 4, "totalValues": 5})

    def test_orders(self) -> None:
        by_time = ["east", "north", "west", "south"]
        for sort, values in (("count", "north"), ("date", by_time), ("age", by_time), ("", by_time)):
            found = [value["value"] for value in self.values("site", sort=sort).json()]
            self.assertEqual(found[0] if sort == "count" else found, values)

    def test_pages(self) -> None:
        found: list[str] = []
        cursor, results = "", "true"
        while results == "true":
            page = self.values("site", sort="count", per_page=3, cursor=cursor)
            found += [value["value"] for value in page.json()]
            cursor, results = page.links["next"]["cursor"], page.links["next"]["results"]
        self.assertEqual(sorted(found), ["east", "north", "south", "west"])
        self.assertEqual(self.values("site", per_page=101).status_code, 400)

    def test_a_value_has_its_count_and_times(self) -> None:
        _, value = self.values("release", environment="test").json()
        self.assertEqual((value["key"], value["name"], value["value"]), ("release", "1", "pumps@1"))
        self.assertEqual((value["count"], value["firstSeen"]), (1, value["lastSeen"]))

    def test_a_value_of_the_tag_user_is_a_user(self) -> None:
        first = self.values("user", sort="count").json()[0]
        self.assertEqual((first["id"], first["email"], first["value"]), ("8", "user8@example.com", "id:8"))
        self.assertEqual((first["count"], first["query"], first["ipAddress"]), (2, 'user.id:"8"', "198.51.100.7"))
        self.assertNotIn("key", first)

    def test_environments(self) -> None:
        self.assertEqual(len(self.values("site", environment="prod").json()), 2)
        self.assertEqual(self.values("site", environment="nowhere").json(), MISSING)

    def test_unknown_tags(self) -> None:
        for path in ("tags/nothing/", "tags/nothing/values/", "tags/only_there/"):
            response = self.api("GET", f"{ISSUES}{self.issue}/{path}")
            self.assertEqual((response.status_code, response.json()), (404, MISSING))
        self.assertEqual(self.values("only_there").json(), [])


class TestComments(SandboxTest):
    def setUp(self) -> None:
        self.path = f"{ISSUES}{self.new_issue()['id']}/comments/"

    def post(self, body: Any, token: str = "TOKEN") -> requests.Response:
        return self.api("POST", self.path, token, json=body)

    def test_comments_are_listed_newest_first_in_pages(self) -> None:
        posted = [self.post({"text": text}).json()["id"] for text in "abc"]
        first = self.api("GET", f"{self.path}?per_page=2")
        self.assertEqual([comment["id"] for comment in first.json()], posted[:0:-1])
        rest = self.api("GET", self.path, params={"cursor": first.links["next"]["cursor"], "per_page": 2})
        self.assertEqual([comment["id"] for comment in rest.json()], posted[:1])
        self.assertEqual(rest.links["next"]["results"], "false")

    def test_a_comment(self) -> None:
        response = self.post({"text": " OPS-42 "})
        comment = response.json()
        self.assertEqual((response.status_code, comment["type"], comment["data"]), (201, "note", {"text": "OPS-42"}))
        self.assertEqual(comment["user"]["id"], self.env["USER_ID"])
        issue = self.api("GET", self.path.removesuffix("comments/")).json()
        self.assertEqual(issue["subscriptionDetails"], {"reason": "commented"})

    def test_the_same_text_by_the_same_user_is_refused(self) -> None:
        self.post({"text": "again"})
        again = self.post({"text": "again"})
        self.assertEqual((again.status_code, again.json()), (400, {"detail": "You have already posted that comment."}))
        self.assertEqual(self.post({"text": "again"}, "TOKEN_MEMBER").status_code, 201)

    def test_refused_bodies(self) -> None:
        cases: list[tuple[Any, Any]] = [
            ({}, {"text": ["This field is required."]}),
            ({"text": " "}, {"text": ["This field may not be blank."]}),
            ({"text": None}, {"text": ["This field may not be null."]}),
            ({"text": ["x"]}, {"text": ["Not a valid string."]}),
            ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
        ]
        for body, errors in cases:
            with self.subTest(body=body):
                response = self.post(body)
                self.assertEqual((response.status_code, response.json()), (400, errors))
        self.assertEqual(self.post({"text": "x"}, "TOKEN_READONLY").json(), DENIED)
        self.assertEqual(self.api("GET", self.path).json(), [])

    def test_only_own_comments_are_deleted(self) -> None:
        path = f"{self.path}{self.post({'text': 'short-lived'}).json()['id']}/"
        self.assertEqual(self.api("DELETE", path, "TOKEN_MEMBER").json(), MISSING)
        self.assertEqual(self.api("DELETE", path).status_code, 204)
        self.assertEqual(self.api("DELETE", path).status_code, 404)
        self.assertEqual(self.api("GET", self.path).json(), [])


class TestMerge(SandboxTest):
    """Merges stay pending until `finish_merges`."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.sandbox.store.merge_seconds = 3600

    def finish_merges(self) -> None:
        self.sandbox.store.run("UPDATE issue_redirect SET since = 0")

    def merge(self, *issues: str, path: str = ISSUES) -> requests.Response:
        return self.api("PUT", path, params={"id": issues}, json={"merge": 1})

    def merged(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Two issues and the response of their merge; the second has the most events."""
        small, message = self.new_issue(tags={"size": "small"}), f"large {time.time()}"
        large = [self.new_issue(message=message) for _ in range(2)][-1]
        response = self.merge(small["id"], large["id"])
        self.assertEqual(response.json(), {"merge": {"parent": large["id"], "children": [small["id"]]}})
        return small, large

    def test_the_issue_with_the_most_events_remains(self) -> None:
        small, large = self.merged()
        parent = self.api("GET", f"/issues/{large['id']}/").json()
        self.assertEqual(parent["count"], str(int(large["count"]) + 1))
        self.assertEqual(parent["firstSeen"], min(small["firstSeen"], large["firstSeen"]))
        self.assertEqual(parent["activity"][0]["data"], {"issues": [{"id": int(small["id"])}]})
        tag = self.api("GET", f"/issues/{large['id']}/tags/size/").json()
        self.assertEqual(tag["totalValues"], 1)

    def test_of_equal_issues_the_newest_remains(self) -> None:
        first, second = self.new_issue()["id"], self.new_issue()["id"]
        self.assertEqual(self.merge(first, second).json()["merge"]["parent"], second)

    def test_a_merged_issue_is_missing_and_then_its_parent(self) -> None:
        small, large = self.merged()
        paths = [f"/issues/{small['id']}/", f"{ISSUES}{small['id']}/", f"{ISSUES}{small['shortId']}/"]
        self.assertEqual({self.api("GET", path).status_code for path in paths}, {404})
        self.finish_merges()
        self.assertEqual({self.api("GET", path).json()["id"] for path in paths}, {large["id"]})
        changed = self.api("PUT", paths[0], json={"isBookmarked": True}).json()
        self.assertEqual((changed["id"], changed["isBookmarked"]), (large["id"], True))
        short_id = f"/organizations/acme/shortids/{small['shortId']}/"
        self.assertEqual(self.api("GET", short_id).status_code, 404)

    def test_later_events_join_the_parent(self) -> None:
        first, second = self.new_issue(message="joins")["id"], self.new_issue()["id"]
        self.merge(first, second)
        self.assertEqual(self.new_issue(message="joins")["id"], second)

    def test_a_chain_of_merges_leads_to_the_last_parent(self) -> None:
        first, second = self.new_issue()["id"], self.new_issue()["id"]
        self.merge(first, second)  # makes the second the largest
        for _ in range(3):
            third = self.new_issue(message="the third")["id"]
        self.merge(second, third)
        self.finish_merges()
        self.assertEqual(self.api("GET", f"/issues/{first}/").json()["id"], third)
        self.api("DELETE", f"/issues/{third}/")
        self.assertEqual(self.api("GET", f"/issues/{first}/").status_code, 404)

    def test_what_is_not_merged(self) -> None:
        issue, other = self.new_issue()["id"], self.new_issue()["id"]
        gate = self.issue_of(self.submit("PROJECT2", message="gate"))["id"]
        self.assertEqual(self.merge(issue).json(), {"merge": True})
        self.assertEqual(self.merge(issue, "99999").json(), {"merge": True})
        self.assertEqual(self.merge("99999").status_code, 204)
        across = self.merge(issue, gate)
        self.assertEqual(across.json(), {"detail": "Merging across multiple projects is not supported"})
        self.assertEqual(self.merge(issue, "x").status_code, 500)
        unmerged = self.api("PUT", ISSUES, params={"id": [issue, other]}, json={"merge": False})
        self.assertEqual(unmerged.json(), {})
        self.assertEqual(self.api("GET", f"/issues/{other}/").json()["id"], other)

    def test_the_time_of_a_merge_is_a_setting(self) -> None:
        with Sandbox(merge_seconds=0) as sandbox:
            headers = {"Authorization": f"Bearer {sandbox.env['TOKEN']}"}
            store = f"{sandbox.base}/api/1/store/?sentry_key={sandbox.env['PUBLIC_KEY']}"
            for text in ("a", "b"):
                requests.post(store, json={"message": text}, timeout=5)
            url = f"{sandbox.base}/api/0{ISSUES}"
            requests.put(url, params={"id": ["1", "2"]}, json={"merge": True}, headers=headers, timeout=5)
            self.assertEqual(requests.get(f"{url}1/", headers=headers, timeout=5).json()["id"], "2")


class TestBulk(SandboxTest):
    def test_deletion_by_ids(self) -> None:
        for path in (ISSUES, "/projects/acme/pump-station/issues/"):
            first, second, kept = (self.new_issue()["id"] for _ in range(3))
            response = self.api("DELETE", path, params={"id": [first, second, "99999"]})
            self.assertEqual((response.status_code, response.text), (204, ""))
            found = [self.api("GET", f"/issues/{issue}/").status_code for issue in (first, second, kept)]
            self.assertEqual(found, [404, 404, 200])
            self.assertEqual(self.api("DELETE", path, params={"id": [first]}).status_code, 204)

    def test_deletion_of_what_a_query_finds(self) -> None:
        issue, kept = self.new_issue(tags={"bulk": "yes"})["id"], self.new_issue()["id"]
        self.assertEqual(self.api("DELETE", ISSUES, params={"query": "bulk:yes"}).status_code, 204)
        found = [self.api("GET", f"/issues/{issue}/").status_code for issue in (issue, kept)]
        self.assertEqual(found, [404, 200])

    def test_an_issue_of_another_project_is_not_deleted(self) -> None:
        issue = self.new_issue()["id"]
        self.api("DELETE", "/projects/acme/gate/issues/", params={"id": issue})
        self.assertEqual(self.api("GET", f"/issues/{issue}/").status_code, 200)

    def test_refusals(self) -> None:
        issue = self.new_issue()["id"]
        self.assertEqual(self.api("DELETE", ISSUES, "TOKEN_READONLY", params={"id": issue}).json(), DENIED)
        internal = self.api("DELETE", ISSUES, params={"id": [issue, "x"]})
        self.assertEqual((internal.status_code, internal.json()["detail"]), (500, "Internal Error"))
        self.assertEqual(self.api("GET", f"/issues/{issue}/").status_code, 200)

    def test_no_release_for_several_projects(self) -> None:
        ids = [self.new_issue(release="r")["id"], self.issue_of(self.submit("PROJECT2", message="gate"))["id"]]
        details = {"status": "resolved", "statusDetails": {"inRelease": "r"}}
        for body in (details, {"status": "resolvedInNextRelease"}):
            response = self.api("PUT", ISSUES, params={"id": ids}, json=body)
            self.assertEqual(
                (response.status_code, response.json()["detail"][:30]), (400, "Cannot set resolved for multip")
            )
        self.assertEqual(self.api("PUT", ISSUES, params={"id": ids}, json={"status": "resolved"}).status_code, 200)


class TestResolution(SandboxTest):
    def put(self, issue: str, details: dict[str, Any]) -> requests.Response:
        body = {"status": "resolved", "statusDetails": details}
        return self.api("PUT", f"/issues/{issue}/", json=body)

    def test_in_a_commit(self) -> None:
        issue = self.new_issue()["id"]
        commit = {"commit": self.env["COMMIT"], "repository": self.env["REPOSITORY"]}
        found = self.put(issue, {"inCommit": commit}).json()
        self.assertEqual((found["status"], found["statusDetails"]["inCommit"]["id"]), ("resolved", commit["commit"]))
        detail = self.api("GET", f"/issues/{issue}/").json()
        self.assertEqual(detail["statusDetails"], found["statusDetails"])
        self.assertEqual(detail["activity"][0]["type"], "set_resolved_in_commit")
        self.assertEqual(
            self.api("PUT", f"/issues/{issue}/", json={"status": "unresolved"}).json()["statusDetails"], {}
        )

    def test_in_an_unknown_commit(self) -> None:
        issue, repository = self.new_issue()["id"], self.env["REPOSITORY"]
        required = ["This field is required."]
        cases: list[tuple[dict[str, str], dict[str, list[str]]]] = [
            ({}, {"commit": required, "repository": required}),
            ({"commit": "x", "repository": "none"}, {"repository": ["Unable to find the given repository."]}),
            ({"commit": "x", "repository": repository}, {"commit": ["Unable to find the given commit."]}),
        ]
        for commit, errors in cases:
            response = self.put(issue, {"inCommit": commit})
            self.assertEqual((response.status_code, response.json()), (400, {"statusDetails": {"inCommit": errors}}))

    def test_in_a_release_that_an_event_created(self) -> None:
        issue = self.new_issue(release="pumps@3")["id"]
        self.assertEqual(self.put(issue, {"inNextRelease": True}).json()["statusDetails"]["inNextRelease"], True)
        self.api("PUT", f"/issues/{issue}/", json={"status": "unresolved"})
        self.assertEqual(self.put(issue, {"inRelease": "pumps@3"}).json()["statusDetails"]["inRelease"], "pumps@3")


class TestLookups(SandboxTest):
    def ids(self, path: str, **params: Any) -> list[str]:
        return [row["id"] for row in self.api("GET", f"/organizations/acme/{path}/", params=params).json()]

    def test_queries(self) -> None:
        teams = [self.env["TEAM_ID"], self.env["TEAM2_ID"]]
        for path, query, ids in (
            ("projects", "", [self.env["PROJECT2_ID"], self.env["PROJECT_ID"]]),
            ("projects", "PUMP", [self.env["PROJECT_ID"]]),
            ("projects", "nothing", []),
            ("teams", "", teams),
            ("teams", "op", teams[:1]),
            ("members", "", ["1", "2", "3"]),
            ("members", "ada", ["2"]),
            ("members", self.env["USER2_EMAIL"], ["3"]),
            ("members", "invited@", ["1"]),
            ("members", "outsider", []),
        ):
            with self.subTest(path, query=query):
                self.assertEqual(self.ids(path, query=query), ids)

    def test_pages(self) -> None:
        for path in ("projects", "teams", "members"):
            page = self.api("GET", f"/organizations/acme/{path}/?per_page=1")
            rest = self.ids(path, per_page=1, cursor=page.links["next"]["cursor"])
            self.assertEqual([page.json()[0]["id"], *rest], self.ids(path)[:2])

    def test_a_membership_is_not_a_user(self) -> None:
        members = self.api("GET", "/organizations/acme/members/").json()
        users = [(member["user"] or {}).get("id") for member in members]
        self.assertEqual(users, [None, self.env["USER_ID"], self.env["USER2_ID"]])
        self.assertEqual([member["pending"] for member in members], [True, False, False])
        self.assertEqual((members[0]["email"], members[0]["name"]), ("invited@example.com", "invited@example.com"))


if __name__ == "__main__":
    unittest.main()

"""list_projects, list_members and list_teams."""

from typing import Any

from testing.plugin import Json

from .case import RUN, E2ECase


class TestLookups(E2ECase):
    def records(self, name: str, **inputs: Any) -> list[Json]:
        output = self.step(f"list_{name}", {"organization_slug": self.target["ORG"], **inputs})
        self.assertFalse(output["truncated"])
        records: list[Json] = output[name]
        return records

    def test_projects(self) -> None:
        projects = {project["slug"]: project for project in self.records("projects")}
        project = projects[self.target["PROJECT"]]
        self.assertTrue(project["id"].isdigit() and project["name"])
        self.assertIs(project["hasAccess"], True)

    def test_projects_by_query(self) -> None:
        slugs = [project["slug"] for project in self.records("projects", query=self.target["PROJECT"])]
        self.assertIn(self.target["PROJECT"], slugs)
        self.assertEqual(self.records("projects", query=f"none-{RUN}"), [])

    def test_members_with_the_id_that_can_be_assigned(self) -> None:
        self.need("USER_ID", "USER_EMAIL")
        members = [member for member in self.records("members") if member["email"] == self.target["USER_EMAIL"]]
        self.assertEqual([member["id"] for member in members], [self.target["USER_ID"]])
        self.assertFalse(members[0]["pending"])

    def test_members_by_query(self) -> None:
        self.need("USER_ID", "USER_EMAIL")
        found = self.records("members", query=self.target["USER_EMAIL"])
        self.assertEqual([member["id"] for member in found], [self.target["USER_ID"]])
        self.assertEqual(self.records("members", query=f"none-{RUN}@example.com"), [])

    def test_teams(self) -> None:
        self.need("TEAM_ID")
        teams = {team["id"]: team for team in self.records("teams")}
        team = teams[self.target["TEAM_ID"]]
        self.assertIn(self.target["PROJECT"], team["projects"])
        found = self.records("teams", query=team["slug"])
        self.assertIn(team["id"], [row["id"] for row in found])

    def test_a_limit_truncates_and_the_cursor_continues(self) -> None:
        first = self.step("list_projects", {"organization_slug": self.target["ORG"], "limit": 1})
        self.assertEqual((len(first["projects"]), first["truncated"]), (1, True))
        params = {"organization_slug": self.target["ORG"], "cursor": first["next_cursor"]}
        rest = self.step("list_projects", params)["projects"]
        slugs = [project["slug"] for project in first["projects"] + rest]
        self.assertEqual(slugs, [project["slug"] for project in self.records("projects")])

    def test_by_stdin(self) -> None:
        for name in ("projects", "members", "teams"):
            self.assertTrue(self.step_by_stdin(f"list_{name}", {"organization_slug": self.target["ORG"]})[name])

    def test_an_unknown_organization(self) -> None:
        for name in ("list_projects", "list_members", "list_teams"):
            self.assertIn("(404)", self.failure(name, {"organization_slug": f"none-{RUN}"})["cause"])

"""List Teams against the sandbox and a scripted server."""

from typing import ClassVar

from testing.plugin import Json
from unit_test import organization_list_case


class TestListTeams(organization_list_case.OrganizationListCase):
    name = "teams"
    sent: ClassVar[Json] = {
        "id": 2,
        "slug": "operations",
        "name": "Operations",
        "dateCreated": "2026-08-01T12:00:00Z",
        "isMember": True,
        "memberCount": 3,
        "access": ["org:read"],
        "projects": [{"id": "2", "slug": "pump-station", "features": []}, {"id": "3", "slug": "valves"}],
    }
    returned: ClassVar[Json] = {
        "id": "2",
        "slug": "operations",
        "name": "Operations",
        "isMember": True,
        "memberCount": 3,
        "projects": ["pump-station", "valves"],
    }

    def test_id_can_be_assigned(self) -> None:
        self.submit({"message": "For the team"})
        team = self.run_action("list_teams", {"organization_slug": self.sandbox.env["ORG"]})["teams"][0]
        inputs = {"issue_id": self.issues()[0]["id"], "assignedTo": f"team:{team['id']}"}
        assignee = self.run_action("update_issue", inputs)["issue"]["assignedTo"]
        self.assertEqual((assignee["type"], assignee["id"]), ("team", team["id"]))

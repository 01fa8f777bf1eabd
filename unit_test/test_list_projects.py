"""List Projects against the sandbox and a scripted server."""

from typing import ClassVar

from testing.plugin import Json
from unit_test import organization_list_case


class TestListProjects(organization_list_case.OrganizationListCase):
    name = "projects"
    returned: ClassVar[Json] = {
        "id": "2",
        "slug": "pump-station",
        "name": "Pump Station",
        "platform": "python",
        "status": "active",
        "isMember": True,
        "hasAccess": True,
        "dateCreated": "2026-08-01T12:00:00Z",
        "firstEvent": "2026-08-02T12:00:00Z",
    }
    sent: ClassVar[Json] = {**returned, "id": 2, "features": ["alert-filters"], "options": {}, "team": {"slug": "ops"}}

    def test_project_without_events_and_platform(self) -> None:
        output, _ = self.list_records(
            {}, organization_list_case.answer({"id": "2", "firstEvent": None, "platform": None})
        )
        self.assertEqual(output["projects"], [{"id": "2"}])

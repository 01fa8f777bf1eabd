"""Events: list those of an issue, get one."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import RouteMissing
from komand_sentry.util.errors.factory import ErrorContext, invalid_input
from komand_sentry.util.errors.messages import event_advice, issue_advice, list_failure_advice
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.messages import Params
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.endpoints import IssueEndpoint, event_id_path, issue_endpoint, project_event_path
from komand_sentry.util.sentry.event_cursor import EventCursor
from komand_sentry.util.sentry.issue_reference import organization_of_issue
from komand_sentry.util.sentry.issues import log_merged
from komand_sentry.util.sentry.normalize import Record, normalize_event, normalize_issue
from komand_sentry.util.sentry.organizations import check_slug
from komand_sentry.util.sentry.pagination import ListSpec, Page, PageRange, RecordList, read_list
from komand_sentry.util.sentry.scopes import ORGANIZATION_SCOPE, PROJECT_SCOPE, READ_SCOPE

EVENTS = ListSpec("eventID", "per_page", normalize_event, EventCursor.parse)
EVENT_WORDS = ("latest", "oldest", "recommended")

_EVENT_ID = re.compile(r"[0-9a-f]{32}")


class EventWithIssue(NamedTuple):
    """An event and its issue.

    :param issue: empty if it cannot be read
    :param issue_id: a number, "" if unknown
    """

    event: Record
    issue: Record
    issue_id: str

    @property
    def permalink(self) -> str:
        """The URL of the event in Sentry, "" if unknown."""
        permalink, event_id = self.issue.get("permalink"), self.event.get("eventID")
        is_page = isinstance(permalink, str) and permalink.endswith(f"/issues/{self.issue_id}/")
        return f"{permalink}events/{event_id}/" if is_page and event_id else ""


@dataclass(frozen=True)
class Events:
    """https://docs.sentry.io/api/events/"""

    api: API

    def list_for_issue(
        self, issue_id: str, organization_slug: str, environment: str, full: bool, page_range: PageRange
    ) -> RecordList:
        """`GET /organizations/{organization}/issues/{ID}/events/` or `GET /issues/{ID}/events/`, newest first, as many
        pages as the range needs.

        :param issue_id: a number, a permalink or a short ID
        :param organization_slug: "" if unknown
        :param environment: "" for all
        :param full: with stack traces, breadcrumbs and contexts
        :raises PluginException: see read_list, the issue_id is invalid, or there is no such issue
        """
        endpoint = issue_endpoint(self.api, issue_id, organization_slug)
        endpoint.context = endpoint.context._replace(
            advice=issue_advice(environment), failure_advice=list_failure_advice(cursor=page_range.cursor)
        )
        # The short form needs an absent parameter: some servers before 2023 treat any `full` as true, even "0".
        optional = (("full", "1" if full else ""), ("environment", environment))
        params: Params = tuple((name, value) for name, value in optional if value)

        dropped = 0

        def fetch(page_params: Params) -> Page:
            nonlocal dropped
            page = endpoint.get_page("events", (*params, *page_params))
            kept = [event for event in page.records if not contradicts(event, environment)]
            dropped += len(page.records) - len(kept)
            return page._replace(records=kept)

        events = read_list(fetch, EVENTS, page_range, endpoint.context, self.api.http)
        if dropped:
            self.api.http.log.warning(
                f"The server ignored the environment: dropped {dropped} events of other environments"
            )
        if not events.records and not page_range.cursor:
            endpoint.check_exists()
        return events

    def get(self, issue_id: str, organization_slug: str, event_id: str) -> EventWithIssue:
        """An event of an issue, or of an organization.

        :param issue_id: a number, a permalink or a short ID; "" if unknown
        :param organization_slug: "" if unknown
        :param event_id: an ID, or one of EVENT_WORDS, which need an issue
        :raises PluginException: see API.get_object, an input is invalid, or there is no such event
        """
        event_id = parse_event_id(event_id)
        if issue_id:
            return self._of_issue(issue_endpoint(self.api, issue_id, organization_slug), event_id)
        if event_id in EVENT_WORDS or not organization_slug:
            raise invalid_input(
                "The issue_id is missing.",
                "Set the issue_id, or set both event_id to the ID of an event and organization_slug.",
            )
        check_slug("organization_slug", organization_slug)
        return self._of_organization(organization_slug, event_id)

    def _of_issue(self, endpoint: IssueEndpoint, event_id: str) -> EventWithIssue:
        """`GET /organizations/{organization}/issues/{ID}/events/{event}/` or `GET /issues/{ID}/events/{event}/`

        The issue is read first: the summary needs it, and a missing issue and a missing event are different errors.
        """
        issue = normalize_issue(endpoint.get())
        log_merged(endpoint, issue)
        kind = f"{event_id} event" if event_id in EVENT_WORDS else f"event {event_id}"
        name = f"{kind} of {endpoint.context.name}"
        endpoint.context = ErrorContext(name, READ_SCOPE, event_advice(event_id))
        try:
            event = endpoint.get("events", event_id)
        except RouteMissing:
            if event_id in EVENT_WORDS:
                raise
            event = self._of_project(endpoint, issue, event_id)
        return EventWithIssue(normalize_event(event), issue, str(issue.get("id", "")))

    def _of_project(self, endpoint: IssueEndpoint, issue: Record, event_id: str) -> Record:
        """`GET /projects/{organization}/{project}/events/{ID}/`, for servers that have no event by ID below an issue.

        :raises InvalidInput: the project is unknown, or the event is of another issue
        """
        organization = endpoint.reference.organization or organization_of_issue(issue)
        project = issue.get("project")
        slug = project.get("slug") if isinstance(project, dict) else None
        if not organization or not slug:
            raise invalid_input(
                f"The server does not find events of an issue by ID, and the project of {endpoint.context.name} is "
                "unknown.",
                "Set the organization_slug, or set event_id to latest or oldest.",
            )
        context = endpoint.context._replace(scope=PROJECT_SCOPE)
        event = normalize_event(self.api.get_object(project_event_path(organization, str(slug), event_id), context))
        if str(event.get("groupID")) != str(issue.get("id")):
            raise invalid_input(
                f"The event {event_id} is not of issue {sanitize(str(issue.get('id')))}, but of issue "
                f"{sanitize(str(event.get('groupID')))}.",
                "Correct the issue_id or the event_id.",
            )
        return event

    def _of_organization(self, organization: str, event_id: str) -> EventWithIssue:
        """`GET /organizations/{organization}/eventids/{ID}/`, which Sentry SaaS allows once per second."""
        name = f"event {event_id} of organization {sanitize(organization)}"
        context = ErrorContext(name, ORGANIZATION_SCOPE, event_advice(event_id))
        found = self.api.get_object(event_id_path(organization, event_id), context)
        event = found.get("event")
        issue_id = str(found.get("groupId") or "")
        record = normalize_event(event) if isinstance(event, dict) else {}
        return EventWithIssue(record, self._issue(issue_id, organization), issue_id)

    def _issue(self, issue_id: str, organization: str) -> Record:
        """The issue of an event, empty if it cannot be read."""
        if not issue_id:
            return {}
        try:
            return normalize_issue(issue_endpoint(self.api, issue_id, organization).get())
        except PluginException as failure:
            self.api.http.log.warning(f"The summary lacks the issue of the event: {failure.cause}")
            return {}


def parse_event_id(text: str) -> str:
    """An event_id as Sentry's URLs have it: 32 hexadecimal digits, or one of EVENT_WORDS.

    :raises InvalidInput: it is neither
    """
    event_id = text.lower()
    if event_id in EVENT_WORDS:
        return event_id
    event_id = event_id.replace("-", "")
    if not _EVENT_ID.fullmatch(event_id):
        raise invalid_input(
            "The event_id is neither latest, oldest or recommended, nor the ID of an event.",
            "The ID of an event has 32 hexadecimal digits (the eventID of an event of List Issue Events).",
        )
    return event_id


def contradicts(event: Record, environment: str) -> bool:
    """Whether the tags of an event name another environment than the requested one, which some servers ignore."""
    tags = normalize_event(event).get("tags")
    if not environment or not isinstance(tags, list):
        return False
    found = [tag.get("value") for tag in tags if isinstance(tag, dict) and tag.get("key") == "environment"]
    return bool(found) and environment not in found

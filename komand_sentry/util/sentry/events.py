"""Events: list those of an issue."""

from dataclasses import dataclass

from komand_sentry.util.errors.messages import issue_advice, list_failure_advice
from komand_sentry.util.http.messages import Params
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.endpoints import issue_endpoint
from komand_sentry.util.sentry.event_cursor import EventCursor
from komand_sentry.util.sentry.normalize import Record, normalize_event
from komand_sentry.util.sentry.pagination import ListSpec, Page, PageRange, RecordList, read_list

EVENTS = ListSpec("eventID", "per_page", normalize_event, EventCursor.parse)


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
        # The short form needs an absent parameter: some servers before 2023 take any `full`, even "0", for true.
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
            self.api.http.log.warning(f"The server ignored the environment: dropped {dropped} events of other ones")
        if not events.records and not page_range.cursor:
            endpoint.check_exists()
        return events


def contradicts(event: Record, environment: str) -> bool:
    """Whether the tags of an event name another environment than the requested one, which some servers ignore."""
    tags = normalize_event(event).get("tags")
    if not environment or not isinstance(tags, list):
        return False
    found = [tag.get("value") for tag in tags if isinstance(tag, dict) and tag.get("key") == "environment"]
    return bool(found) and environment not in found

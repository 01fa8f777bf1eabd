"""Find the issue of an event that was just submitted, after Sentry has processed it.

https://docs.sentry.io/api/organizations/resolve-an-event-id/
"""

from dataclasses import dataclass, field

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import NotFound, RouteMissing
from komand_sentry.util.errors.factory import ErrorContext
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.polling import poll
from komand_sentry.util.http.urls import is_segment
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.endpoints import event_id_path, issue_endpoint
from komand_sentry.util.sentry.issue_reference import is_issue_number
from komand_sentry.util.sentry.normalize import Record, normalize_issue
from komand_sentry.util.sentry.scopes import ORGANIZATION_SCOPE

NO_ISSUE = {"found": False}


def find_issue(api: API, organization_slug: str, event_id: str, project_id: str) -> Record:
    """Wait for the issue of an event. A failure is only logged, because the event is stored.

    :param project_id: of the DSN. The same event ID may also exist in another project
    :returns: `found`, and if it is true, `issue_id`, `short_id` and `permalink`
    """
    if not is_segment(event_id):
        api.http.log.warning("The event is stored, but the server returned an ID that cannot be looked up")
        return NO_ISSUE
    lookup = _EventLookup(api, organization_slug, event_id)
    try:
        found = poll(lookup.fetch, api.http.budget)
    except PluginException as failure:
        api.http.log.warning(
            f"The event is stored, but its issue could not be looked up: {failure.cause} {failure.assistance}"
        )
        return NO_ISSUE
    if found is None:
        api.http.log.warning(
            "The event is stored, but Sentry has not processed it within the timeout of the connection"
        )
        return NO_ISSUE
    if not is_event_of(found, event_id, project_id):
        api.http.log.warning("The event is stored, but the server found another event with the same ID")
        return NO_ISSUE
    number = str(found.get("groupId"))
    if not is_issue_number(number):
        api.http.log.info("The event has no issue")
        return NO_ISSUE
    return {"found": True, "issue_id": number, **_names(api, organization_slug, number)}


def is_event_of(found: Record, event_id: str, project_id: str) -> bool:
    """Whether the event that the server found is the submitted one, as far as it says so.

    Sentry 9 has the number of its database as `eventId`, and the event ID only in `event`.
    """
    event = found.get("event")
    event = event if isinstance(event, dict) else {}
    project = event.get("projectID")
    reported = [str(value) for value in (found.get("eventId"), event.get("eventID")) if value]
    is_same_id = all(value == event_id for value in reported if len(value) == len(event_id))
    return is_same_id and project in (None, "", project_id)


@dataclass
class _EventLookup:
    """`GET /organizations/{organization}/eventids/{event ID}/`"""

    api: API
    organization: str
    event_id: str
    _is_organization_known: bool = field(default=False, repr=False)

    def fetch(self) -> Record | None:
        """The event with its `groupId`, None if Sentry has not processed it.

        :raises PluginException: the token may not look it up, the server cannot, or there is no such organization
        """
        name = f"organization {sanitize(self.organization)}"
        context = ErrorContext(
            f"event {sanitize(self.event_id)} of {name}",
            ORGANIZATION_SCOPE,
            "The server does not look up events by ID.",
        )
        try:
            return self.api.get_object(event_id_path(self.organization, self.event_id), context)
        except RouteMissing:
            raise
        except NotFound:
            if not self._is_organization_known:
                # The response is the same if there is no such organization, for which waiting is useless.
                advice = "Check the organization_slug, and that the token may see the organization."
                self.api.check_exists(("organizations", self.organization), ErrorContext(name, advice=advice))
                self._is_organization_known = True
            return None


def _names(api: API, organization: str, number: str) -> Record:
    """The short ID and the permalink of an issue, as far as it can be read."""
    try:
        issue = normalize_issue(issue_endpoint(api, number, organization).get())
    except PluginException as failure:
        api.http.log.warning(f"The issue {number} could not be read: {failure.cause} {failure.assistance}")
        return {}
    return {"short_id": issue.get("shortId"), "permalink": issue.get("permalink")}

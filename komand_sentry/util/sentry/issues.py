"""Issues: list those of a project, search those of an organization, get one, update one."""

from dataclasses import dataclass
from typing import NamedTuple

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import ServerFailed
from komand_sentry.util.errors.factory import ErrorContext, not_applied_error
from komand_sentry.util.errors.messages import (
    list_failure_advice,
    project_advice,
    update_failure_advice,
)
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.messages import Params
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.assignee import resolve_assignee
from komand_sentry.util.sentry.comments import post_comment
from komand_sentry.util.sentry.endpoints import IssueEndpoint, ProjectIssuesEndpoint, issue_endpoint
from komand_sentry.util.sentry.issue_changes import IssueChanges
from komand_sentry.util.sentry.issue_reference import is_merged
from komand_sentry.util.sentry.issue_search import IssueSearch, SearchEndpoint
from komand_sentry.util.sentry.normalize import Record, normalize_event, normalize_issue
from komand_sentry.util.sentry.organizations import check_slug
from komand_sentry.util.sentry.pagination import ListSpec, Page, PageRange, RecordList, read_list
from komand_sentry.util.sentry.scopes import READ_SCOPE

ISSUES = ListSpec("id", "limit", normalize_issue)


class IssueFilter(NamedTuple):
    """Which issues of a project to list: https://docs.sentry.io/api/events/list-a-projects-issues/

    :param query: "" for all statuses
    :param stats_period: of the histogram in `stats`: "24h", "14d" or "" (none)
    """

    query: str = "is:unresolved"
    stats_period: str = ""
    short_id_lookup: bool = False
    environment: str = ""
    sort: str = ""

    def params(self) -> Params:
        """`query` and `statsPeriod` are always sent, because their defaults differ between servers."""
        optional = {
            "shortIdLookup": "1" if self.short_id_lookup else "",
            "environment": self.environment,
            "sort": self.sort,
        }
        given = tuple((name, value) for name, value in optional.items() if value)
        return (("query", self.query), ("statsPeriod", self.stats_period), *given)


class IssueWithEvent(NamedTuple):
    """An issue and its latest event.

    :param latest_event: empty if the issue has none, or it cannot be read
    """

    issue: Record
    latest_event: Record


class UpdatedIssue(NamedTuple):
    """The result of an update.

    :param not_applied: names of the inputs that the server accepted without an error, but did not apply
    """

    issue: Record
    not_applied: list[str]


@dataclass(frozen=True)
class Issues:
    """https://docs.sentry.io/api/events/"""

    api: API

    def list_for_project(
        self, organization_slug: str, project_slug: str, issue_filter: IssueFilter, page_range: PageRange
    ) -> RecordList:
        """`GET /projects/{organization}/{project}/issues/`, as many pages as the range needs.

        :raises PluginException: see read_list, or there is no such project
        """
        check_slug("organization_slug", organization_slug)
        check_slug("project_slug", project_slug)
        context = ErrorContext(
            f"project {sanitize(project_slug)} of organization {sanitize(organization_slug)}",
            READ_SCOPE,
            project_advice(issue_filter.environment),
            list_failure_advice(issue_filter.sort, page_range.cursor),
        )
        endpoint = ProjectIssuesEndpoint(self.api, organization_slug, project_slug, context)
        params = issue_filter.params()

        def fetch(page_params: Params) -> Page:
            return endpoint.get_page((*params, *page_params))

        issues = read_list(fetch, ISSUES, page_range, context, self.api.http)
        if not issues.records and not page_range.cursor:
            endpoint.check_exists()
        return issues

    def search(self, organization_slug: str, search: IssueSearch, page_range: PageRange) -> RecordList:
        """`GET /organizations/{organization}/issues/`, as many pages as the range needs.

        :raises PluginException: see read_list, the search is invalid, or the server cannot search
        """
        check_slug("organization_slug", organization_slug)
        return SearchEndpoint(self.api, organization_slug, search).read(ISSUES, page_range)

    def get(self, issue_id: str, organization_slug: str) -> IssueWithEvent:
        """`GET /organizations/{organization}/issues/{ID}/` or `GET /issues/{ID}/`, and `events/latest/` below it.

        :param issue_id: a number, a permalink or a short ID
        :param organization_slug: "" if unknown
        :raises PluginException: see API.get_object, the issue_id is invalid, or there is no such issue
        """
        endpoint = issue_endpoint(self.api, issue_id, organization_slug)
        issue = normalize_issue(endpoint.get())
        log_merged(endpoint, issue)
        try:
            event = normalize_event(endpoint.get("events", "latest"))
        except PluginException as failure:
            self.api.http.log.warning(f"The summary lacks the latest event of the issue: {failure.cause}")
            event = {}
        return IssueWithEvent(issue, event)

    def activity(self, issue_id: str, organization_slug: str) -> list[Record]:
        """The latest activities of an issue, such as changes of its status, from the issue's details.

        :param issue_id: a number, a permalink or a short ID
        :param organization_slug: "" if unknown
        :raises PluginException: see API.get_object, the issue_id is invalid, or there is no such issue
        """
        found = issue_endpoint(self.api, issue_id, organization_slug).get().get("activity")
        return [activity for activity in found if isinstance(activity, dict)] if isinstance(found, list) else []

    def update(self, issue_id: str, organization_slug: str, changes: IssueChanges) -> UpdatedIssue:
        """`PUT /organizations/{organization}/issues/{ID}/` or `PUT /issues/{ID}/`

        :param issue_id: a number, a permalink or a short ID
        :param organization_slug: "" if unknown
        :raises PluginException: see apply_changes, the issue_id is invalid, or there is no such team
        """
        endpoint = issue_endpoint(self.api, issue_id, organization_slug, is_write=True)
        return apply_changes(endpoint, resolve_assignee(self.api, changes, endpoint.organization))


def apply_changes(endpoint: IssueEndpoint, changes: IssueChanges) -> UpdatedIssue:
    """PUT the changes of an issue, and then POST the comment.

    If the comment fails, the change was made: the comment is then one of `not_applied`.

    :raises PluginException: see API.put, or the server changed nothing
    """
    issue = normalize_issue(_put(endpoint, changes))
    log_merged(endpoint, issue)
    not_applied = changes.not_applied(issue)
    if len(not_applied) == len(changes.inputs):
        raise not_applied_error(endpoint.context, tuple(not_applied))
    if not_applied:
        endpoint.api.http.log.warning(f"The server accepted the request, but did not change: {', '.join(not_applied)}")
    if changes.comment and not _post_comment(endpoint, changes.comment):
        not_applied.append("comment")
    return UpdatedIssue(issue, not_applied)


def _put(endpoint: IssueEndpoint, changes: IssueChanges) -> Record:
    advice = update_failure_advice("resolvedInNextRelease" if "inNextRelease" in changes.inputs else changes.status)
    endpoint.context = endpoint.context._replace(failure_advice=advice)
    try:
        return endpoint.put(changes.body)
    except ServerFailed:
        if changes.status != "resolvedInNextRelease":
            raise
        # Sentry fails with 500 in a project without releases. For this equivalent body, it reports the reason.
        return endpoint.put({**changes.body, "status": "resolved", "statusDetails": {"inNextRelease": True}})


def _post_comment(endpoint: IssueEndpoint, text: str) -> bool:
    """Post a comment.

    :returns: whether it was posted; if not, the reason is logged
    """
    try:
        post_comment(endpoint, text)
    except PluginException as failure:
        reason = f"{failure.cause} {failure.assistance}"
        endpoint.api.http.log.warning(f"The issue was changed, but the comment was not posted: {reason}")
        return False
    return True


def log_merged(endpoint: IssueEndpoint, issue: Record) -> None:
    """Log a warning if the issue was merged into another one, which Sentry uses instead."""
    reference = endpoint.reference
    if is_merged(reference, issue):
        endpoint.api.http.log.warning(
            f"Issue {reference.issue_id} was merged into issue {sanitize(str(issue['id']))}, which is used instead"
        )

"""Changes of several issues at once.

Sentry's own bulk endpoints are avoided where they could change more than requested: some versions take a list of IDs
that no longer exist as a search.
"""

from dataclasses import dataclass, field

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import ConnectionFailed, Forbidden, RateLimited, ServerFailed, Unauthorized
from komand_sentry.util.errors.factory import invalid_input
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.urls import InvalidURL
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.endpoints import IssueEndpoint
from komand_sentry.util.sentry.issue_reference import IssueReference
from komand_sentry.util.sentry.issues import check_slugs, issue_endpoint, log_merged
from komand_sentry.util.sentry.normalize import Record, normalize_issue


@dataclass(frozen=True)
class ResolvedIssue:
    """An issue that a user named.

    :param issue_id: as the user named it
    :param record: the issue, empty if it was not found
    :param endpoint: where to change it, None if it was not found
    :param failure: why it was not found, None if it was
    """

    issue_id: str
    record: Record = field(default_factory=dict)
    endpoint: IssueEndpoint | None = None
    failure: PluginException | None = None


def unique_ids(issue_ids: list[str]) -> list[str]:
    """The IDs without blanks and repetitions, in order.

    :raises InvalidInput: none is left
    """
    unique = list(dict.fromkeys(text for text in map(str.strip, issue_ids) if text))
    if not unique:
        raise invalid_input(
            "The issue_ids are an empty list.",
            "Set at least one issue, as numeric ID, short ID or permalink.",
        )
    return unique


def resolve_issues(api: API, organization: str, issue_ids: list[str]) -> list[ResolvedIssue]:
    """GET each issue before a change, each once, in order. Issues that are not found have a failure.

    `GET /organizations/{organization}/issues/{ID}/` for each, never a list, so that an ID cannot become a search. The
    ID of an issue that was merged into another one resolves to that one.

    :raises InvalidInput: there are no IDs, or the slug is invalid
    :raises PluginException: the failure concerns all issues, or no issue can be accessed
    """
    check_slugs(organization_slug=organization)
    found: dict[str, ResolvedIssue] = {}
    for issue_id in unique_ids(issue_ids):
        issue = _resolve(api, organization, issue_id)
        found.setdefault(str(issue.record.get("id") or f"not found: {issue_id}"), issue)
    resolved = list(found.values())
    _raise_if_no_access(resolved)
    return resolved


def _resolve(api: API, organization: str, issue_id: str) -> ResolvedIssue:
    try:
        endpoint = issue_endpoint(api, issue_id, organization, is_write=True)
        _check_organization(issue_id, organization)
        record = normalize_issue(endpoint.get(is_write=True))
    except PluginException as failure:
        if concerns_all(failure):
            raise
        return ResolvedIssue(issue_id, failure=failure)
    log_merged(endpoint, record)
    return ResolvedIssue(issue_id, record, endpoint)


def _check_organization(issue_id: str, organization: str) -> None:
    """:raises InvalidInput: the issue_id names another organization, where the same number is another issue"""
    try:
        named = IssueReference.parse(issue_id).organization
    except InvalidURL:
        return
    if named and named.lower() != organization.lower():
        raise invalid_input(
            f"The issue is of organization {sanitize(named)}, but the organization_slug is {sanitize(organization)}.",
            "Set the organization_slug of the issue. If the organization was renamed, set the ID of the issue alone.",
        )


def concerns_all(failure: PluginException) -> bool:
    """Whether a failure of one issue shows that all others would fail in the same way."""
    if isinstance(failure, ServerFailed):
        # 500 is a fault on this request, and others of the class are those of a server that is down.
        return failure.status_code != 500
    return isinstance(failure, (ConnectionFailed, RateLimited, Unauthorized))


def _raise_if_no_access(issues: list[ResolvedIssue]) -> None:
    refused = [issue.failure for issue in issues if isinstance(issue.failure, Forbidden)]
    if len(refused) == len(issues):
        raise refused[0]


@dataclass(frozen=True)
class Bulk:
    """https://docs.sentry.io/api/events/"""

    api: API

"""Changes of several issues at once.

Sentry's own bulk endpoints are avoided where they could change more than requested: some versions take a list of IDs
that no longer exist as a search.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import ConnectionFailed, Forbidden, RateLimited, ServerFailed, Unauthorized
from komand_sentry.util.errors.factory import invalid_input
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.urls import InvalidURL
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.endpoints import IssueEndpoint
from komand_sentry.util.sentry.issue_reference import IssueReference, is_issue_number
from komand_sentry.util.sentry.issues import check_slugs, issue_endpoint, log_merged
from komand_sentry.util.sentry.merging import MergedIssues, merge, merged_ids
from komand_sentry.util.sentry.normalize import Record, normalize_issue
from komand_sentry.util.sentry.scopes import ADMIN_SCOPE


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


class DeletedIssues(NamedTuple):
    """The result of a deletion.

    :param deleted: the IDs of the deleted issues
    :param results: one record for each issue
    """

    deleted: list[str]
    results: list[Record]


@dataclass(frozen=True)
class Bulk:
    """https://docs.sentry.io/api/events/"""

    api: API

    def merge(self, organization_slug: str, issue_ids: list[str]) -> MergedIssues:
        """Merge issues of one project, and wait within the time budget until it is done. See merging.merge.

        :param issue_ids: the first is to remain
        :raises PluginException: they are not at least two issues of one project, or the server refused the merge
        """
        ids = unique_ids(issue_ids)
        issues = resolve_issues(self.api, organization_slug, ids) if len(ids) > 1 else []
        for issue in issues:
            if issue.failure:
                raise issue.failure
        if len(issues) == 1 and (merged := merged_ids(ids, issues[0].record)):
            return MergedIssues(issues[0].record, merged, completed=True)
        if len(issues) < 2 or not issues[0].endpoint:
            raise invalid_input(
                "The issue_ids are not of two different issues. Nothing was merged.",
                "Set at least two issues of the same project. The first one is to remain.",
            )
        return merge(self.api, organization_slug, [issue.record for issue in issues], issues[0].endpoint)

    def delete(self, organization_slug: str, issue_ids: list[str], confirm: int) -> DeletedIssues:
        """`DELETE /organizations/{organization}/issues/{ID}/` for each issue, after all were found or not.

        A failure that concerns the rest, too, ends the deletion. The result tells what was deleted before.

        :param confirm: how many issues to delete
        :raises InvalidInput: it is another number, and nothing was deleted
        :raises PluginException: nothing was deleted, and the failure concerns all issues
        """
        ids = unique_ids(issue_ids)
        if confirm != len(ids):
            raise invalid_input(
                f"confirm is {confirm}, but issue_ids names {len(ids)} different issues. Nothing was deleted.",
                "Set confirm to the number of issues to delete.",
            )
        deleted: list[str] = []
        results: list[Record] = []
        rest_error = ""
        for issue in resolve_issues(self.api, organization_slug, ids):
            failure = None if rest_error else self._delete(issue, ids)
            if failure and not issue.failure and ends_deletion(failure):
                if not deleted:
                    raise failure
                rest_error = f"Not deleted, because an earlier deletion failed: {failure.cause}"
            if not failure and not rest_error:
                deleted.append(str(issue.record["id"]))
            results.append(deletion_record(issue, failure, rest_error))
        return DeletedIssues(deleted, results)

    def _delete(self, issue: ResolvedIssue, ids: list[str]) -> PluginException | None:
        """Why an issue was not deleted, None if it was."""
        failure = issue.failure or unconfirmed(issue, ids)
        if issue.endpoint and not failure:
            # By number, because a short ID can get another issue.
            endpoint = issue.endpoint.by_number(str(issue.record["id"]))
            endpoint.context = endpoint.context._replace(scope=ADMIN_SCOPE)
            try:
                endpoint.delete()
            except PluginException as error:
                failure = error
        name, log = sanitize(issue.issue_id), self.api.http.log
        if failure:
            log.warning(f"Issue {name} was not deleted: {failure.cause}")
        else:
            log.info(f"Issue {name} was deleted")
        return failure


def unconfirmed(issue: ResolvedIssue, ids: list[str]) -> PluginException | None:
    """Why the issue that the server returned is not the one to delete, None if it is.

    :param ids: of all issues to delete
    """
    found = str(issue.record.get("id"))
    if not is_issue_number(found):
        return invalid_input("The server returned no issue with a numeric ID.", "Check the URL of the connection.")
    if merged_ids([issue.issue_id], issue.record) and found not in ids:
        return invalid_input(
            f"The issue was merged into issue {sanitize(found)}, which was not to be deleted.",
            "To delete that issue, set its ID.",
        )
    return None


def ends_deletion(failure: PluginException) -> bool:
    """Whether a failed deletion shows that all others would fail in the same way: the token lacks the scope, too."""
    return concerns_all(failure) or isinstance(failure, Forbidden)


def deletion_record(issue: ResolvedIssue, failure: PluginException | None, rest_error: str) -> Record:
    """What happened to an issue.

    :param rest_error: why it was not attempted, if there is no failure
    """
    error = str(failure.cause) if failure else rest_error
    if isinstance(failure, ConnectionFailed):
        error += " The issue may have been deleted."
    names = {name: issue.record.get(name) for name in ("shortId", "title", "permalink")}
    return {"id": issue.record.get("id") or issue.issue_id, **names, "changed": not error, "error": error or None}

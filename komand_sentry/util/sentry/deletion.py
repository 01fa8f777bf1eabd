"""Delete several issues, one by one. Sentry's bulk deletion is not used: it would delete the issues of a search.

https://docs.sentry.io/api/events/remove-an-issue/
"""

from dataclasses import dataclass
from typing import NamedTuple

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.factory import invalid_input
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.urls import InvalidURL
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.bulk import (
    ResolvedIssue,
    ends_changes,
    error_text,
    is_uncertain,
    resolve_issues,
    unique_ids,
    with_doubt,
)
from komand_sentry.util.sentry.issue_reference import IssueReference, is_issue_number, is_merged
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.sentry.scopes import ADMIN_SCOPE


class DeletedIssues(NamedTuple):
    """The result of a deletion.

    :param deleted: the IDs of the deleted issues
    :param results: one record for each issue
    """

    deleted: list[str]
    results: list[Record]


@dataclass(frozen=True)
class Deletion:
    """https://docs.sentry.io/api/events/remove-an-issue/"""

    api: API

    def delete(self, organization_slug: str, issue_ids: list[str], confirm: int) -> DeletedIssues:
        """`DELETE /organizations/{organization}/issues/{ID}/` for each issue, after a lookup of all of them.

        A failure that concerns all issues ends the deletion. The result lists what was deleted before.

        :param confirm: how many issues to delete
        :raises InvalidInput: `confirm` is another number than that of the IDs. Nothing was deleted
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
            if self.api.http.budget.is_overdue and not rest_error:
                rest_error = "Not deleted, because the time limit of the step is reached."
            failure = None if rest_error else self._delete(issue, ids)
            if failure and not issue.failure and ends_changes(failure):
                if not deleted:
                    raise with_doubt(failure, "The server may have deleted the issue.")
                rest_error = f"Not deleted, because an earlier deletion failed: {failure.cause}"
            if not failure and not rest_error:
                deleted.append(str(issue.record["id"]))
            results.append(deletion_record(issue, failure, rest_error))
        return DeletedIssues(deleted, results)

    def _delete(self, issue: ResolvedIssue, ids: list[str]) -> PluginException | None:
        """Why an issue was not deleted, None if it was."""
        failure = issue.failure or unconfirmed(issue, ids)
        if issue.endpoint and not failure:
            # By number, because a short ID can be reassigned to another issue.
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
    named = set(map(_id_in, ids))
    if is_merged(IssueReference.parse(issue.issue_id), issue.record) and found not in named:
        return invalid_input(
            f"Issue {sanitize(issue.issue_id)} was merged into issue {found}, which was not to be deleted.",
            "To delete that issue, set its ID.",
        )
    return None


def _id_in(issue_id: str) -> str:
    """The ID in an issue_id, "" if it is invalid."""
    try:
        return IssueReference.parse(issue_id).issue_id
    except InvalidURL:
        return ""


def deletion_record(issue: ResolvedIssue, failure: PluginException | None, rest_error: str) -> Record:
    """What happened to an issue.

    :param rest_error: why it was not attempted, if there is no failure
    """
    error = error_text(failure) if failure else rest_error
    if failure and is_uncertain(failure):
        error += " The server may have deleted the issue."
    names = {name: issue.record.get(name) for name in ("shortId", "title", "permalink")}
    return {"id": issue.name, **names, "changed": not error, "error": error or None}

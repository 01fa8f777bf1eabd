"""Merge issues of one project into one. Sentry chooses the one with the most events, and merges asynchronously.

https://docs.sentry.io/api/events/bulk-mutate-a-list-of-issues/
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import NotApplied, NotFound
from komand_sentry.util.errors.factory import ErrorContext, invalid_input
from komand_sentry.util.errors.redaction import join_truncated, sanitize
from komand_sentry.util.errors.server_message import server_message
from komand_sentry.util.http.messages import Params, Response
from komand_sentry.util.http.polling import poll
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.bulk import resolve_issues, unique_ids
from komand_sentry.util.sentry.endpoints import IssueEndpoint, ProjectIssuesEndpoint
from komand_sentry.util.sentry.issue_reference import IssueReference, is_issue_number, is_other_issue
from komand_sentry.util.sentry.normalize import Record, normalize_issue
from komand_sentry.util.sentry.scopes import WRITE_SCOPE

# All IDs are in one URL, whose length is limited.
MAX_MERGED = 100
# Some versions of Sentry search for issues if they find none of the IDs. No issue matches this query.
_MATCHES_NOTHING = ("query", "firstSeen:<2001-01-01")


class MergedIssues(NamedTuple):
    """The result of a merge.

    :param issue: the issue that remains
    :param merged: the IDs of the others
    :param completed: whether Sentry completed the merge in time
    """

    issue: Record
    merged: list[str]
    completed: bool


class AcceptedMerge(NamedTuple):
    """What the server merges.

    :param parent: the ID of the issue that remains
    :param children: the IDs of the others
    """

    parent: str
    children: list[str]


@dataclass(frozen=True)
class Merging:
    """https://docs.sentry.io/api/events/bulk-mutate-a-list-of-issues/"""

    api: API

    def merge(self, organization_slug: str, issue_ids: list[str]) -> MergedIssues:
        """Merge issues of one project, and wait within the time budget until it is done. See merge_resolved.

        :param issue_ids: Sentry keeps the one with the most events, and a warning is logged if that is not the first
        :raises PluginException: they are not at least two issues of one project, or the server refused the merge
        """
        ids = unique_ids(issue_ids)
        if len(ids) > MAX_MERGED:
            raise invalid_input(
                f"The issue_ids name {len(ids)} issues, but Sentry merges at most {MAX_MERGED}. Nothing was merged.",
                "Merge them in several steps, each with the same first issue.",
            )
        issues = resolve_issues(self.api, organization_slug, ids) if len(ids) > 1 else []
        for issue in issues:
            if issue.failure:
                raise issue.failure
        if len(issues) == 1 and (merged := merged_ids(ids, issues[0].record)):
            return MergedIssues(issues[0].record, merged, completed=True)
        if len(issues) < 2 or not issues[0].endpoint:
            raise invalid_input(
                "The issue_ids name fewer than two different issues. Nothing was merged.",
                "Set the IDs of at least two issues of the same project.",
            )
        return merge_resolved(self.api, organization_slug, [issue.record for issue in issues], issues[0].endpoint)


def merge_resolved(api: API, organization: str, issues: Sequence[Record], endpoint: IssueEndpoint) -> MergedIssues:
    """`PUT /organizations/{organization}/issues/?id=1&id=2`, and wait within the time budget until it is done.

    :param issues: the issues as the server has just returned them
    :param endpoint: of one of them
    :raises PluginException: the issues cannot be merged, or the server refused it
    """
    ids = numbers_of(issues)
    project = common_project(issues)
    context = ErrorContext(f"issues {join_truncated(ids)} of organization {sanitize(organization)}", WRITE_SCOPE)
    params: Params = (*(("id", number) for number in ids), _MATCHES_NOTHING)
    issues_of_project = ProjectIssuesEndpoint(api, organization, project["slug"], context)
    response = issues_of_project.put(str(project["id"]), params, {"merge": 1})
    accepted = accepted_merge(api.parse(response))
    if accepted is None:
        raise _not_merged(context, response, api.secrets)
    _warn(api, ids, accepted)
    remaining = _wait(endpoint, accepted)
    is_complete = {accepted.parent, *accepted.children}.issuperset(ids)
    issue = remaining or next((issue for issue in issues if issue["id"] == accepted.parent), issues[0])
    return MergedIssues(normalize_issue(issue), accepted.children, remaining is not None and is_complete)


def numbers_of(issues: Sequence[Record]) -> tuple[str, ...]:
    """The numeric IDs of issues.

    :raises InvalidInput: one has none. Servers fail on other IDs, or ignore them
    """
    ids = tuple(str(issue.get("id")) for issue in issues)
    if not all(map(is_issue_number, ids)):
        raise invalid_input(
            f"The server returned an issue without a numeric ID ({join_truncated(ids)}). Nothing was merged.",
            "Check the issue_ids, and that the URL of the connection is that of a Sentry server.",
        )
    return ids


def common_project(issues: Sequence[Record]) -> Record:
    """The project that all issues belong to.

    :raises InvalidInput: there is none
    """
    found = (issue.get("project") for issue in issues)
    projects = {
        str(project.get("id")): project for project in (item if isinstance(item, dict) else {} for item in found)
    }
    project = next(iter(projects.values()))
    if len(projects) > 1 or not project.get("id") or not project.get("slug"):
        slugs = tuple(str(project.get("slug", "unknown")) for project in projects.values())
        raise invalid_input(
            f"The issues are not of one project, but of {join_truncated(slugs)}. Nothing was merged.",
            "Sentry merges only issues of the same project. Correct the issue_ids.",
        )
    return project


def accepted_merge(body: object) -> AcceptedMerge | None:
    """The merge in a response such as `{"merge": {"parent": "30", "children": ["31"]}}`, None if there is none.

    If fewer than two of the issues are left, the response is `{"merge": true}`. Some versions of Sentry refuse a merge
    with the status 200 and a `detail`.
    """
    merge = body.get("merge") if isinstance(body, dict) else None
    if not isinstance(merge, dict) or not isinstance(merge.get("children"), list):
        return None
    parent, *children = (str(number) for number in (merge.get("parent"), *merge["children"]))
    return AcceptedMerge(parent, children) if children and all(map(is_issue_number, (parent, *children))) else None


def merged_ids(issue_ids: list[str], issue: Record) -> list[str]:
    """Those of the IDs that are numbers of issues that were merged into another issue.

    :param issue_ids: the inputs for which the server returned `issue`
    """
    references = [IssueReference.parse(issue_id) for issue_id in issue_ids]
    return [
        reference.issue_id
        for reference in references
        if not reference.is_short_id and is_other_issue(reference.issue_id, issue)
    ]


def _warn(api: API, ids: tuple[str, ...], accepted: AcceptedMerge) -> None:
    if accepted.parent != ids[0]:
        api.http.log.warning(
            f"Sentry merged into issue {sanitize(accepted.parent)} instead of the first, {ids[0]}: it chooses the one "
            "with the most events"
        )
    if others := {accepted.parent, *accepted.children} - set(ids):
        api.http.log.warning(f"Sentry also merged issues that were not named: {join_truncated(tuple(sorted(others)))}")
    if left_out := set(ids) - {accepted.parent, *accepted.children}:
        api.http.log.warning(f"Sentry did not merge {join_truncated(tuple(sorted(left_out)))}")


def _wait(endpoint: IssueEndpoint, accepted: AcceptedMerge) -> Record | None:
    """The issue that remains, None if the merge was not completed in time."""
    http, remaining = endpoint.api.http, None
    try:
        for child in accepted.children:
            remaining = poll(partial(_merged_into, endpoint.by_number(child), child), http.budget)
            if remaining is None:
                break
    except PluginException as failure:
        http.log.warning(f"Sentry merges the issues, but the result could not be read: {failure.cause}")
        return None
    if remaining is None:
        http.log.warning("Sentry has not completed the merge within the timeout of the connection")
    return remaining


def _merged_into(endpoint: IssueEndpoint, number: str) -> Record | None:
    """The issue that another one was merged into, None if Sentry has not merged it yet and responds with 404."""
    try:
        issue = endpoint.get()
    except NotFound:
        return None
    return issue if is_other_issue(number, issue) else None


def _not_merged(context: ErrorContext, response: Response, secrets: tuple[str, ...]) -> NotApplied:
    return NotApplied(
        cause=f"The server accepted the request to merge {context.name}, but does not report a merge.",
        assistance="See the server's response. Check the issues in Sentry: they may have been merged by an earlier "
        "attempt, or the server does not support merging.",
        data=server_message(response, secrets),
        status_code=response.status,
    )

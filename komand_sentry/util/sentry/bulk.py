"""Update several issues one by one, and identify the issues of a list of IDs before a change.

Sentry's bulk endpoint is not used for updates: if none of the IDs exists, some versions update the issues of a search
instead.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import (
    ConnectionFailed,
    Forbidden,
    InvalidInput,
    RateLimited,
    ServerFailed,
    Unauthorized,
    UnexpectedResponse,
)
from komand_sentry.util.errors.factory import invalid_input, transport_error
from komand_sentry.util.errors.redaction import redact_tokens, sanitize
from komand_sentry.util.http.messages import FailureKind, TransportError
from komand_sentry.util.http.urls import InvalidURL
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.assignee import resolve_assignee
from komand_sentry.util.sentry.endpoints import IssueEndpoint, issue_endpoint
from komand_sentry.util.sentry.issue_changes import IssueChanges
from komand_sentry.util.sentry.issue_reference import IssueReference
from komand_sentry.util.sentry.issue_search import IssueSearch, SearchEndpoint
from komand_sentry.util.sentry.issues import ISSUES, apply_changes, log_merged
from komand_sentry.util.sentry.normalize import Record, normalize_issue, pick
from komand_sentry.util.sentry.organizations import check_slug
from komand_sentry.util.sentry.pagination import PageRange

_ISSUES_PER_LOG_LINE = 10
# Each costs two requests, one before the other.
MAX_ISSUES = 1000
# What is kept of an issue between its GET and its change.
_KEPT = (
    "id", "shortId", "title", "permalink", "project", "status", "statusDetails", "substatus", "priority", "assignedTo",
    "hasSeen", "isBookmarked", "isSubscribed", "isPublic",
)  # fmt: skip
# Sentry counts up to this number.
_MAX_HITS = 1000
_NOT_ATTEMPTED = "Not attempted, because the update ended early."


class Selection(NamedTuple):
    """Which issues to change: either by ID or by a search.

    :param issue_ids: None if they are not set. An empty list is invalid: it must not become a search
    :param projects: of the search
    """

    issue_ids: list[str] | None = None
    query: str = ""
    projects: tuple[str, ...] = ()

    def check(self) -> None:
        """Check the inputs.

        :raises InvalidInput: there are neither IDs nor a query, or both
        """
        if self.issue_ids is None and not self.query:
            raise invalid_input("Neither issue_ids nor query is set.", "Set either issue_ids or query.")
        if self.issue_ids is not None:
            unique_ids(self.issue_ids)
            other = "query" if self.query else "projects" if self.projects else ""
            if other:
                raise invalid_input(
                    f"Both issue_ids and {other} are set.",
                    "Set either issue_ids, or query with or without projects, but not both.",
                )


class BulkUpdate(NamedTuple):
    """The result of an update of several issues.

    :param results: one record for each issue: id, shortId, title, permalink, before, after, changed, error
    :param matched: number of issues that were found
    :param warning: why the update was refused or ended early, None if it is complete
    """

    results: list[Record]
    matched: int
    dry_run: bool
    warning: str | None = None

    def output(self) -> Record:
        """The output of the action."""
        changed = sum(result["changed"] for result in self.results)
        failed = sum(not result["changed"] and result["error"] is not None for result in self.results)
        return {**self._asdict(), "changed": changed, "failed": failed}


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

    @property
    def name(self) -> str:
        """The numeric ID of the issue, or what the user named it, which may be a secret by mistake."""
        return str(self.record.get("id") or redact_tokens(sanitize(self.issue_id)))


def reject_blank_items(name: str, value: Any) -> Any:
    """Return a list unchanged if it has no blank item, which would select more than the user meant.

    :param name: of the input
    :raises InvalidInput: it has one, such as an empty variable of a workflow
    """
    if isinstance(value, list) and any(item is None or not str(item).strip() for item in value):
        raise invalid_input(
            f"The input '{name}' has a blank item. Nothing was changed.",
            "Check the variable that the item comes from, or remove the item.",
        )
    return value


# For the actions whose inputs select the issues to change.
SELECTION_NORMALIZERS = {name: partial(reject_blank_items, name) for name in ("issue_ids", "projects")}


def unique_ids(issue_ids: list[str]) -> list[str]:
    """The IDs without blanks and repetitions, in order.

    :raises InvalidInput: none is left
    """
    unique = list(dict.fromkeys(text for text in map(str.strip, issue_ids) if text))
    if not unique:
        raise invalid_input(
            "The issue_ids list is empty.",
            "Set at least one issue, as numeric ID, short ID or permalink.",
        )
    if len(unique) > MAX_ISSUES:
        raise invalid_input(
            f"The issue_ids name {len(unique)} issues, but one step handles at most {MAX_ISSUES}. Nothing was changed.",
            "Split them into several steps.",
        )
    return unique


def resolve_issues(api: API, organization: str, issue_ids: list[str]) -> list[ResolvedIssue]:
    """GET each issue before a change, each once, in order. Issues that are not found have a failure.

    `GET /organizations/{organization}/issues/{ID}/` for each, never a list, so that an ID cannot become a search. The
    ID of an issue that was merged into another one resolves to that one.

    :raises InvalidInput: there are no IDs, or the slug is invalid
    :raises PluginException: the failure concerns all issues, or no issue can be accessed
    """
    check_slug("organization_slug", organization)
    found: dict[str, ResolvedIssue] = {}
    for issue_id in unique_ids(issue_ids):
        if api.http.budget.is_overdue:
            spent = TransportError(FailureKind.TIME_SPENT, "nothing was changed")
            raise transport_error(api.server.host, spent)
        issue = _resolve(api, organization, issue_id)
        found.setdefault(str(issue.record.get("id") or f"not found: {issue_id}"), issue)
    resolved = list(found.values())
    _raise_if_no_access(resolved)
    return resolved


def _resolve(api: API, organization: str, issue_id: str) -> ResolvedIssue:
    try:
        endpoint = issue_endpoint(api, issue_id, organization, is_write=True)
        _check_organization(issue_id, organization)
        record = pick(normalize_issue(endpoint.get(is_write=True)), *_KEPT)
        _check_host(api, endpoint.reference, record)
    except PluginException as failure:
        if concerns_all(failure):
            raise
        return ResolvedIssue(issue_id, failure=failure)
    log_merged(endpoint, record)
    return ResolvedIssue(issue_id, record, endpoint)


def _check_host(api: API, reference: IssueReference, record: Record) -> None:
    """:raises InvalidInput: the permalink is of another server. The slug of the step does not confirm it"""
    if reference.is_same_service(api.server):
        return
    try:
        host = IssueReference.parse(str(record.get("permalink") or "")).host
    except InvalidURL:
        host = ""
    if host != reference.host:
        raise invalid_input(
            f"The permalink is of {reference.host}, but the connection's server is {api.server.host}.",
            "The same number is another issue there. Use a connection to the server of the permalink, or set the ID.",
        )


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
        # 500 concerns this request. Other statuses from 501 on mean that the server is down or overloaded.
        return bool(failure.status_code != 500)
    return isinstance(failure, (ConnectionFailed, RateLimited, Unauthorized))


def ends_changes(failure: PluginException) -> bool:
    """Whether a failed change shows that all others would fail in the same way.

    The issue could be read, so a refusal means that the token may not make such a change at all.
    """
    return concerns_all(failure) or isinstance(failure, Forbidden)


def is_uncertain(failure: PluginException) -> bool:
    """Whether the server may have made a change although it failed."""
    return isinstance(failure, (ConnectionFailed, ServerFailed, UnexpectedResponse))


def with_doubt(failure: PluginException, doubt: str) -> PluginException:
    """The failure, with a sentence about the change that may have been made."""
    if is_uncertain(failure):
        failure.assistance = f"{failure.assistance} {doubt}"
    return failure


def _raise_if_no_access(issues: list[ResolvedIssue]) -> None:
    refused = [issue.failure for issue in issues if isinstance(issue.failure, Forbidden)]
    if len(refused) == len(issues):
        raise refused[0]


@dataclass(frozen=True)
class Bulk:
    """https://docs.sentry.io/api/events/"""

    api: API

    def update(
        self, organization_slug: str, selection: Selection, changes: IssueChanges, max_changes: int, dry_run: bool
    ) -> BulkUpdate:
        """Change each selected issue as Issues.update does, one after the other.

        A failure of one issue is recorded. One that concerns all of them ends the update with a warning, or the step if
        nothing was changed.

        :param max_changes: if more issues match, none is changed
        :param dry_run: only report what would be changed
        :raises PluginException: an input is invalid, or the issues or the team cannot be read
        """
        selection.check()
        if max_changes < 1:
            raise invalid_input("max_changes is not positive.", "Set max_changes to a positive number.")
        check_slug("organization_slug", organization_slug)
        changes = resolve_assignee(self.api, changes, lambda: organization_slug)
        issues, matched, warning = self._select(organization_slug, selection, max_changes)
        if warning:
            self.api.http.log.warning(warning)
            return BulkUpdate([], matched, dry_run, warning)
        if dry_run:
            return BulkUpdate([_preview(issue, changes) for issue in issues], matched, dry_run)
        results, warning = _UpdateRun(self.api, changes).update(issues)
        return BulkUpdate(results, matched, dry_run, warning)

    def _select(
        self, organization: str, selection: Selection, max_changes: int
    ) -> tuple[list[ResolvedIssue], int, str | None]:
        """The issues, how many there are, and why none may be changed."""
        if selection.issue_ids is None:
            return self._search(organization, selection, max_changes)
        count = len(unique_ids(selection.issue_ids))
        if count > max_changes:
            return [], count, _too_many(str(count), max_changes)
        issues = resolve_issues(self.api, organization, selection.issue_ids)
        return issues, sum(issue.endpoint is not None for issue in issues), None

    def _search(
        self, organization: str, selection: Selection, max_changes: int
    ) -> tuple[list[ResolvedIssue], int, str | None]:
        """`GET /organizations/{organization}/issues/`, up to one issue more than may be changed."""
        endpoint = SearchEndpoint(
            self.api, organization, IssueSearch(projects=selection.projects, query=selection.query)
        )
        found = endpoint.read(ISSUES, PageRange(max_changes + 1))
        if len(found.records) > max_changes:
            matched = max(endpoint.hits, len(found.records))
            is_exact = matched == endpoint.hits < _MAX_HITS
            return [], matched, _too_many(str(matched) if is_exact else f"at least {matched}", max_changes)
        if found.truncated:
            return [], len(found.records), _incomplete(found.warning)
        return [_resolved(self.api, organization, record) for record in found.records], len(found.records), None


def _resolved(api: API, organization: str, record: Record) -> ResolvedIssue:
    """An issue that a search found."""
    issue_id = str(record.get("id", ""))
    try:
        return ResolvedIssue(issue_id, record, issue_endpoint(api, issue_id, organization, is_write=True))
    except InvalidInput as failure:
        return ResolvedIssue(issue_id, record, failure=failure)


def _incomplete(reason: str | None) -> str:
    return f"Nothing was changed, because the search is incomplete: {reason or 'a limit of the step was reached'}"


def _too_many(count: str, max_changes: int) -> str:
    return f"Nothing was changed: {count} issues match, but max_changes is {max_changes}."


@dataclass
class _UpdateRun:
    """One update of several issues, with its progress."""

    api: API
    changes: IssueChanges
    changed: int = 0
    end_reason: str = ""

    def update(self, issues: list[ResolvedIssue]) -> tuple[list[Record], str | None]:
        """Change the issues.

        :returns: the results, and why the update ended early
        :raises PluginException: a failure concerns all issues, and none was changed before
        """
        results = []
        for number, issue in enumerate(issues, 1):
            try:
                results.append(self._update(issue))
            except BaseException:
                self.api.http.log.warning(f"Interrupted at issue {issue.name}: {self.changed} issues were changed")
                raise
            if number % _ISSUES_PER_LOG_LINE == 0 and not self.end_reason:
                self._log_progress(number, len(issues), issue)
        if not self.end_reason:
            return results, None
        warning = f"The update ended early. {self.changed} of {len(issues)} issues were changed. {self.end_reason}"
        self.api.http.log.warning(warning)
        return results, warning

    def _log_progress(self, number: int, total: int, issue: ResolvedIssue) -> None:
        name = sanitize(str(issue.record.get("id") or issue.issue_id))
        self.api.http.log.info(f"Changed {self.changed} issues, {number} of {total} are done, the last one is {name}")

    def _update(self, issue: ResolvedIssue) -> Record:
        if self.api.http.budget.is_overdue and not self.end_reason:
            self.end_reason = "The step reached its time limit. Run it again to update the remaining issues."
        if issue.endpoint is None or self.end_reason:
            return _result(issue, self.changes, error=error_text(issue.failure) if issue.failure else _NOT_ATTEMPTED)
        try:
            updated = apply_changes(issue.endpoint, self.changes)
        except PluginException as failure:
            return self._fail(issue, failure)
        self.changed += 1
        omitted = ", ".join(updated.not_applied)
        return _result(
            issue,
            self.changes,
            after=self.changes.attributes_of(updated.issue),
            changed=True,
            error=f"The server did not apply: {omitted}." if omitted else None,
        )

    def _fail(self, issue: ResolvedIssue, failure: PluginException) -> Record:
        """The result of an issue that was not changed.

        :raises PluginException: the failure concerns all issues, and none was changed before
        """
        if ends_changes(failure):
            if not self.changed:
                raise with_doubt(failure, "The server may have made the change.")
            self.end_reason = f"{failure.cause} {failure.assistance}"
        doubt = " The server may have made the change." if is_uncertain(failure) else ""
        return _result(issue, self.changes, error=f"{error_text(failure)}{doubt}")


def _preview(issue: ResolvedIssue, changes: IssueChanges) -> Record:
    if issue.failure:
        return _result(issue, changes, error=error_text(issue.failure))
    return _result(issue, changes, after=changes.preview())


def _result(
    issue: ResolvedIssue,
    changes: IssueChanges,
    after: Record | None = None,
    changed: bool = False,
    error: str | None = None,
) -> Record:
    """The record of an issue in the output."""
    record = issue.record
    return {
        "id": issue.name,
        **{name: record.get(name) for name in ("shortId", "title", "permalink")},
        "before": changes.attributes_of(record) if record else None,
        "after": after,
        "changed": changed,
        "error": error,
    }


def error_text(failure: PluginException) -> str:
    """Why an issue was not changed, with the message of the server."""
    return f"{failure.cause} {failure.data or ''}".strip()

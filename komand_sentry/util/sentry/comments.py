"""Comments on issues: list, add."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import BadRequest, ConnectionFailed, Forbidden, ResponseError, ServerFailed
from komand_sentry.util.errors.factory import ErrorContext
from komand_sentry.util.errors.messages import list_failure_advice
from komand_sentry.util.http.messages import Params
from komand_sentry.util.http.retry import TRANSIENT_STATUSES
from komand_sentry.util.sentry.api import API, Path
from komand_sentry.util.sentry.endpoints import IssueEndpoint, issue_endpoint
from komand_sentry.util.sentry.normalize import Record, normalize_comment, text_of
from komand_sentry.util.sentry.pagination import ListSpec, Page, PageRange, RecordList, read_list
from komand_sentry.util.sentry.scopes import WRITE_SCOPE

# Sentry refuses the same text by the same user on the same issue within this time.
DUPLICATE_PERIOD = timedelta(hours=1)
# A comment that this step posted is younger, even if the clocks differ by a few minutes.
_LOOKUP_PERIOD = timedelta(minutes=5)
_DUPLICATE = "already posted that comment"
_NO_USER = "permission to create note"
_UNKNOWN_RESULT = " See List Comments to check whether the comment was posted, before you run the step again."

COMMENTS = ListSpec("id", "per_page", normalize_comment)


@dataclass(frozen=True)
class Comments:
    """https://docs.sentry.io/api/events/"""

    api: API

    def list_for_issue(self, issue_id: str, organization_slug: str, page_range: PageRange) -> RecordList:
        """`GET .../issues/{ID}/comments/`, newest first, as many pages as the range needs.

        :param issue_id: a number, a permalink or a short ID
        :param organization_slug: "" if unknown
        :raises PluginException: see read_list, the issue_id is invalid, or there is no such issue
        """
        endpoint = issue_endpoint(self.api, issue_id, organization_slug)
        failure_advice = list_failure_advice(cursor=page_range.cursor)
        endpoint.context = endpoint.context._replace(failure_advice=failure_advice)

        def fetch(page_params: Params) -> Page:
            return endpoint.get_page("comments", page_params)

        comments = read_list(fetch, COMMENTS, page_range, endpoint.context, self.api.http)
        if not comments.records and not page_range.cursor:
            endpoint.check_exists()
        return comments

    def add(self, issue_id: str, organization_slug: str, text: str) -> Record:
        """`POST .../issues/{ID}/comments/`

        :param issue_id: a number, a permalink or a short ID
        :param organization_slug: "" if unknown
        :returns: the comment
        :raises PluginException: see post_comment, or the issue_id is invalid
        """
        return post_comment(issue_endpoint(self.api, issue_id, organization_slug, is_write=True), text)


def post_comment(endpoint: IssueEndpoint, text: str) -> Record:
    """Post a comment once, even if a response is lost.

    :returns: the comment
    :raises PluginException: see API.post, the issue cannot be identified unambiguously, the token's user posted the
        same text within DUPLICATE_PERIOD, or the token has no user
    """
    api, context = endpoint.api, endpoint.context
    return normalize_comment(endpoint.write(lambda path: _post(api, (*path, "comments"), context, text)))


def _post(api: API, path: Path, context: ErrorContext, text: str) -> Record:
    try:
        return api.post(path, context, {"text": text})
    except (BadRequest, Forbidden) as failure:
        raise _comment_error(failure, context.name) from None
    except (ConnectionFailed, ServerFailed) as failure:
        failure.assistance += _UNKNOWN_RESULT
        try:
            return _stored_or_posted(api, path, context, text, failure)
        except PluginException:
            raise failure from None


def _stored_or_posted(
    api: API, path: Path, context: ErrorContext, text: str, failure: ConnectionFailed | ServerFailed
) -> Record:
    """The comment if the server stored it although it failed. If it did not, POST it once more.

    Not all servers refuse a repeated comment, so look it up first.

    :raises PluginException: the server did not store it, or it is unknown whether it did
    """
    now: datetime | None = api.http.budget.clock.now()
    if stored := _stored(api, path, context, text, now):
        return stored
    if not is_transient(failure):
        raise failure
    api.http.log.info("The response was lost and the issue does not have the comment: posting it once more")
    try:
        return api.post(path, context, {"text": text})
    except BadRequest as refusal:
        # The first request was still in progress during the lookup. Its comment may seem old if clocks differ.
        if not is_duplicate(refusal):
            raise
        now = None
    except (ConnectionFailed, ServerFailed):
        pass
    if stored := _stored(api, path, context, text, now):
        return stored
    raise failure


def _stored(api: API, path: Path, context: ErrorContext, text: str, now: datetime | None) -> Record | None:
    """The newest comment with a text, None if there is none. `GET .../issues/{ID}/comments/`

    :param now: consider only comments of the last _LOOKUP_PERIOD, None for all
    """
    comments = api.get_page(path, context, (("per_page", "100"),)).records
    found = (comment for comment in comments if text_of(comment) == text and (not now or is_recent(comment, now)))
    return next(found, None)


def is_transient(failure: ConnectionFailed | ServerFailed) -> bool:
    """Whether the same request may succeed later."""
    return isinstance(failure, ConnectionFailed) or failure.status_code in TRANSIENT_STATUSES


def is_duplicate(failure: BadRequest) -> bool:
    """Whether the server refused a comment because the token's user posted the same text."""
    return _DUPLICATE in str(failure.data).lower()


def is_recent(comment: Record, now: datetime) -> bool:
    """Whether a comment is at most _LOOKUP_PERIOD old."""
    try:
        created = datetime.fromisoformat(str(comment.get("dateCreated")))
    except ValueError:
        return False
    created = created if created.tzinfo else created.replace(tzinfo=UTC)
    return abs(now - created) <= _LOOKUP_PERIOD


def _comment_error(failure: BadRequest | Forbidden, name: str) -> ResponseError:
    """A more specific error if the failure is one that only comments have, otherwise the failure itself.

    :param name: of the issue
    """
    if isinstance(failure, BadRequest) and is_duplicate(failure):
        return BadRequest(
            cause=f"The token's user has already posted the same comment on {name} within the last hour (400).",
            assistance="Sentry refuses a repeated comment, so nothing was posted. If it is meant to be repeated, "
            "change the text, such as by adding the time.",
            data=failure.data,
            status_code=failure.status_code,
        )
    if isinstance(failure, Forbidden) and _NO_USER in str(failure.data).lower():
        return Forbidden(
            cause=f"The token has no user, who would be the author of the comment on {name} (403).",
            assistance=f"Give the connection a user token, or the token of an internal integration, with the scope "
            f"{WRITE_SCOPE}. API keys and organization tokens cannot comment.",
            data=failure.data,
            status_code=failure.status_code,
        )
    return failure

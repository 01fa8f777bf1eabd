"""Tags of issues and their values."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from komand_sentry.util.errors.exceptions import NotFound, RouteMissing
from komand_sentry.util.errors.factory import invalid_input
from komand_sentry.util.errors.messages import issue_advice, list_failure_advice
from komand_sentry.util.errors.redaction import join_truncated, sanitize
from komand_sentry.util.http.messages import Params
from komand_sentry.util.http.urls import InvalidURL, quote_segment
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.endpoints import IssueEndpoint, issue_endpoint
from komand_sentry.util.sentry.normalize import Record, pick
from komand_sentry.util.sentry.pagination import ListSpec, PageRange, RecordList, check_range

# Sentry lists no more values of one tag, however many pages are read.
MAX_VALUES = 1000
_NOT_RANKED = "The server does not sort values by count, so more frequent ones may follow. Set the limit to 0 for all."
_KEYS = ("key", "value", "count", "firstSeen", "lastSeen", "email", "username", "ipAddress")


class TagValues(NamedTuple):
    """The values of a tag.

    :param total: number of events that have the tag, None if the server does not say
    """

    values: RecordList
    total: int | None


def normalize_tag_value(record: Record) -> Record:
    """A value of a tag as the plugin returns it. Those of the tag user have no `key`, and some have no `name`."""
    name = record.get("name") or record.get("label") or record.get("value")
    return {**pick(record, *_KEYS), "name": name}


VALUES = ListSpec("value", "per_page", normalize_tag_value)


@dataclass(frozen=True)
class Tags:
    """https://docs.sentry.io/api/events/"""

    api: API

    def list_values(
        self, issue_id: str, organization_slug: str, key: str, environment: str, page_range: PageRange
    ) -> TagValues:
        """`GET .../issues/{ID}/tags/{key}/` for the total, and `GET .../issues/{ID}/tags/{key}/values/`

        :param issue_id: a number, a permalink or a short ID
        :param organization_slug: "" if unknown
        :param environment: "" for all
        :raises PluginException: see API.read_list, the issue_id or the key is invalid, or there is no such issue or tag
        """
        check_key(key)
        check_range(page_range)
        endpoint = issue_endpoint(self.api, issue_id, organization_slug)
        endpoint.context = endpoint.context._replace(
            advice=issue_advice(environment), failure_advice=list_failure_advice(cursor=page_range.cursor)
        )
        params: Params = (("environment", environment),) if environment else ()
        tag = _get_tag(endpoint, key, params)
        path, params = (*endpoint.path, "tags", key, "values"), (("sort", "count"), *params)
        values = self.api.read_list(path, VALUES, endpoint.context, page_range, params)
        if warning := incompleteness(values, tag.get("uniqueValues")):
            self.api.http.log.warning(warning)
            values = values._replace(truncated=True, warning=warning)
        return ranked(values, key, tag.get("totalValues"))


def _get_tag(endpoint: IssueEndpoint, key: str, params: Params) -> Record:
    """GET the tag.

    :raises NotFound: the issue does not exist, or does not have the tag
    """
    try:
        return endpoint.get("tags", key, params=params)
    except NotFound as failure:
        # This fails in the same way if the issue does not exist.
        try:
            tags = endpoint.get_page("tags", params)
        except RouteMissing:
            # The server says neither which tags the issue has nor that it does not exist.
            raise tag_not_found(endpoint, key, None, failure) from None
        raise tag_not_found(endpoint, key, tuple(str(tag.get("key")) for tag in tags.records), failure) from None


def tag_not_found(endpoint: IssueEndpoint, key: str, known: tuple[str, ...] | None, failure: NotFound) -> NotFound:
    """An issue that exists, but does not have a tag.

    :param known: keys of the tags that it has, None if the server does not list them
    :param failure: of the request for the tag
    """
    name = endpoint.context.name[:1].upper() + endpoint.context.name[1:]
    if known and key in known:
        cause, assistance = f"The server does not list the values of a tag, such as {sanitize(key)}.", "Update it."
        return RouteMissing(cause=cause, assistance=assistance, data=failure.data, status_code=404)
    return NotFound(
        cause=f"{name} has no tag {sanitize(key)} (404).",
        assistance=(
            f"Set the key to one of its tags: {join_truncated(known)}."
            if known is not None
            else "Check the key, such as release, environment or user."
        ),
        data=failure.data,
        status_code=404,
    )


def check_key(key: str) -> None:
    """Check that the key of a tag can be a segment of a path.

    :raises InvalidInput: it cannot
    """
    try:
        quote_segment(key)
    except InvalidURL as error:
        raise invalid_input(f"The key is invalid: {error}.", "Set the key of a tag, such as release.") from None


def incompleteness(values: RecordList, unique: Any) -> str:
    """A warning about missing values, "" if none is missing or the list already reports it.

    :param unique: how many values the tag has
    """
    counts = [_number(record.get("count")) for record in values.records]
    if values.truncated:
        is_ranked = counts == sorted(counts, reverse=True)
        return "" if is_ranked or values.warning else _NOT_RANKED
    if len(counts) >= MAX_VALUES and _number(unique) > len(counts):
        return f"The server lists {len(counts)} of {unique} values, and no more."
    return ""


def ranked(values: RecordList, key: str, total: Any) -> TagValues:
    """The values with their shares, the most frequent first: Sentry 9 does not sort them by count.

    :param total: number of events that have the tag
    """
    total = _number(total) or None
    records = [{"key": key, **record, "share": share(record.get("count"), total)} for record in values.records]
    records.sort(key=lambda record: _number(record.get("count")), reverse=True)
    return TagValues(values._replace(records=records), total)


def share(count: Any, total: int | None) -> float | None:
    """The share of a count in a total, from 0 to 1, None if one of them is unknown.

    They come from two requests, so the count can be larger than the total if events were added in between.
    """
    return round(min(count / total, 1.0), 4) if total and isinstance(count, int) else None


def _number(count: Any) -> int:
    return count if isinstance(count, int) else 0

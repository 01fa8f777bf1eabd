"""Sentry's issue search language, translated to SQL.

Terms about an issue (`is:`, `assigned:`, `timesSeen:`, ...) become conditions on the table `issue`; all others are
about an event, and one event has to meet all of them. Values are always bound as parameters. Wildcards ignore case,
as in Sentry; a plain value does not. An unknown key is a tag that nothing has: no result, no error.

Left out: `linked`/`unlinked` and suspect commits (nothing is ever linked), suggested assignees, semantic versions.
"""

# ruff: noqa: S608 - only fixed text is put into SQL; every value is bound.

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from .auth import ApiError, bad_request, issue_by_short_id, the_caller, the_store

Clause = tuple[str, tuple[Any, ...]]

TERM = re.compile(
    r"""(?P<not>!?)
    (?: tags\[(?P<tag>[^\]\s]+)\] | "(?P<quoted>[^"]+)" | (?P<plain>[\w.\-]+) )
    :(?P<value> !?[<>=]*\[[^\]]*\] | "(?:[^"\\]|\\.)*" | \S* )""",
    re.VERBOSE,
)
FREE_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"|\S+')
LIST_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|[^,\s][^,]*')
COMPARISON = re.compile(r"(>=|<=|>|<|=)?(.*)", re.DOTALL)
UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
MULTIPLES = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}

STATUSES = {"resolved": "resolved", "unresolved": "unresolved"} | dict.fromkeys(
    ("ignored", "archived", "muted"), "ignored"
)
SUBSTATUSES = {
    name: name
    for name in (
        "archived_forever", "archived_until_condition_met", "archived_until_escalating",
        "escalating", "new", "ongoing", "regressed",
    )
} | {
    "forever": "archived_forever",
    "until_condition_met": "archived_until_condition_met",
    "until_escalating": "archived_until_escalating",
}  # fmt: skip
FLAGS: dict[str, Clause] = {
    "assigned": ("issue.assignee IS NOT NULL", ()),
    "unassigned": ("issue.assignee IS NULL", ()),
    "for_review": ("issue.reviewed = 0 AND issue.status = 'unresolved'", ()),
    "linked": ("0", ()),
    "unlinked": ("1", ()),
    "reprocessing": ("0", ()),
}
ALIASES = {
    "age": "firstSeen", "first_seen": "firstSeen", "last_seen": "lastSeen", "times_seen": "timesSeen",
    "assigned_to": "assigned", "assigned_or_suggested": "assigned", "first_release": "firstRelease",
    "first-release": "firstRelease", "event.timestamp": "timestamp", "user.ip_address": "user.ip",
}  # fmt: skip


@dataclass
class Conditions:
    issue: list[Clause] = field(default_factory=list)
    event: list[Clause] = field(default_factory=list)

    def where(self) -> Clause:
        clauses = self.issue + self.event
        sql = " AND ".join(f"({sql})" for sql, _ in clauses) or "1"
        return sql, tuple(value for _, values in clauses for value in values)


@dataclass(frozen=True)
class Term:
    key: str
    values: list[str]
    negated: bool
    is_list: bool
    is_quoted: bool


def invalid(reason: str) -> ApiError:
    return bad_request(f"Error parsing search query: {reason}")


def unquote(text: str) -> str:
    return re.sub(r'\\(["\\])', r"\1", text)


def parse_term(match: re.Match[str]) -> Term:
    value = match["value"]
    key = match["tag"] or match["quoted"] or match["plain"]
    key = key if match["tag"] else ALIASES.get(key, key)
    is_list, is_quoted = value.startswith("["), value.startswith('"')
    if is_list:
        values = [
            unquote(item[1]) if item[1] is not None else item[0].strip() for item in LIST_ITEM.finditer(value[1:-1])
        ]
    else:
        values = [unquote(value[1:-1]) if is_quoted else value]
    if not values or value == "":
        raise invalid(f"Empty string after '{key}:'")
    return Term(key, values, bool(match["not"]), is_list, is_quoted)


def tokenize(query: str) -> tuple[list[Term], list[str]]:
    """The terms, and the free text: words in a row are one text, a quoted one stands for itself."""
    terms: list[Term] = []
    texts: list[str] = []
    words: list[str] = []
    position = 0
    while position < len(query):
        if query[position].isspace():
            position += 1
            continue
        term = TERM.match(query, position)
        text = FREE_TEXT.match(query, position)
        if term is None and text is not None and text[1] is None and text[0] in ("AND", "OR", "and", "or"):
            raise invalid('Boolean statements containing "OR" or "AND" are not supported in this search')
        if term is None and text is not None and text[1] is None:
            words.append(text[0])
        else:
            texts, words = texts + ([" ".join(words)] if words else []), []
            if term is not None:
                terms.append(parse_term(term))
            elif text is not None:
                texts.append(unquote(text[1]))
        position = (term or text).end()  # type: ignore[union-attr]  # FREE_TEXT matches whatever is not a space
    return terms, texts + ([" ".join(words)] if words else [])


def like(value: str) -> str:
    """A pattern for LIKE ... ESCAPE '!': `*` matches anything, everything else itself."""
    return re.sub(r"([%_!])", r"!\1", value).replace("*", "%")


def matches(column: str, value: str, contains: bool = False) -> Clause:
    if contains:
        return f"{column} LIKE ? ESCAPE '!'", (f"%{like(value)}%",)
    if "*" in value:
        return f"{column} LIKE ? ESCAPE '!'", (like(value),)
    return f"{column} = ?", (value,)


def either(clauses: list[Clause]) -> Clause:
    return " OR ".join(f"({sql})" for sql, _ in clauses), tuple(value for _, values in clauses for value in values)


def negate(clause: Clause) -> Clause:
    return f"NOT COALESCE(({clause[0]}), 0)", clause[1]


# --- terms about an issue


def is_clause(term: Term) -> Clause:
    if term.is_list:
        raise invalid('"in" syntax invalid for "is" search')
    value = term.values[0]
    if value in FLAGS:
        return FLAGS[value]
    if value in STATUSES:
        return "issue.status = ?", (STATUSES[value],)
    if value in SUBSTATUSES:
        return "issue.substatus = ?", (SUBSTATUSES[value],)
    valid = sorted([*FLAGS, *STATUSES, *SUBSTATUSES])
    raise invalid(f'Invalid value for "is" search, valid values are {valid}')


def user_id(name: str) -> int | None:
    if name == "me":
        return the_caller().id
    found = the_store().scalar("SELECT id FROM user WHERE lower(email) = lower(?)", name)
    return None if found is None else int(found)


def assigned_clause(term: Term) -> Clause:
    clauses: list[Clause] = []
    for value in term.values:
        if value == "none":
            clauses.append(("issue.assignee IS NULL", ()))
        elif value == "my_teams":
            mine = "SELECT 'team:' || team FROM team_member WHERE user = ?"
            clauses.append((f"issue.assignee IN ({mine})", (the_caller().id,)))
        elif value.startswith("#"):
            clauses.append(("issue.assignee IN (SELECT 'team:' || id FROM team WHERE slug = ?)", (value[1:],)))
        else:
            clauses.append(("issue.assignee = ?", (f"user:{user_id(value)}",)))
    return either(clauses)


def user_row_clause(column: str) -> Callable[[Term], Clause]:
    def clause(term: Term) -> Clause:
        sql = f"EXISTS (SELECT 1 FROM issue_user WHERE issue = issue.id AND user = ? AND {column})"
        return either([(sql, (user_id(value),)) for value in term.values])

    return clause


def number_clause(column: str) -> Callable[[Term], Clause]:
    def clause(term: Term) -> Clause:
        operator, text = COMPARISON.fullmatch(term.values[0]).groups()  # type: ignore[union-attr]
        number = re.fullmatch(r"(-?\d{1,12}(?:\.\d{1,6})?)([kmb]?)", text.lower())
        if number is None or term.is_list:
            wanted = "Expected number then optional k, m, or b suffix (e.g. 500k)."
            raise invalid(f"{term.key}: Invalid number: {text}. {wanted}")
        return f"{column} {operator or '='} ?", (float(number[1]) * MULTIPLES[number[2]],)

    return clause


def parse_date(text: str) -> tuple[float, float] | None:
    """The start and the length of what an ISO date names: a day or a second."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    length = timedelta(days=1) if len(text) <= len("2024-01-01") else timedelta(seconds=1)
    return moment.timestamp(), length.total_seconds()


def date_clause(column: str) -> Callable[[Term], Clause]:
    """`-24h` is within the last 24 hours, `+7d` longer ago than 7 days; else an ISO date, compared or on that day."""

    def clause(term: Term) -> Clause:
        operator, text = COMPARISON.fullmatch(term.values[0]).groups()  # type: ignore[union-attr]
        relative = re.fullmatch(r"([+-])(\d{1,6})([mhdw])", text)
        if relative and not term.is_list:
            since = time.time() - int(relative[2]) * UNITS[relative[3]]
            return f"{column} {'>=' if relative[1] == '-' else '<='} ?", (since,)
        date = parse_date(text)
        if date is None or term.is_list:
            example = datetime.now(UTC).isoformat(timespec="seconds")
            wanted = f"Expected +/-duration (e.g. +1h) or ISO 8601-like (e.g. {example})."
            raise invalid(f"{term.key}: Invalid date: {text}. {wanted}")
        start, length = date
        if operator in (None, "="):
            return f"{column} >= ? AND {column} < ?", (start, start + length)
        return f"{column} {operator} ?", (start,)

    return clause


def column_clause(column: str) -> Callable[[Term], Clause]:
    return lambda term: either([matches(column, value) for value in term.values])


def issue_clause(term: Term) -> Clause:
    organizations = the_store().all("SELECT organization FROM member WHERE user = ?", the_caller().id)
    found = (issue_by_short_id(row[0], value) for row in organizations for value in term.values)
    return either([("issue.id = ?", (row["id"],)) for row in found if row is not None] or [("0", ())])


ISSUE_KEYS: dict[str, Callable[[Term], Clause]] = {
    "is": is_clause,
    "assigned": assigned_clause,
    "bookmarks": user_row_clause("bookmarked"),
    "subscribed": user_row_clause("reason IS NOT NULL"),
    "timesSeen": number_clause("issue.times_seen"),
    "firstSeen": date_clause("issue.first_seen"),
    "lastSeen": date_clause("issue.last_seen"),
    "firstRelease": column_clause("issue.first_release"),
    "issue": issue_clause,
    "issue.id": column_clause("CAST(issue.id AS TEXT)"),
    "issue.priority": column_clause("issue.priority"),
    "issue.category": column_clause("'error'"),
    "issue.type": column_clause("'error'"),
}


# --- terms about an event

KEY_EXISTS = "EXISTS (SELECT 1 FROM event_key k WHERE k.event = event.id AND k.key = ?"


def event_clause(term: Term) -> Clause:
    if term.key == "has":
        return either([(KEY_EXISTS + ")", (value,)) for value in term.values])
    if term.key == "timestamp":
        return date_clause("event.timestamp")(term)
    if term.key == "message":
        return either([matches("event.message", value, contains="*" not in value) for value in term.values])
    return either([key_clause(term.key, value) for value in term.values])


def key_clause(key: str, value: str) -> Clause:
    if value == "":  # key:"" finds what has no such key
        return negate((KEY_EXISTS + ")", (key,)))
    if key == "release" and value == "latest":
        newest = (
            "SELECT version FROM release JOIN release_project ON release = release.id WHERE project = issue.project"
        )
        return KEY_EXISTS + f" AND k.value = ({newest} ORDER BY release.id DESC LIMIT 1))", (key,)
    sql, values = matches("k.value", value)
    return f"{KEY_EXISTS} AND {sql})", (key, *values)


def compile_query(query: str, events_only: bool = False) -> Conditions:
    """The conditions of a search query; 400 in Sentry's words for a bad one."""
    conditions = Conditions()
    terms, texts = tokenize(query)
    for term in terms:
        if term.key in ISSUE_KEYS and not events_only:
            clause, target = ISSUE_KEYS[term.key](term), conditions.issue
        else:
            clause, target = event_clause(term), conditions.event
        target.append(negate(clause) if term.negated else clause)
    conditions.event += [matches("event.message", text, contains=True) for text in texts]
    return conditions

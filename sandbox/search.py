"""Sentry's issue search language, translated to SQL.

Terms about an issue (`is:`, `assigned:`, `timesSeen:`, ...) become conditions on the table `issue`. All others are
about an event, and one event has to meet all of them. Values are always bound as parameters. Wildcards ignore case, a
plain value does not. An unknown key is a tag that no event has: no result, no error.

Supported: the keys of ISSUE_KEYS, tags and event fields, `has:`, `message:`, `timestamp:`, free text, negation, lists,
wildcards and quotes.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .auth import ApiError, bad_request, the_caller, the_store

Clause = tuple[str, tuple[Any, ...]]

TERM = re.compile(
    r"""(?P<not>!?)(?P<key>[\w.\-]+):(?P<value> \[[^\]]*\] | "(?:[^"\\]|\\.)*" | \S* )""",
    re.VERBOSE,
)
FREE_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"|\S+')
LIST_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|[^,\s][^,]*')
COMPARISON = re.compile(r"(>=|<=|>|<|=)?(.*)", re.DOTALL)
UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

STATUSES = {"resolved": "resolved", "unresolved": "unresolved", "ignored": "ignored", "archived": "ignored"}
SUBSTATUSES = (
    "archived_forever", "archived_until_condition_met", "archived_until_escalating",
    "escalating", "new", "ongoing", "regressed",
)  # fmt: skip
FLAGS: dict[str, Clause] = {
    "assigned": ("issue.assignee IS NOT NULL", ()),
    "unassigned": ("issue.assignee IS NULL", ()),
}


@dataclass
class Conditions:
    """The SQL conditions of a search, on issues and on events."""

    issue: list[Clause] = field(default_factory=list)
    event: list[Clause] = field(default_factory=list)

    def where(self) -> Clause:
        clauses = self.issue + self.event
        sql = " AND ".join(f"({sql})" for sql, _ in clauses) or "1"
        return sql, tuple(value for _, values in clauses for value in values)


@dataclass(frozen=True)
class Term:
    """`key:value` or `!key:[value, value]`."""

    key: str
    values: list[str]
    negated: bool
    is_list: bool


def invalid(reason: str) -> ApiError:
    return bad_request(f"Error parsing search query: {reason}")


def unquote(text: str) -> str:
    return re.sub(r'\\(["\\])', r"\1", text)


def parse_term(match: re.Match[str]) -> Term:
    key, value = match["key"], match["value"]
    is_list = value.startswith("[")
    if is_list:
        values = [
            unquote(item[1]) if item[1] is not None else item[0].strip() for item in LIST_ITEM.finditer(value[1:-1])
        ]
    else:
        values = [unquote(value[1:-1]) if value.startswith('"') else value]
    if not values or value == "":
        raise invalid(f"Empty string after '{key}:'")
    return Term("firstSeen" if key == "age" else key, values, bool(match["not"]), is_list)


def tokenize(query: str) -> tuple[list[Term], list[str]]:
    """The terms and the free texts. Consecutive words are one text; a quoted text is separate."""
    terms: list[Term] = []
    texts: list[str] = []
    words: list[str] = []
    rest = query.strip()
    # FREE_TEXT matches any text without leading space.
    while match := TERM.match(rest) or FREE_TEXT.match(rest):
        rest = rest[match.end() :].lstrip()
        is_word = match.re is FREE_TEXT and match[1] is None
        if is_word and match[0].upper() in ("AND", "OR"):
            raise invalid('Boolean statements containing "OR" or "AND" are not supported in this search')
        if is_word:
            words.append(match[0])
            continue
        texts, words = texts + ([" ".join(words)] if words else []), []
        if match.re is TERM:
            terms.append(parse_term(match))
        else:
            texts.append(unquote(match[1]))
    return terms, texts + ([" ".join(words)] if words else [])


def like(value: str) -> str:
    """A pattern for LIKE ... ESCAPE '!', in which only `*` is a wildcard."""
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
    value = term.values[0]
    if value in FLAGS and not term.is_list:
        return FLAGS[value]
    if value in STATUSES and not term.is_list:
        return "issue.status = ?", (STATUSES[value],)
    if value in SUBSTATUSES and not term.is_list:
        return "issue.substatus = ?", (value,)
    valid = sorted([*FLAGS, *STATUSES, *SUBSTATUSES])
    raise invalid(f'Invalid value for "is" search, valid values are {valid}')


def assigned_clause(term: Term) -> Clause:
    clauses: list[Clause] = []
    for value in term.values:
        if value == "none":
            clauses.append(("issue.assignee IS NULL", ()))
        elif value == "me":
            clauses.append(("issue.assignee = ?", (f"user:{the_caller().id}",)))
        elif value.startswith("#"):
            clauses.append(("issue.assignee IN (SELECT 'team:' || id FROM team WHERE slug = ?)", (value[1:],)))
        else:
            user = the_store().scalar("SELECT id FROM user WHERE lower(email) = lower(?)", value)
            clauses.append(("issue.assignee = ?", (f"user:{user}",)))
    return either(clauses)


def number_clause(column: str) -> Callable[[Term], Clause]:
    def clause(term: Term) -> Clause:
        operator, text = COMPARISON.fullmatch(term.values[0]).groups()  # type: ignore[union-attr]
        if not re.fullmatch(r"\d{1,12}", text) or term.is_list:
            wanted = "Expected number then optional k, m, or b suffix (e.g. 500k)."
            raise invalid(f"{term.key}: Invalid number: {text}. {wanted}")
        return f"{column} {operator or '='} ?", (int(text),)

    return clause


def parse_moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def date_clause(column: str) -> Callable[[Term], Clause]:
    """`-24h`: within the last 24 hours; `+7d`: more than 7 days ago; `>2026-01-31`: compared with an ISO date."""

    def clause(term: Term) -> Clause:
        operator, text = COMPARISON.fullmatch(term.values[0]).groups()  # type: ignore[union-attr]
        relative = re.fullmatch(r"([+-])(\d{1,6})([mhdw])", text)
        if relative and not term.is_list:
            since = time.time() - int(relative[2]) * UNITS[relative[3]]
            return f"{column} {'>=' if relative[1] == '-' else '<='} ?", (since,)
        moment = parse_moment(text)
        if moment is None or term.is_list:
            example = datetime.now(UTC).isoformat(timespec="seconds")
            wanted = f"Expected +/-duration (e.g. +1h) or ISO 8601-like (e.g. {example})."
            raise invalid(f"{term.key}: Invalid date: {text}. {wanted}")
        return f"{column} {operator or '='} ?", (moment,)

    return clause


def column_clause(column: str) -> Callable[[Term], Clause]:
    return lambda term: either([matches(column, value) for value in term.values])


ISSUE_KEYS: dict[str, Callable[[Term], Clause]] = {
    "is": is_clause,
    "assigned": assigned_clause,
    "assigned_or_suggested": assigned_clause,
    "timesSeen": number_clause("issue.times_seen"),
    "firstSeen": date_clause("issue.first_seen"),
    "lastSeen": date_clause("issue.last_seen"),
    "firstRelease": column_clause("issue.first_release"),
    "issue.id": column_clause("CAST(issue.id AS TEXT)"),
    "issue.priority": column_clause("issue.priority"),
    "issue.category": column_clause("'error'"),
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
    clauses = [matches("k.value", value) for value in term.values]
    return either([(f"{KEY_EXISTS} AND {sql})", (term.key, *values)) for sql, values in clauses])


def compile_query(query: str, events_only: bool = False) -> Conditions:
    """The conditions of a search query.

    :raises ApiError: the query is invalid
    """
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

"""The changes that a step requests for an issue: check the inputs, build the body of the PUT, compare the result.

All functions are pure. Names are those of the inputs of Update Issue and Update Issues, which Sentry also uses, except
`unassign` (assignedTo "") and `comment`.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from komand_sentry.util.errors.factory import invalid_input
from komand_sentry.util.errors.redaction import join_truncated
from komand_sentry.util.sentry.normalize import Record

MAX_WINDOW_MINUTES = 7 * 24 * 60

_ATTRIBUTES = (
    "status", "assignedTo", "hasSeen", "isSubscribed", "isPublic", "isBookmarked", "substatus", "priority",
)  # fmt: skip
_CONDITIONS = ("ignoreDuration", "ignoreCount", "ignoreUserCount")
_COUNT_OF_WINDOW = {"ignoreWindow": "ignoreCount", "ignoreUserWindow": "ignoreUserCount"}
_NUMBERS = (*_CONDITIONS, *_COUNT_OF_WINDOW)
_RELEASES = ("inRelease", "inNextRelease", "inCommit")
_DETAILS = (*_NUMBERS, *_RELEASES)
_INPUTS = (*_ATTRIBUTES, "unassign", *_DETAILS)
# False or empty means that the input is not set: Sentry ignores the value of inNextRelease.
_UNSET_IF_EMPTY = ("unassign", "inNextRelease", "inCommit")
_CONDITION_MET = "archived_until_condition_met"

# What the issue reports after a status was set.
_REPORTED_STATUS = {"resolvedInNextRelease": "resolved"}


class IssueChanges(NamedTuple):
    """What to change of an issue. All other attributes stay as they are.

    :param inputs: by the names of the inputs, without the comment
    :param body: of the PUT
    :param comment: to post after the change, "" for none
    """

    inputs: Record
    body: Record
    comment: str = ""

    @classmethod
    def parse(cls, params: Record) -> "IssueChanges":
        """The changes that the inputs of a step request: those that are set, false included.

        :param params: all inputs of the step
        :raises InvalidInput: no change is requested, or inputs are invalid or contradict each other
        """
        inputs = {name: params[name] for name in _INPUTS if name in params}
        inputs = {name: value for name, value in inputs.items() if value or name not in _UNSET_IF_EMPTY}
        comment = str(params.get("comment", ""))
        _check_any(inputs, comment)
        _check_combinations(inputs)
        _check_values(inputs)
        body = {name: inputs[name] for name in _ATTRIBUTES if name in inputs}
        if "unassign" in inputs:
            # Sentry's web interface sends the same; all versions accept it.
            body["assignedTo"] = ""
        if details := {name: inputs[name] for name in _DETAILS if name in inputs}:
            body["statusDetails"] = details
        return cls(inputs, body, comment)

    @property
    def status(self) -> str:
        """The new status, "" if it does not change."""
        return str(self.body.get("status", ""))

    @property
    def team_slug(self) -> str | None:
        """The slug of the team to assign, None if the assignee is not given as `#slug`."""
        assignee = str(self.body.get("assignedTo", ""))
        return assignee.removeprefix("#") if assignee.startswith("#") else None

    def with_assignee(self, assignee: str) -> "IssueChanges":
        """The same changes with an assignee in the form that the server accepts."""
        return self._replace(body={**self.body, "assignedTo": assignee})

    def attributes_of(self, issue: Record) -> Record:
        """The attributes of an issue that the changes are about."""
        return {name: issue.get(name) for name in self.body}

    def preview(self) -> Record:
        """The attributes of an issue as the changes would set them."""
        preview = dict(self.body)
        if "status" in preview:
            preview["status"] = _REPORTED_STATUS.get(self.status, self.status)
        if "assignedTo" in preview:
            preview["assignedTo"] = preview["assignedTo"] or None
        return preview

    def not_applied(self, issue: Record) -> list[str]:
        """The names of the inputs whose change the updated issue does not show."""
        return [name for name, value in self.inputs.items() if not _is_applied(name, value, issue)]


def _is_applied(name: str, requested: Any, issue: Record) -> bool:
    reported, details = issue.get(name), issue.get("statusDetails")
    details = details if isinstance(details, dict) else {}
    match name:
        case "status":
            return bool(_REPORTED_STATUS.get(requested, requested) == reported)
        case "assignedTo":
            # The server reports another form: the ID for an e-mail address, for example.
            kind = "team" if str(requested).startswith(("team:", "#")) else "user"
            return isinstance(reported, dict) and reported.get("type") == kind
        case "unassign":
            return not issue.get("assignedTo")
        case "inRelease":
            return bool(details.get(name)) and requested in ("latest", details[name])
        case "inNextRelease":
            # With semantic versions, Sentry stores the latest release instead.
            return bool(details.get("inNextRelease") or details.get("inRelease"))
        case "ignoreDuration":
            return bool(details.get("ignoreUntil"))
    if name in _DETAILS:
        # Sentry reports what is left of a count, and a commit as an object.
        return details.get(name) is not None
    return bool(requested == reported)


def _check_any(inputs: Record, comment: str) -> None:
    if inputs:
        return
    advice = " To only post a comment, use Add Comment." if comment else ""
    raise invalid_input(
        "There is nothing to update: no attribute of the issue is set.",
        f"Set at least one of {', '.join(name for name in _INPUTS if name not in _DETAILS)}.{advice}",
    )


def _check_combinations(inputs: Record) -> None:
    if "unassign" in inputs and "assignedTo" in inputs:
        _raise_contradiction("assignedTo", "unassign")
    for status, names in (("ignored", ("substatus", *_NUMBERS)), ("resolved", _RELEASES)):
        _check_status(inputs, status, names)
    releases = [name for name in _RELEASES if name in inputs]
    if len(releases) > 1:
        _raise_contradiction(*releases[:2])
    _check_conditions(inputs)


def _check_status(inputs: Record, status: str, names: Iterable[str]) -> None:
    for name in names:
        if name in inputs and inputs.get("status") != status:
            actual = f"is {inputs['status']}" if "status" in inputs else "is not set"
            raise invalid_input(
                f"{name} is set, but status {actual}.", f"Set status to {status}, or do not set {name}."
            )


def _check_conditions(inputs: Record) -> None:
    for window, count in _COUNT_OF_WINDOW.items():
        if window in inputs and count not in inputs:
            raise invalid_input(f"{window} is set, but {count} is not.", f"Set {count}, or do not set {window}.")
    substatus = inputs.get("substatus")
    conditions = [name for name in _CONDITIONS if name in inputs]
    if substatus == _CONDITION_MET and not conditions:
        raise invalid_input(
            f"substatus is {_CONDITION_MET}, but no condition is set.", f"Set one of {', '.join(_CONDITIONS)}."
        )
    if substatus and substatus != _CONDITION_MET and conditions:
        raise invalid_input(
            f"substatus is {substatus}, but {conditions[0]} is set as well.",
            f"Set substatus to {_CONDITION_MET}, or do not set {conditions[0]}.",
        )


def _check_values(inputs: Record) -> None:
    if inputs.get("assignedTo") == "#":
        raise invalid_input("assignedTo has no slug after #.", "Set # and the slug of a team, such as #ops.")
    for name in _NUMBERS:
        if name in inputs and inputs[name] < 1:
            raise invalid_input(f"{name} is {inputs[name]}.", f"Set {name} to a positive number, or do not set it.")
    for name in _COUNT_OF_WINDOW:
        if inputs.get(name, 0) > MAX_WINDOW_MINUTES:
            raise invalid_input(
                f"{name} is {inputs[name]} minutes.", f"Set {name} to at most {MAX_WINDOW_MINUTES} minutes (7 days)."
            )
    commit = inputs.get("inCommit", {})
    missing = tuple(key for key in ("commit", "repository") if not _is_text(commit.get(key)))
    if "inCommit" in inputs and missing:
        raise invalid_input(
            f"inCommit has no {join_truncated(missing)}.",
            'Set both as texts, such as {"commit": "4f6efe508a2e", "repository": "acme/pumps"}.',
        )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _raise_contradiction(first: str, second: str) -> None:
    raise invalid_input(f"Both {first} and {second} are set.", f"Set either {first} or {second}, not both.")

"""Break the plugin in one small place at a time, and report which edits the unit tests do not detect.

`.venv/bin/python -m tools.mutate [word ...]` takes about 15 minutes. With words, it only applies the edits of files
whose path contains one of them. An edit that no longer applies is reported, so that the list follows the code.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from testing.plugin import ROOT

SENTRY, HTTP, ERRORS, TRIGGER = "util/sentry", "util/http", "util/errors", "util/trigger"
MAX_SECONDS = 300


class Edit(NamedTuple):
    """Replace a text that occurs once in a file of komand_sentry/."""

    path: str
    old: str
    new: str


EDITS = (
    Edit(f"{TRIGGER}/checkpoint.py", "candidate.time >= self.floor or", "candidate.time > self.floor or"),
    Edit(f"{TRIGGER}/checkpoint.py", " or candidate.number > self.known_number", ""),
    Edit(f"{TRIGGER}/checkpoint.py", "min(candidate.time, now)", "candidate.time"),
    Edit(f"{TRIGGER}/checkpoint.py", "(min(time, self.latest) for time", "(time for time"),
    Edit(f"{TRIGGER}/checkpoint.py", "min([floor, *waiting])", "floor"),
    Edit(f"{TRIGGER}/checkpoint.py", "        if len(waiting) < len(rest):\n", "        if False:\n"),
    Edit(f"{TRIGGER}/checkpoint.py", "if is_full and not rest:", "if is_full:"),
    Edit(f"{TRIGGER}/checkpoint.py", " or self._number_of(key) > known}", "}"),
    Edit(f"{TRIGGER}/checkpoint.py", "if not lookback or candidate.time < start", "if candidate.time < start"),
    Edit(
        f"{TRIGGER}/loop.py",
        "                self._save(watched, checkpoint)\n                watched.b",
        "                watched.b",
    ),
    Edit(f"{TRIGGER}/loop.py", "watched.checkpoint.floor > now", "False"),
    Edit(f"{TRIGGER}/loop.py", "        if not watched.is_saved:\n", "        if False:\n"),
    Edit(f"{TRIGGER}/loop.py", "if self._is_failing else 0.0", "if False else 0.0"),
    Edit(f"{TRIGGER}/loop.py", "delay = max(delay, min(server_delay, MAX_SERVER_DELAY))", "delay = max(delay, 0.0)"),
    Edit(f"{TRIGGER}/loop.py", "if watched.backlog.is_cut:\n            watched", "if False:\n            watched"),
    Edit(f"{TRIGGER}/loop.py", " and not watched.is_shortening)", ")"),
    Edit(f"{TRIGGER}/loop.py", "and not has_gaps", ""),
    Edit(f"{TRIGGER}/loop.py", "watched.checkpoint.polled > now", "False"),
    Edit(f"{TRIGGER}/loop.py", "candidate, is_missing=True)", "candidate)"),
    Edit(f"{TRIGGER}/checkpoint.py", "max(known, scanned), self.sent_number", "scanned, self.sent_number"),
    Edit(f"{TRIGGER}/clocks.py", " or abs(offset - self._measured_offset()) < 2", " or True"),
    Edit(f"{TRIGGER}/unreadable.py", "and not is_strict else", "else"),
    Edit(f"{TRIGGER}/backlog.py", "if self._cut is None or _key(candidate) < self._cut:", "if True:"),
    Edit(f"{TRIGGER}/clocks.py", ">= _MEASURE_SECONDS:", "< 0:"),
    Edit(f"{TRIGGER}/clocks.py", " or self.termination.is_requested", ""),
    Edit(f"{TRIGGER}/dispatcher.py", "if response.is_success:", "if True:"),
    Edit(
        f"{TRIGGER}/state_file.py",
        "    temporary.replace(path)\n",
        '    path.write_text(temporary.read_text(), "utf-8")\n',
    ),
    Edit(f"{TRIGGER}/failures.py", "isinstance(failure, _PERMANENT) and now -", "now -"),
    Edit(f"{TRIGGER}/lists.py", "        if part.has_ended:\n", "        if not part.truncated:\n"),
    Edit(f"{TRIGGER}/lists.py", "page[-_MIN_OLD_RECORDS:]", "page[-1:]"),
    Edit(f"{TRIGGER}/lists.py", 'if project.get("hasAccess") is not False', ""),
    Edit(f"{TRIGGER}/issue_sources.py", 'str(found.issue.get("id")) != candidate.issue_id', "False"),
    Edit(f"{TRIGGER}/issue_sources.py", "if known.status != _status(row):", "if False:"),
    Edit(f"{TRIGGER}/issue_sources.py", "is_first_page and not _is_closed(row)", "False"),
    Edit(f"{TRIGGER}/event_source.py", "return last - first > _SETTLE_SECONDS", "return last > 0"),
    Edit(f"{TRIGGER}/event_source.py", "        if is_complete:\n", "        if True:\n"),
    Edit(f"{TRIGGER}/base.py", 'if loaded.get("version") != STATE_VERSION:', "if False:"),
    Edit(f"{TRIGGER}/base.py", "stream.tell() > MAX_LOG_CHARACTERS", "False"),
    Edit(
        "util/interruption.py", "        if not self._is_deferring:\n            self._end()\n", "        self._end()\n"
    ),
    Edit(f"{SENTRY}/issue_changes.py", "in _ATTRIBUTES if name in inputs", "in _ATTRIBUTES if inputs.get(name)"),
    Edit(f"{SENTRY}/issue_changes.py", 'body["assignedTo"] = ""', 'body["assignedTo"] = "0"'),
    Edit("actions/list_issue_events/action.py", "Input.FULL, True", "Input.FULL, False"),
    Edit("actions/list_project_issues/action.py", '"" if params.get(Input.ALL_STATUSES) else', '"" if not params else'),
    Edit("connection/connection.py", "if server.base == DEFAULT_URL else", "if True else"),
    Edit(f"{SENTRY}/pagination.py", "and length >= page_size", "and length > page_size"),
    Edit(f"{SENTRY}/pagination.py", "or self.warning is not None or", "or"),
    Edit(f"{SENTRY}/pagination.py", "            if not collector.pages:\n                raise\n", ""),
    Edit(f"{SENTRY}/pagination.py", '_SKIP_SUFFIX.sub("", text)', "text"),
    Edit(f"{SENTRY}/pagination.py", 'link.get("results") == "true"', 'link.get("results")'),
    Edit(f"{SENTRY}/event_cursor.py", "len(known) >= PAGE_SIZE", "len(known) > PAGE_SIZE"),
    Edit(
        f"{SENTRY}/event_cursor.py",
        'EventCursor(page.next_cursor or "", by_time=False)',
        'self._replace(cursor=page.next_cursor or "")',
    ),
    Edit(f"{SENTRY}/event_cursor.py", "end, known = last + _SECOND", "end, known = last"),
    Edit(f"{SENTRY}/event_cursor.py", "return bool(self.cursor)", "return False"),
    Edit(f"{SENTRY}/events.py", "return bool(found) and environment not in found", "return environment not in found"),
    Edit(
        f"{SENTRY}/events.py",
        "        if not events.records and not page_range.cursor:\n            endpoint.check_exists()\n",
        "",
    ),
    Edit(f"{SENTRY}/issues.py", 'if changes.status != "resolvedInNextRelease":', "if True:"),
    Edit(f"{SENTRY}/issues.py", "len(not_applied) == len(changes.inputs)", "not_applied and False"),
    Edit(f"{SENTRY}/endpoints.py", "must_match=is_write and not organization_slug", "must_match=False"),
    Edit(f"{SENTRY}/endpoints.py", "        if is_write:\n            self._confirm(path, failure)\n", ""),
    Edit(f"{SENTRY}/endpoints.py", "if len(found) > 1:", "if len(found) > 2:"),
    Edit(f"{SENTRY}/endpoints.py", "and (is_write or not found)", "and not found"),
    Edit(f"{SENTRY}/endpoints.py", "len(slugs) == 1 and is_complete", "len(slugs) == 1"),
    Edit(
        f"{SENTRY}/endpoints.py", "_NO_ROUTE = (RouteMissing, HTMLResponse, Gone)", "_NO_ROUTE = (RouteMissing, Gone)"
    ),
    Edit(f"{SENTRY}/api.py", "len(self.token) >= MIN_TOKEN_LENGTH and self.token in text", "False"),
    Edit(f"{SENTRY}/api.py", '            expects_json=method != "DELETE",\n', ""),
    Edit(f"{SENTRY}/ingest.py", "                idempotent=True,\n", ""),
    Edit(f"{SENTRY}/ingest.py", "response.stats.attempts > 1 or not event.is_id_given", "True"),
    Edit(f"{SENTRY}/ingest.py", "any(body.get(key) for key in _ERROR_KEYS)", "False"),
    Edit(
        f"{SENTRY}/issue_reference.py",
        "if reference.organization:\n        return bool(organization)",
        "if reference.organization:\n        return True",
    ),
    Edit(f"{SENTRY}/bulk.py", "if len(found.records) > max_changes:", "if False:"),
    Edit(f"{SENTRY}/bulk.py", "        if dry_run:\n", "        if False:\n"),
    Edit(f"{SENTRY}/bulk.py", "    if host != reference.host:", "    if False:"),
    Edit(f"{SENTRY}/deletion.py", "if confirm != len(ids):", "if False:"),
    Edit(f"{SENTRY}/merging.py", "_MATCHES_NOTHING)\n", ")\n"),
    Edit(f"{SENTRY}/event_lookup.py", 'and project in (None, "", project_id)', ""),
    Edit(f"{SENTRY}/markdown.py", "if is_safe else escaped", "if url else escaped"),
    Edit(f"{HTTP}/urls.py", "and not old[changed[0]].isdigit()", ""),
    Edit(f"{SENTRY}/rate_limits.py", "return None if seconds is None else seconds + jitter", "return seconds"),
    Edit(f"{SENTRY}/scopes.py", "required or scopes is None or", "required or"),
    Edit(
        f"{HTTP}/urls.py", 'character in segment for character in "/\\\\;"', 'character in segment for character in "/"'
    ),
    Edit(f"{HTTP}/client.py", "keep_blank_values=True", "keep_blank_values=False"),
    Edit(f"{HTTP}/client.py", "stats.redirects == MAX_REDIRECTS", "False"),
    Edit(f"{HTTP}/retry.py", "kind is FailureKind.CLOSED and attempts == 1", "kind is FailureKind.CLOSED"),
    Edit(
        f"{HTTP}/retry.py",
        "is_transient = outcome.status in TRANSIENT_STATUSES and request.is_idempotent",
        "is_transient = outcome.status in TRANSIENT_STATUSES",
    ),
    Edit(f"{HTTP}/deadline.py", "if left <= 0:", "if False:"),
    Edit(f"{HTTP}/transport.py", "if not new_connection:", "if True:"),
    Edit(f"{ERRORS}/redaction.py", ", key=len, reverse=True)", ", key=len)"),
    Edit(f"{ERRORS}/exceptions.py", "            traceback.clear_frames(current.__traceback__)\n", ""),
    Edit(f"{ERRORS}/factory.py", "if error_type is NotFound and", "if False and"),
    Edit("util/step.py", 'if stripped not in ("", None):', "if stripped is not None:"),
    Edit("util/coerce.py", "type(number) is float and math.isfinite(number)", "type(number) is float"),
)


def main() -> int:
    """Apply each edit to a copy of the repository."""
    words = sys.argv[1:]
    edits = [edit for edit in EDITS if not words or any(word in edit.path for word in words)]
    undetected = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "plugin")
        shutil.copytree(
            ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv*", "*.db*", ".mypy_cache", ".hypothesis")
        )
        (Path(folder) / "shared").symlink_to(ROOT.parent / "shared")
        for number, edit in enumerate(edits, 1):
            outcome = run_edit(copy, edit)
            undetected += outcome != "detected"
            print(f"{number:2}/{len(edits)} {outcome:10} {edit.path}: {' '.join(edit.old.split())}", flush=True)
    print(f"{len(edits) - undetected} of {len(edits)} edits detected")
    return 1 if undetected else 0


def run_edit(copy: Path, edit: Edit) -> str:
    """Apply one edit, run the unit tests until the first failure, and take the edit back."""
    path = copy / "komand_sentry" / edit.path
    source = path.read_text(encoding="utf-8")
    if source.count(edit.old) != 1:
        return "no match"
    path.write_text(source.replace(edit.old, edit.new), encoding="utf-8")
    arguments = ["-m", "pytest", "-q", "-x", "-n", "2", "--dist", "loadscope", "-p", "no:cacheprovider", "unit_test"]
    try:
        tests = subprocess.run(
            [sys.executable, *arguments], cwd=copy, capture_output=True, timeout=MAX_SECONDS, check=False
        )
        return "SURVIVED" if tests.returncode == 0 else "detected"
    except subprocess.TimeoutExpired:
        return "detected"
    finally:
        path.write_text(source, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

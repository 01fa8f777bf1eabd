"""The sandbox's database: one SQLite connection behind one lock, the tables, and the initial data.

An issue is a row of `issue`. An event is a row of `event` with its normalized JSON, and each of its values that a
search can find is a row of `event_key`.
"""

# ruff: noqa: S608 - only fixed text is put into SQL; every value is bound.

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Row = sqlite3.Row

SCHEMA = """
CREATE TABLE organization (id INTEGER PRIMARY KEY, slug TEXT UNIQUE, name TEXT, created REAL);
CREATE TABLE user (id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT, active INTEGER, created REAL);
CREATE TABLE member (
    id INTEGER PRIMARY KEY, organization INTEGER, user INTEGER, invited TEXT, role TEXT, created REAL
);
CREATE TABLE team (id INTEGER PRIMARY KEY, organization INTEGER, slug TEXT, created REAL);
CREATE TABLE team_member (team INTEGER, user INTEGER, PRIMARY KEY (team, user));
CREATE TABLE project (
    id INTEGER PRIMARY KEY, organization INTEGER, team INTEGER, slug TEXT, platform TEXT, created REAL,
    first_event REAL, last_short_id INTEGER DEFAULT 0
);
CREATE TABLE project_key (id INTEGER PRIMARY KEY, project INTEGER, public TEXT UNIQUE, secret TEXT, created REAL);
CREATE TABLE token (token TEXT PRIMARY KEY, label TEXT UNIQUE, user INTEGER, scopes TEXT, expires REAL);
CREATE TABLE release (
    id INTEGER PRIMARY KEY, organization INTEGER, version TEXT, created REAL, UNIQUE (organization, version)
);
CREATE TABLE release_project (release INTEGER, project INTEGER, PRIMARY KEY (release, project));
CREATE TABLE repository_commit (
    id INTEGER PRIMARY KEY, organization INTEGER, repository TEXT, key TEXT, message TEXT, created REAL
);
CREATE TABLE issue (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project INTEGER, short_id INTEGER, type TEXT, title TEXT, culprit TEXT,
    metadata TEXT, level TEXT, logger TEXT, platform TEXT, unhandled INTEGER, times_seen INTEGER DEFAULT 0,
    first_seen REAL, last_seen REAL, first_release TEXT, last_release TEXT,
    status TEXT DEFAULT 'unresolved', substatus TEXT DEFAULT 'new', resolution TEXT, snooze TEXT,
    assignee TEXT, priority TEXT, priority_locked REAL, share_id TEXT
);
CREATE INDEX issue_project ON issue (project);
CREATE TABLE issue_hash (project INTEGER, hash TEXT, issue INTEGER, PRIMARY KEY (project, hash));
CREATE TABLE issue_redirect (issue INTEGER PRIMARY KEY, project INTEGER, short_id INTEGER, target INTEGER, since REAL);
CREATE TABLE issue_user (
    issue INTEGER, user INTEGER, bookmarked INTEGER DEFAULT 0, reason TEXT, seen REAL, PRIMARY KEY (issue, user)
);
CREATE TABLE activity (id INTEGER PRIMARY KEY, issue INTEGER, user INTEGER, type TEXT, data TEXT, created REAL);
CREATE TABLE event (
    id INTEGER PRIMARY KEY, event_id TEXT, project INTEGER, issue INTEGER, timestamp REAL, environment TEXT,
    user_key TEXT, message TEXT, hashes TEXT, data TEXT, UNIQUE (project, event_id)
);
CREATE INDEX event_issue ON event (issue, timestamp);
CREATE TABLE event_key (event INTEGER, key TEXT, value TEXT, is_tag INTEGER);
CREATE INDEX event_key_event ON event_key (event, key);
"""

ALL_SCOPES = (
    *(f"{kind}:{may}" for kind in ("event", "member", "org", "project", "team") for may in ("admin", "read", "write")),
    *("alerts:read", "alerts:write", "member:invite", "org:ci", "org:integrations", "project:releases"),
)
COMMIT = {"repository": "acme/pumps", "key": "4f6efe508a2e3670967ddf638961d374aabbccdd", "message": "Close valve V-7"}


class Store:
    """SQL on one connection, for all request threads.

    :param merge_seconds: see `Sandbox`
    """

    def __init__(self, path: str = ":memory:", merge_seconds: float = 0.0) -> None:
        self.merge_seconds = merge_seconds
        self.url_prefix = ""  # Sentry's option system.url-prefix: set when the port is known
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA journal_mode = WAL")
        if not self.one("SELECT 1 FROM sqlite_master WHERE name = 'organization'"):
            self._db.executescript(SCHEMA)
            with self.transaction():
                self._seed()

    def all(self, sql: str, *values: Any) -> list[Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> Row | None:
        with self._lock:
            row: Row | None = self._db.execute(sql, values).fetchone()
            return row

    def scalar(self, sql: str, *values: Any) -> Any:
        """The first column of the first row, None when there is no row."""
        row = self.one(sql, *values)
        return None if row is None else row[0]

    def run(self, sql: str, *values: Any) -> int:
        """Execute a statement; return the ID of the row that it inserted."""
        with self._lock:
            return self._db.execute(sql, values).lastrowid or 0

    def run_many(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        with self._lock:
            self._db.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def add_activity(self, issue: int, user: int | None, kind: str, **data: Any) -> int:
        """Add an activity to an issue; return its ID."""
        return self.run(
            "INSERT INTO activity (issue, user, type, data, created) VALUES (?, ?, ?, ?, ?)",
            issue, user, kind, json.dumps(data), time.time(),
        )  # fmt: skip

    def set_status(
        self, issue: int, status: str, substatus: str | None, *, resolution: Any = None, snooze: Any = None
    ) -> None:
        """Change the status of an issue. The resolution and the snooze of its last status end."""
        details = (json.dumps(value) if value else None for value in (resolution, snooze))
        sql = "UPDATE issue SET status = ?, substatus = ?, resolution = ?, snooze = ? WHERE id = ?"
        self.run(sql, status, substatus, *details, issue)

    def _seed(self) -> None:
        """Insert two organizations with users, teams, projects, keys and tokens."""
        now = time.time()

        def insert(table: str, **columns: Any) -> int:
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            return self.run(f"INSERT INTO {table} ({names}) VALUES ({marks})", *columns.values())

        def project(organization: int, team: int, slug: str) -> None:
            made = insert("project", organization=organization, team=team, slug=slug, platform="python", created=now)
            insert("project_key", project=made, public=secrets.token_hex(16), secret=secrets.token_hex(16), created=now)

        def token(label: str, user: int, scopes: tuple[str, ...], expires: float | None = None) -> None:
            value = "sntryu_" + secrets.token_hex(32)
            insert("token", token=value, label=label, user=user, scopes=" ".join(scopes), expires=expires)

        acme = insert("organization", slug="acme", name="Acme", created=now)
        bravo = insert("organization", slug="bravo", name="Bravo", created=now)
        people = {"admin": "Ada Admin", "lin": "Lin Lee", "out": "Out Sider", "gone": ""}
        ada, lin, _outsider, gone = (
            insert("user", email=f"{user}@example.com", name=name, active=user != "gone", created=now)
            for user, name in people.items()
        )
        ops = insert("team", organization=acme, slug="ops", created=now)
        insert("team", organization=acme, slug="other", created=now)
        bravo_team = insert("team", organization=bravo, slug="bt", created=now)
        # The first membership is an invitation, so the ID of a membership is never that of its user.
        insert("member", organization=acme, invited="invited@example.com", role="member", created=now)
        for user, role in ((ada, "owner"), (lin, "member")):
            insert("member", organization=acme, user=user, role=role, created=now)
            insert("team_member", team=ops, user=user)
        insert("repository_commit", organization=acme, created=now, **COMMIT)
        project(acme, ops, "pump-station")
        project(acme, ops, "gate")
        project(bravo, bravo_team, "secret-lab")
        token("TOKEN", ada, ALL_SCOPES)
        token("TOKEN_READONLY", ada, ("event:read", "member:read", "org:read", "project:read", "team:read"))
        token("TOKEN_TEAMREAD", ada, ("team:read",))
        token("TOKEN_MEMBER", lin, ALL_SCOPES)
        token("TOKEN_EXPIRED", lin, ("event:read",), expires=now - 86400)
        token("TOKEN_INACTIVE", gone, ("event:read",))

    def dsn(self, key: Row, private: bool = False) -> str:
        scheme, host = self.url_prefix.split("://", 1)
        user = f"{key['public']}:{key['secret']}" if private else key["public"]
        return f"{scheme}://{user}@{host}/{key['project']}"

    def env(self) -> dict[str, str]:
        """URL, slugs, IDs, keys and tokens of the initial data, under the names that a genuine test server prints."""
        projects = {row["slug"]: str(row["id"]) for row in self.all("SELECT * FROM project")}
        users = {row["email"].split("@")[0]: row for row in self.all("SELECT * FROM user")}
        teams = {row["slug"]: str(row["id"]) for row in self.all("SELECT * FROM team")}
        keys = {str(row["project"]): row for row in self.all("SELECT * FROM project_key")}
        main, gate, lab = (projects[slug] for slug in ("pump-station", "gate", "secret-lab"))
        return {
            "BASE": self.url_prefix,
            "ORG": "acme",
            "PROJECT": "pump-station",
            "PROJECT_ID": main,
            "PROJECT2": "gate",
            "PROJECT2_ID": gate,
            **{row["label"]: row["token"] for row in self.all("SELECT * FROM token ORDER BY rowid")},
            "PUBLIC_KEY": keys[main]["public"],
            "SECRET_KEY": keys[main]["secret"],
            "DSN_SECRET": self.dsn(keys[main], private=True),
            "DSN_PUBLIC": self.dsn(keys[main]),
            "DSN2_PUBLIC": self.dsn(keys[gate]),
            "USER_ID": str(users["admin"]["id"]),
            "USER_EMAIL": users["admin"]["email"],
            "USER2_ID": str(users["lin"]["id"]),
            "USER2_EMAIL": users["lin"]["email"],
            "OUTSIDER_ID": str(users["out"]["id"]),
            "TEAM_ID": teams["ops"],
            "TEAM2_ID": teams["other"],
            "DSN_BRAVO": self.dsn(keys[lab]),
            "PROJECT_BRAVO_ID": lab,
            "REPOSITORY": COMMIT["repository"],
            "COMMIT": COMMIT["key"],
        }

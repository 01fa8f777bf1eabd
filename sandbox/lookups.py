"""Everything around the issues: token, organizations, projects, keys, members, teams, short IDs and event IDs.

The responses have the fields that Sentry's API description requires. Settings of an installation, such as features,
options and avatars, are empty.
"""

from typing import cast

from flask import Blueprint, Response, jsonify, request

from .auth import (
    authenticate,
    bad_request,
    find_organization,
    find_project,
    issue_by_short_id,
    needs,
    not_found,
    the_caller,
    the_store,
)
from .grouping import Json
from .ingest import parse_event_id
from .pagination import numbered_page, requested_per_page, respond, scored_page
from .serializers import LETTER_AVATAR, full_event_json, iso, short_id, stream_json, user_json
from .store import Row

lookups = Blueprint("lookups", __name__, url_prefix="/api/0")

PROJECT_FLAGS = (
    "Feedbacks", "Flags", "MinifiedStackTrace", "Monitors", "NewFeedbacks", "Profiles", "Replays", "Sessions",
    "InsightsHttp", "InsightsDb", "InsightsAssets", "InsightsAppStart", "InsightsScreenLoad", "InsightsVitals",
    "InsightsCaches", "InsightsQueues", "InsightsAgentMonitoring", "InsightsMCP", "Logs", "TraceMetrics", "UserReports",
)  # fmt: skip
SDK_LOADER_OPTIONS = ("hasReplay", "hasPerformance", "hasDebug", "hasFeedback", "hasLogsAndMetrics")
MEMBER_FLAGS = (
    "idp:provisioned", "idp:role-restricted", "sso:linked", "sso:invalid",
    "member-limit:restricted", "partnership:restricted",
)  # fmt: skip


# --- serializers


def matching(rows: list[Row], *columns: str) -> list[Row]:
    """The rows that have the text of `query` in one of the columns, in any case.

    Sentry searches single fields for `key:value`. Such a query finds nothing here, as for an unknown key.
    """
    query = " ".join(request.args.get("query", "").lower().split())
    return [row for row in rows if any(query in (row[column] or "").lower() for column in columns)]


def organization_json(row: Row) -> Json:
    base = the_store().url_prefix
    return {
        "id": str(row["id"]),
        "slug": row["slug"],
        "name": row["name"],
        "status": {"id": "active", "name": "active"},
        "dateCreated": iso(row["created"]),
        "avatar": LETTER_AVATAR,
        "features": [],
        "links": {"organizationUrl": base, "regionUrl": base},
        **dict.fromkeys(("isEarlyAdopter", "require2FA", "hasAuthProvider", "allowSuperuserAccess"), False),
        **dict.fromkeys(("allowMemberInvite", "allowMemberProjectCreation"), True),
    }


def team_ref(row: Row) -> Json:
    return {"id": str(row["id"]), "slug": row["slug"], "name": row["slug"]}


def project_json(row: Row) -> Json:
    store = the_store()
    sql = "SELECT DISTINCT environment FROM event WHERE project = ? AND environment IS NOT NULL ORDER BY 1"
    releases = "SELECT version FROM release JOIN release_project ON release = release.id WHERE project = ?"
    latest = store.one(f"{releases} ORDER BY release.id DESC LIMIT 1", row["id"])
    team = store.one("SELECT * FROM team WHERE id = ?", row["team"])
    member = store.one("SELECT 1 FROM team_member WHERE team = ? AND user = ?", row["team"], the_caller().id)
    return {
        "id": str(row["id"]),
        "slug": row["slug"],
        "name": row["slug"],
        "platform": row["platform"],
        "dateCreated": iso(row["created"]),
        "isMember": member is not None,
        "hasAccess": True,
        "access": sorted(the_caller().scopes),
        "features": [],
        "firstEvent": iso(row["first_event"]),
        "status": "active",
        "color": "#3fbf7f",
        "avatar": LETTER_AVATAR,
        **dict.fromkeys(("isBookmarked", "firstTransactionEvent", "isPublic", "isInternal"), False),
        **{f"has{flag}": False for flag in PROJECT_FLAGS},
        "team": team_ref(team) if team else None,
        "teams": [team_ref(team)] if team else [],
        "platforms": [row["platform"]],
        "environments": [found[0] for found in store.all(sql, row["id"])],
        "latestRelease": {"version": latest["version"]} if latest else None,
    }


def project_with_organization(row: Row) -> Json:
    organization = the_store().one("SELECT * FROM organization WHERE id = ?", row["organization"])
    return project_json(row) | {"organization": organization_json(organization) if organization else None}


def member_json(row: Row) -> Json:
    """A member. `id` is the membership; an issue is assigned to `user.id`. An invited person is no user yet."""
    user = the_store().one("SELECT * FROM user WHERE id = ?", row["user"])
    person = user_json(user) if user else None
    return {
        "id": str(row["id"]),
        "email": person["email"] if person else row["invited"],
        "name": person["name"] if person else row["invited"],
        "user": person,
        **dict.fromkeys(("role", "orgRole"), row["role"]),
        "roleName": row["role"].title(),
        "pending": person is None,
        "expired": False,
        "flags": dict.fromkeys(MEMBER_FLAGS, False),
        "dateCreated": iso(row["created"]),
        "inviteStatus": "approved",
        "inviterName": None,
    }


def team_json(row: Row) -> Json:
    store = the_store()
    mine = store.one("SELECT 1 FROM team_member WHERE team = ? AND user = ?", row["id"], the_caller().id)
    return {
        **team_ref(row),
        "dateCreated": iso(row["created"]),
        "isMember": mine is not None,
        "teamRole": "contributor" if mine else None,
        "flags": {"idp:provisioned": False},
        "access": sorted(the_caller().scopes),
        "hasAccess": True,
        "isPending": False,
        "memberCount": store.scalar("SELECT COUNT(*) FROM team_member WHERE team = ?", row["id"]),
        "avatar": LETTER_AVATAR,
        "projects": [project_json(found) for found in store.all("SELECT * FROM project WHERE team = ?", row["id"])],
    }


def key_json(row: Row) -> Json:
    """A client key. Of the URLs, the sandbox serves only the DSNs."""
    base = the_store().url_prefix
    ingest, public = f"{base}/api/{row['project']}", row["public"]
    dsn = {
        "public": the_store().dsn(row),
        "secret": the_store().dsn(row, private=True),
        **{name: f"{ingest}/{name}/?sentry_key={public}" for name in ("security", "minidump", "nel", "playstation")},
        "csp": f"{ingest}/csp-report/?sentry_key={public}",
        "unreal": f"{ingest}/unreal/{public}/",
        "crons": f"{ingest}/cron/___MONITOR_SLUG___/{public}/",
        "cdn": f"{base}/js-sdk-loader/{public}.min.js",
        "integration": f"{ingest}/integration/",
        "otlp_traces": f"{ingest}/integration/otlp/v1/traces",
        "otlp_logs": f"{ingest}/integration/otlp/v1/logs",
    }
    return {
        **dict.fromkeys(("id", "public"), public),
        **dict.fromkeys(("name", "label"), "Default"),
        "secret": row["secret"],
        "projectId": row["project"],
        "isActive": True,
        "rateLimit": None,
        "dsn": dsn,
        "browserSdkVersion": "latest",
        "browserSdk": {"choices": [["latest", "latest"]]},
        "dateCreated": iso(row["created"]),
        "dynamicSdkLoaderOptions": dict.fromkeys(SDK_LOADER_OPTIONS, False),
    }


# --- the token and its owner


@lookups.get("/")
def index() -> Response:
    """The scopes and the owner of the token; both are null without a token."""
    caller = authenticate()
    auth = {"scopes": sorted(caller.scopes)} if caller else None
    return jsonify({"version": "0", "auth": auth, "user": user_json(caller.user) if caller else None})


# --- organizations and projects


def my_organizations() -> list[Row]:
    sql = "SELECT organization.* FROM organization JOIN member ON organization = organization.id WHERE user = ?"
    return the_store().all(sql, the_caller().id)


@lookups.get("/organizations/")
@needs("org")
def organizations() -> Response:
    return respond(numbered_page(my_organizations(), requested_per_page()), organization_json)


@lookups.get("/organizations/<organization>/")
@needs("org")
def get_organization(organization: str) -> Response:
    return jsonify(organization_json(find_organization(organization)) | {"access": sorted(the_caller().scopes)})


@lookups.get("/projects/")
@needs("project")
def all_projects() -> Response:
    """The projects of all organizations of the token's owner, newest first."""
    rows = {
        row["id"]: row
        for org in my_organizations()
        for row in the_store().all("SELECT * FROM project WHERE organization = ?", org["id"])
    }
    page = scored_page([(int(row["created"] * 1000), row["id"]) for row in rows.values()], requested_per_page())
    return respond(page, lambda project_id: project_with_organization(rows[project_id]))


@lookups.get("/organizations/<organization>/projects/")
@needs("org")
def organization_projects(organization: str) -> Response:
    org = find_organization(organization)
    rows = the_store().all("SELECT * FROM project WHERE organization = ? ORDER BY slug", org["id"])
    return respond(numbered_page(matching(rows, "slug"), requested_per_page()), project_json)


@lookups.get("/projects/<organization>/<project>/")
@needs("project")
def get_project(organization: str, project: str) -> Response:
    return jsonify(project_with_organization(find_project(organization, project)[1]))


@lookups.get("/projects/<organization>/<project>/keys/")
@needs("project")
def project_keys(organization: str, project: str) -> Response:
    _, row = find_project(organization, project)
    rows = the_store().all("SELECT * FROM project_key WHERE project = ?", row["id"])
    return respond(numbered_page(rows, requested_per_page()), key_json)


# --- people and teams


@lookups.get("/organizations/<organization>/members/")
@needs("member")
def members(organization: str) -> Response:
    org = find_organization(organization)
    sql = """SELECT member.*, email, name FROM member LEFT JOIN user ON user.id = user
        WHERE organization = ? ORDER BY member.id"""
    rows = matching(the_store().all(sql, org["id"]), "invited", "email", "name")
    return respond(numbered_page(rows, requested_per_page()), member_json)


@lookups.get("/organizations/<organization>/teams/")
@needs("team")
def teams(organization: str) -> Response:
    org = find_organization(organization)
    rows = the_store().all("SELECT * FROM team WHERE organization = ? ORDER BY slug", org["id"])
    return respond(numbered_page(matching(rows, "slug"), requested_per_page()), team_json)


# --- ids


# Unlike other endpoints of the organization, this one requires the scopes of issues (since 2025).
@lookups.get("/organizations/<organization>/shortids/<short>/")
@needs("event")
def short_ids(organization: str, short: str) -> Response:
    org = find_organization(organization)
    issue = issue_by_short_id(org["id"], short)
    if issue is None:
        raise not_found()
    project = cast(Row, the_store().one("SELECT * FROM project WHERE id = ?", issue["project"]))
    return jsonify(
        {
            "organizationSlug": org["slug"],
            "projectSlug": project["slug"],
            "groupId": str(issue["id"]),
            "group": stream_json([issue], "", False)[0],
            "shortId": short_id(issue, project),
        }
    )


@lookups.get("/organizations/<organization>/eventids/<event_id>/")
@needs("org")
def event_ids(organization: str, event_id: str) -> Response:
    org = find_organization(organization)
    parsed = parse_event_id(event_id)
    if parsed is None:
        raise bad_request("Event ID must be a valid UUID or hexadecimal string.")
    sql = """SELECT event.*, project.slug FROM event JOIN project ON project.id = event.project
        WHERE event_id = ? AND organization = ?"""
    row = the_store().one(sql, parsed, org["id"])
    if row is None:
        raise not_found()
    return jsonify(
        {
            "organizationSlug": org["slug"],
            "projectSlug": row["slug"],
            "groupId": str(row["issue"]),
            "eventId": parsed,
            "event": full_event_json(row),
        }
    )

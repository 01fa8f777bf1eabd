"""The Flask application: the blueprints, and the responses for unknown routes and errors."""

from flask import Flask, Request, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from . import comments, tags  # noqa: F401 - they add routes to the blueprint of issues
from .auth import ApiError
from .events import events
from .ingest import ingest
from .issues import issues
from .lookups import lookups
from .store import Store


class SandboxRequest(Request):
    max_content_length = None  # the server limits the body before it calls the application


def create_app(store: Store, shuffles_ties: bool = False) -> Flask:
    """The application on a database.

    :param shuffles_ties: see `Sandbox`
    """
    app = Flask(__name__, static_folder=None)
    app.request_class = SandboxRequest
    app.extensions["store"] = store
    app.config["SHUFFLES_TIES"] = shuffles_ties
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    for blueprint in (ingest, issues, events, lookups):
        app.register_blueprint(blueprint)
    app.add_url_rule("/_health/", view_func=lambda: Response("ok", mimetype="text/plain"), endpoint="health")
    app.before_request(respond_without_slash)
    app.register_error_handler(ApiError, api_error_response)
    app.register_error_handler(HTTPException, http_error_response)
    return app


def respond_without_slash() -> Response | None:
    """Respond to a path without a trailing slash. Sentry does not redirect such requests."""
    if request.path.endswith("/"):
        return None
    if not request.path.startswith("/api/0/"):
        return web_page()
    hint = f"Route not found, did you forget a trailing slash? try: {request.path}/"
    if request.mimetype == "application/json":
        return json_response(404, {"info": hint})
    return Response(hint, 404, mimetype="text/plain")


def json_response(status: int, body: object, headers: dict[str, str] | None = None) -> Response:
    response = jsonify(body)
    response.status_code = status
    response.headers.update(headers or {})
    return response


def web_page() -> Response:
    """The response of the user interface: a redirect to the login, and no POST without a CSRF token."""
    if request.method not in ("GET", "HEAD"):
        return Response("<!DOCTYPE html><title>403</title><h1>CSRF Verification Failed</h1>", 403, mimetype="text/html")
    return Response("", 302, {"Location": "/auth/login/"}, mimetype="text/html")


def api_error_response(error: ApiError) -> Response:
    return json_response(error.status, error.body, error.headers)


def http_error_response(error: HTTPException) -> Response:
    in_api = request.path.startswith("/api/0/")
    if isinstance(error, NotFound):
        return Response("", 404, mimetype="text/html") if in_api else web_page()
    if isinstance(error, MethodNotAllowed):
        if not in_api:
            return Response("", 405, {"Allow": ", ".join(error.valid_methods or [])})
        return json_response(405, {"detail": f'Method "{request.method}" not allowed.'})
    if error.code is not None and error.code < 500:
        return json_response(error.code, {"detail": error.description})
    return json_response(500, {"detail": "Internal Error", "errorId": None})

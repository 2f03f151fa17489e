"""The console: pages that show what the REST API answers. They load nothing from elsewhere."""

import math
from html import escape
from http import HTTPStatus
from importlib.resources import files
from string import Template

import structlog
from flask import Blueprint, Response, current_app, request, send_from_directory
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import NotFound

from order_manager.web import sessions
from order_manager.web.auth import permissions
from order_manager.web.context import current_ended_sessions, current_runtime
from order_manager.web.errors import ApiError
from order_manager.web.sessions import Tries

log = structlog.get_logger(__name__)

blueprint = Blueprint("console", __name__)

_TRIES = "order_manager.console_tries"
_PAGES = files("order_manager.web") / "pages"
_ASSETS = str(_PAGES)
# Were anything to come from elsewhere, or text to be taken for markup, the browser would refuse.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


@blueprint.record
def _begin(setup: BlueprintSetupState) -> None:
    setup.app.extensions[_TRIES] = Tries()


@blueprint.get("/")
def console() -> Response:
    """The console, or the form to sign in."""
    if not sessions.is_signed_in(current_runtime().settings, current_ended_sessions()):
        return _form()
    return _page((_PAGES / "console.html").read_text())


@blueprint.post("/console/sign-in")
def sign_in() -> Response:
    _refuse_other_sites()
    tries: Tries = current_app.extensions[_TRIES]
    address = request.remote_addr or ""
    if (wait_s := tries.wait_s(address)) > 0:
        answer = _form(
            f"Too many wrong keys: try again in {math.ceil(wait_s)} s.", HTTPStatus.TOO_MANY_REQUESTS
        )
        answer.headers["Retry-After"] = str(math.ceil(wait_s))
        return answer
    key = request.form.get("key", "").strip()
    _, may_read = permissions(key.encode("utf-8", "replace"), current_runtime().settings)
    if not may_read:
        tries.failed(address)
        log.warning("console_sign_in_refused", address=address)
        return _form("That is none of the API keys.", HTTPStatus.UNAUTHORIZED)
    tries.succeeded(address)
    log.info("console_signed_in", address=address)
    answer = _to_the_console()
    sessions.sign_in(answer, key)
    return answer


@blueprint.post("/console/sign-out")
def sign_out() -> Response:
    _refuse_other_sites()
    answer = _to_the_console()
    sessions.sign_out(answer, current_runtime().settings, current_ended_sessions())
    return answer


@blueprint.get("/console/<name>")
def asset(name: str) -> Response:
    if name.endswith(".html"):  # a page is shown by its own view, with its policy
        raise NotFound
    return send_from_directory(_ASSETS, name)


def _refuse_other_sites() -> None:
    """Browsers say where a form was sent from, at least over https and on localhost."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise ApiError(HTTPStatus.FORBIDDEN, "other_site", "sign in and out from the console's own page")


def _form(problem: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    template = Template((_PAGES / "sign_in.html").read_text())
    base = "" if request.path == "/" else "../"  # relative, whatever path a proxy shows us under
    return _page(template.substitute(problem=escape(problem), base=base), status)


def _page(text: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    answer = Response(text, status, content_type="text/html; charset=utf-8")
    answer.headers["Content-Security-Policy"] = _POLICY
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def _to_the_console() -> Response:
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "../"})

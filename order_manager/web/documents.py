"""The OpenAPI document, and a page to browse it that loads nothing from elsewhere. No key needed."""

from importlib.resources import files
from typing import Any

from flask import Blueprint, Response, current_app, send_from_directory

from order_manager.web.resources import read_request

blueprint = Blueprint("documents", __name__)

ABOUT = """\
Orders, positions, signals and what became of them; the trading state; dead letters.

Errors are `{error, code, details}`. Decimals are strings. Lists are sorted and paged. A parameter that is
not known is refused. `X-Request-ID` comes back with every answer, and is in the log; send one of up to 100
letters, digits and `._:-` to choose it yourself."""

_ASSETS = str(files("flask_openapi3_swagger") / "templates" / "swagger")
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>order manager: REST API</title>
<link rel="icon" href="docs/images/swagger.svg">
<link rel="stylesheet" href="docs/css/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/js/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """\
window.ui = SwaggerUIBundle({
  url: new URL("openapi.json", window.location.href).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""
# Were anything to come from elsewhere, the browser would not load it.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)


@blueprint.get("/openapi.json")
def openapi_json() -> dict[str, Any]:
    read_request(None, None)
    document: dict[str, Any] = current_app.api_doc  # type: ignore[attr-defined]
    return document


@blueprint.get("/docs")
def docs() -> Response:
    answer = Response(_PAGE, content_type="text/html; charset=utf-8")
    answer.headers["Content-Security-Policy"] = _POLICY
    return answer


@blueprint.get("/docs/start.js")
def docs_start() -> Response:
    return Response(_START, content_type="text/javascript; charset=utf-8")


@blueprint.get("/docs/<path:name>")
def docs_asset(name: str) -> Response:
    return send_from_directory(_ASSETS, name)

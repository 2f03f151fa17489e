"""/openapi.json and /docs: open, complete, and self-contained."""

import re

import pytest

from order_manager.web import create_app
from order_manager.wiring import Runtime
from tests.web.conftest import Api

ASSETS = ("css/swagger-ui.css", "js/swagger-ui-bundle.js", "start.js", "images/swagger.svg")


def test_the_document_names_every_path_and_every_method(api: Api, runtime: Runtime) -> None:
    document = api.client.get("/openapi.json").json

    pages = ("/docs", "/openapi.json", "/metrics", "/console/")
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in create_app(runtime).url_map.iter_rules()
        for method in rule.methods or ()
        if method in {"GET", "POST"} and rule.rule != "/" and not rule.rule.startswith(pages)
    }
    assert document["openapi"].startswith("3.1")
    assert routes == {(path, method) for path, item in document["paths"].items() for method in item}


def test_all_but_the_probes_need_the_key(api: Api) -> None:
    document = api.client.get("/openapi.json").json

    needs_key = {
        path: "ApiKey" in str(operation.get("security"))
        for path, item in document["paths"].items()
        for operation in item.values()
    }
    assert {path for path, needed in needs_key.items() if not needed} == {"/live", "/health", "/ready"}
    scheme = document["components"]["securitySchemes"]["ApiKey"]
    assert scheme == {"type": "apiKey", "in": "header", "name": "X-API-Key"}


def test_every_reference_of_the_document_leads_somewhere(api: Api) -> None:
    answer = api.client.get("/openapi.json")

    schemas = answer.json["components"]["schemas"]
    named = set(re.findall(r'"\$ref":\s*"#/components/schemas/(\w+)"', answer.text))
    assert named
    assert named <= set(schemas)


def test_every_parameter_says_its_limit(api: Api) -> None:
    for item in api.client.get("/openapi.json").json["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                assert parameter["description"], (operation["operationId"], parameter["name"])
                assert "null" not in str(parameter["schema"])


def test_the_page_loads_nothing_from_elsewhere(api: Api) -> None:
    page = api.client.get("/docs")

    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "//" not in page.text
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {*named} == {f"docs/{name}" for name in ASSETS}
    for name in named:
        with api.client.get(f"/{name}") as answer:
            assert answer.status_code == 200, name


@pytest.mark.parametrize("name", ["", "nope", "../plugins.py", "%2e%2e/plugins.py", "/etc/passwd"])
def test_the_page_gives_its_own_files_only(api: Api, name: str) -> None:
    assert api.client.get(f"/docs/{name}").status_code in {401, 404}

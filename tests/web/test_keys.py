"""API keys: several at once, and of two kinds."""

import pytest
from flask.testing import FlaskClient

from order_manager.web import auth, create_app
from tests.web.conftest import RuntimeOf

ORDERS, SYNC = "/api/v1/orders", "/api/v1/sync"
OPERATING, READING = ("operate-old", "operate-new"), ("read-one", "lesen-für-zwei")


@pytest.fixture(scope="module")
def client(runtime_of: RuntimeOf) -> FlaskClient:
    runtime = runtime_of(
        ORDERMANAGER_API_KEY=" operate-old, operate-new ,",
        ORDERMANAGER_READ_API_KEYS="read-one,lesen-für-zwei",
        ORDERMANAGER_ENABLE_DRY_RUN="true",
    )
    return create_app(runtime).test_client()


def with_key(key: str) -> dict[str, str]:
    return {"X-API-Key": key.encode().decode("latin-1")}  # a header is bytes; WSGI shows them as latin-1


@pytest.mark.parametrize("key", [*OPERATING, *READING])
def test_every_key_reads(client: FlaskClient, key: str) -> None:
    assert client.get(ORDERS, headers=with_key(key)).status_code == 200
    assert client.head(ORDERS, headers=with_key(key)).status_code == 200


@pytest.mark.parametrize("key", OPERATING)
def test_every_operating_key_operates(client: FlaskClient, key: str) -> None:
    assert client.post(SYNC, headers=with_key(key)).json["code"] == "dry_run"


@pytest.mark.parametrize("key", READING)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "FROBNICATE"])
@pytest.mark.parametrize("path", [SYNC, ORDERS, "/nowhere"])
def test_a_reading_key_changes_nothing_whatever_the_method_and_the_path(
    client: FlaskClient, key: str, method: str, path: str
) -> None:
    answer = client.open(path, method=method, headers=with_key(key))

    assert answer.status_code == 403
    assert answer.json["code"] == "read_only_key"
    assert answer.json["details"] == {"header": "X-API-Key", "method": method}


@pytest.mark.parametrize(
    "key", ["", "operate-old,operate-new", "operate-old, operate-new", "read-one,", ",", "operate"]
)
def test_a_list_of_keys_is_no_key_nor_is_a_part_of_one(client: FlaskClient, key: str) -> None:
    assert client.get(ORDERS, headers=with_key(key)).status_code == 401


@pytest.mark.parametrize("key", [OPERATING[0], READING[-1], "wrong"])
def test_a_key_is_compared_with_all_of_them_found_or_not(
    runtime_of: RuntimeOf, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(len(other))
        return one == other

    monkeypatch.setattr(auth.hmac, "compare_digest", compare)
    settings = runtime_of(
        ORDERMANAGER_API_KEY=",".join(OPERATING), ORDERMANAGER_READ_API_KEYS=",".join(READING)
    ).settings
    compared.clear()
    auth.permissions(key.encode(), settings)

    assert compared == [32] * 4

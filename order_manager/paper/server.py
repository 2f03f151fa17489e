"""The HTTP face of the paper exchange: every request authenticated, limited, recorded, answered.

The WebSockets, on the same port, are `stream_server` and `public_server`.
Left out: liquidation, funding, conditional orders and TP/SL, inverse and option markets, borrowing.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from order_manager.metrics import PAPER_FAULTS, PAPER_REQUESTS
from order_manager.paper import trading
from order_manager.paper.auth import authenticate, read_credentials
from order_manager.paper.batches import run_batch, units_of
from order_manager.paper.clock import wall_ms
from order_manager.paper.control import add_control_routes
from order_manager.paper.exchange import Exchange
from order_manager.paper.ledger import MARKET_REQUEST, REQUEST
from order_manager.paper.market_data import PublicCall
from order_manager.paper.measuring import add_metrics_route
from order_manager.paper.misbehaving import Process, go_wrong
from order_manager.paper.public_server import add_public_stream_routes
from order_manager.paper.refusals import ApiRefusal
from order_manager.paper.routes import BATCHES, PRIVATE_GET, PRIVATE_POST, PUBLIC_CALLS
from order_manager.paper.stream_server import add_stream_routes
from order_manager.paper.trading import PrivateCall

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

now_ms = wall_ms  # the world's time, for whoever starts an exchange
_dumps = json.JSONEncoder(separators=(",", ":")).encode


def create_app(exchange: Exchange) -> web.Application:
    """All routes on one application; the caller moves the prices."""
    app = web.Application()
    for path, public_call in PUBLIC_CALLS.items():
        process: Process = partial(_answer_public, exchange, public_call)
        app.router.add_get(path, _with_faults(exchange, path, process), allow_head=False)
    for path, call in PRIVATE_GET.items():
        process = partial(_answer_private, exchange, path, call)
        app.router.add_get(path, _with_faults(exchange, path, process), allow_head=False)
    for path, call in PRIVATE_POST.items():
        process = partial(_answer_private, exchange, path, call)
        app.router.add_post(path, _with_faults(exchange, path, process))
    add_stream_routes(app, exchange, exchange.clock.now_ms)
    add_public_stream_routes(app, exchange, PUBLIC_CALLS, exchange.clock.now_ms)
    if exchange.settings.control_token:
        add_control_routes(app, exchange, exchange.clock.now_ms)
    add_metrics_route(app, exchange)
    app.router.add_route("*", "/v5/{path:.*}", partial(_answer_unknown, exchange))
    return app


def _with_faults(exchange: Exchange, path: str, process: Process) -> Handler:
    def note(request: web.Request, body: bytes, http_status: int, fault: str) -> None:
        _record(exchange, request, body, exchange.clock.now_ms(), http_status=http_status, fault=fault)
        exchange.commit()

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        faults = exchange.faults
        if not faults.waiting:
            return process(request, body, "")
        fault = faults.take(path, request.headers.get("X-BAPI-API-KEY", ""))
        if fault is None:
            return process(request, body, "")
        PAPER_FAULTS.labels("request", fault.kind).inc()
        now_ms = exchange.clock.now_ms()
        return await go_wrong(fault, request, body, process=process, note=note, now_ms=now_ms)

    return handle


def _answer_public(
    exchange: Exchange, call: PublicCall, request: web.Request, body: bytes, fault: str
) -> web.Response:
    now = exchange.clock.now_ms()
    entry = _record(exchange, request, body, now, kind=MARKET_REQUEST, fault=fault)
    if body or exchange.addresses.is_banned(request.remote or "", now):
        return _refuse(entry, 403, "access too frequent, or a GET request with a body")
    code, message = 0, "OK"
    result: dict[str, Any] = {}
    try:
        result = call(exchange, _read_query(request), now)
    except ApiRefusal as refused:
        code, message = refused.ret_code, refused.ret_msg
    _conclude(entry, code)
    return _envelope(code, message, result, now)


def _answer_private(
    exchange: Exchange, path: str, call: PrivateCall, request: web.Request, body: bytes, fault: str
) -> web.Response:
    now = exchange.clock.now_ms()
    entry = _record(exchange, request, body, now, fault=fault)
    if exchange.addresses.is_banned(request.remote or "", now) or (body and request.method == "GET"):
        return _refuse(entry, 403, "access too frequent, or a GET request with a body")
    credentials = read_credentials(request.headers)
    if credentials is None:
        return _refuse(entry, 401, "authentication headers are missing")
    headers: dict[str, str] = {}
    result: Mapping[str, Any] = {}
    more: Mapping[str, Any] = {}
    code, message = 0, "OK"
    try:
        is_get = request.method == "GET"
        payload = _raw_query(request).encode() if is_get else body
        account = authenticate(credentials, payload, exchange.by_key, now)
        params = _read_query(request) if is_get else _read_json(body)
        units = units_of(params) if path in BATCHES else 1
        budget = exchange.limits.take(account.uid, path, str(params.get("category") or ""), now, units)
        headers = {
            "X-Bapi-Limit": str(budget.limit),
            "X-Bapi-Limit-Status": str(budget.remaining),
            "X-Bapi-Limit-Reset-Timestamp": str(budget.reset_ms),
        }
        if not budget.granted:
            raise ApiRefusal(10006, "Too many visits. Exceeded the API Rate Limit.")
        if path in BATCHES:
            result, more = run_batch(exchange, account, params, now, call, granted=budget.granted)
        elif fault == "cancel_race":
            result = trading.cancel_too_late(exchange, account, params, now)
        else:
            result = call(exchange, account, params, now)
    except ApiRefusal as refused:
        code, message, result = refused.ret_code, refused.ret_msg, refused.result
    _conclude(entry, code)
    exchange.commit()
    return _envelope(code, message, result, now, headers, more)


async def _answer_unknown(exchange: Exchange, request: web.Request) -> web.Response:
    """A path or method that this exchange does not serve: recorded, since a client asked for it."""
    now = exchange.clock.now_ms()
    entry = _record(exchange, request, await request.read(), now, http_status=404, fault="")
    entry["ret_code"] = 10017
    PAPER_REQUESTS.labels("", "10017").inc()
    exchange.commit()
    answer = _envelope(10017, f"Route not found: {request.method} {request.path}", {}, now)
    answer.set_status(404)
    return answer


def _record(
    exchange: Exchange,
    request: web.Request,
    body: bytes,
    now: int,
    *,
    kind: str = REQUEST,
    http_status: int = 200,
    fault: str,
) -> dict[str, Any]:
    """Enter a request into the ledger before anything it causes; its retCode is filled in later."""
    is_get = request.method == "GET"
    return exchange.ledger.add(
        kind,
        now,
        request.headers.get("X-BAPI-API-KEY", ""),
        method=request.method,
        endpoint=request.path,
        body=_raw_query(request) if is_get else body.decode(errors="replace"),
        ret_code=None,
        http_status=http_status,
        fault=fault,
    )


def _conclude(entry: dict[str, Any], code: int) -> None:
    entry["ret_code"] = code
    PAPER_REQUESTS.labels(entry["endpoint"], str(code) if code else "ok").inc()


def _refuse(entry: dict[str, Any], status: int, text: str) -> web.Response:
    """An answer that is not the API's, to a request that did not get that far."""
    entry["http_status"] = status
    PAPER_REQUESTS.labels(entry["endpoint"], f"http_{status}").inc()
    return web.Response(status=status, text=text)


def _raw_query(request: web.Request) -> str:
    """The query as it came over the wire: what the client signed, not a re-encoding of it."""
    return request.raw_path.partition("?")[2]


def _read_query(request: web.Request) -> dict[str, str]:
    return dict(parse_qsl(_raw_query(request), keep_blank_values=True))


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        params = json.loads(body)
    except ValueError:
        params = None
    if not isinstance(params, dict):
        raise ApiRefusal(10001, "Request parameter error: the body must be a JSON object.")
    return params


def _envelope(
    code: int,
    message: str,
    result: Mapping[str, Any],
    now: int,
    headers: dict[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> web.Response:
    answer = {"retCode": code, "retMsg": message, "result": result, "retExtInfo": more or {}, "time": now}
    return web.Response(
        body=_dumps(answer).encode(), headers=headers, content_type="application/json", charset="utf-8"
    )

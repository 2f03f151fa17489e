"""The HTTP face of the paper exchange: every request authenticated, limited, recorded, answered.

The WebSockets, on the same port, are `stream_server` and `public_server`.
Left out: liquidation, funding, conditional orders and TP/SL, inverse and option markets, borrowing.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from order_manager.paper import queries, trading
from order_manager.paper.accounts import Account
from order_manager.paper.auth import authenticate, read_credentials
from order_manager.paper.control import add_control_routes
from order_manager.paper.exchange import Exchange
from order_manager.paper.faults import Fault
from order_manager.paper.ledger import REQUEST
from order_manager.paper.market_data import PUBLIC, PublicCall
from order_manager.paper.public_server import add_public_stream_routes
from order_manager.paper.refusals import ApiRefusal
from order_manager.paper.stream_server import add_stream_routes

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.Response]]
PrivateCall = Callable[[Exchange, Account, Mapping[str, Any], int], dict[str, Any]]
Process = Callable[[web.Request, bytes, str], web.Response]  # request, body, name of a fault or ""

PRIVATE_POST: dict[str, PrivateCall] = {
    "/v5/order/create": trading.create,
    "/v5/order/amend": trading.amend,
    "/v5/order/cancel": trading.cancel,
    "/v5/order/cancel-all": trading.cancel_all,
    "/v5/position/set-leverage": trading.set_leverage,
    "/v5/position/switch-mode": trading.switch_mode,
}
PRIVATE_GET: dict[str, PrivateCall] = {
    "/v5/order/realtime": queries.realtime,
    "/v5/order/history": queries.history,
    "/v5/execution/list": queries.executions,
    "/v5/position/list": queries.positions,
    "/v5/account/wallet-balance": queries.wallet_balance,
    "/v5/account/info": queries.account_info,
    "/v5/account/fee-rate": queries.fee_rate,
    "/v5/user/query-api": queries.query_api,
}

_dumps = json.JSONEncoder(separators=(",", ":")).encode
_HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def create_app(exchange: Exchange) -> web.Application:
    """All routes on one application; the caller moves the prices."""
    app = web.Application()
    for path, public_call in PUBLIC.items():
        process: Process = partial(_answer_public, exchange, public_call)
        app.router.add_get(path, _with_faults(exchange, path, process), allow_head=False)
    for path, call in PRIVATE_GET.items():
        process = partial(_answer_private, exchange, path, call)
        app.router.add_get(path, _with_faults(exchange, path, process), allow_head=False)
    for path, call in PRIVATE_POST.items():
        process = partial(_answer_private, exchange, path, call)
        app.router.add_post(path, _with_faults(exchange, path, process))
    add_stream_routes(app, exchange, now_ms)
    add_public_stream_routes(app, exchange, PUBLIC, now_ms)
    if exchange.settings.control_token:
        add_control_routes(app, exchange, now_ms)
    return app


def _with_faults(exchange: Exchange, path: str, process: Process) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        faults = exchange.faults
        if not faults.waiting:
            return process(request, body, "")
        fault = faults.take(path, request.headers.get("X-BAPI-API-KEY", ""))
        if fault is None:
            return process(request, body, "")
        return await _go_wrong(exchange, fault, request, body, process)

    return handle


async def _go_wrong(
    exchange: Exchange, fault: Fault, request: web.Request, body: bytes, process: Process
) -> web.Response:
    kind = fault.kind
    if kind == "delay":
        await asyncio.sleep(fault.delay_ms / 1000)
        return process(request, body, kind)
    if kind in ("delay_answer", "lost_answer", "ret_code_after"):
        response = process(request, body, kind)
        if kind == "ret_code_after":
            return _envelope(fault.ret_code, fault.ret_msg, {}, now_ms())
        if kind == "delay_answer":
            await asyncio.sleep(fault.delay_ms / 1000)
        else:
            _hang_up(request)
        return response
    _record(exchange, request, body, now_ms(), http_status=_STATUS.get(kind, 0), fault=kind)
    exchange.commit()
    if kind == "lost_request":
        _hang_up(request)
        return web.Response()
    if kind == "ret_code":
        return _envelope(fault.ret_code, fault.ret_msg, {}, now_ms())
    if kind == "html":
        return web.Response(status=502, text=_HTML, content_type="text/html")
    return web.Response(status=_STATUS[kind], text="")


_STATUS = {"http_500": 500, "http_429": 429, "html": 502, "ret_code": 200}


def _hang_up(request: web.Request) -> None:
    """Close the connection; the answer that the handler still returns goes nowhere."""
    if request.transport is not None:
        request.transport.close()


def _answer_public(
    exchange: Exchange, call: PublicCall, request: web.Request, body: bytes, fault: str
) -> web.Response:
    now = now_ms()
    if body or exchange.addresses.is_banned(request.remote or "", now):
        return _forbidden()
    try:
        return _envelope(0, "OK", call(exchange, _read_query(request), now), now)
    except ApiRefusal as refused:
        return _envelope(refused.ret_code, refused.ret_msg, {}, now)


def _answer_private(
    exchange: Exchange, path: str, call: PrivateCall, request: web.Request, body: bytes, fault: str
) -> web.Response:
    now = now_ms()
    entry = _record(exchange, request, body, now, fault=fault)
    if exchange.addresses.is_banned(request.remote or "", now) or (body and request.method == "GET"):
        entry["http_status"] = 403
        return _forbidden()
    credentials = read_credentials(request.headers)
    if credentials is None:
        entry["http_status"] = 401
        return web.Response(status=401, text="authentication headers are missing")
    headers: dict[str, str] = {}
    result: dict[str, Any] = {}
    code, message = 0, "OK"
    try:
        is_get = request.method == "GET"
        payload = _raw_query(request).encode() if is_get else body
        account = authenticate(credentials, payload, exchange.by_key, now)
        params = _read_query(request) if is_get else _read_json(body)
        budget = exchange.limits.take(account.uid, path, str(params.get("category") or ""), now)
        headers = {
            "X-Bapi-Limit": str(budget.limit),
            "X-Bapi-Limit-Status": str(budget.remaining),
            "X-Bapi-Limit-Reset-Timestamp": str(budget.reset_ms),
        }
        if not budget.is_allowed:
            raise ApiRefusal(10006, "Too many visits. Exceeded the API Rate Limit.")
        result = call(exchange, account, params, now)
    except ApiRefusal as refused:
        code, message = refused.ret_code, refused.ret_msg
    entry["ret_code"] = code
    exchange.commit()
    return _envelope(code, message, result, now, headers)


def _record(
    exchange: Exchange, request: web.Request, body: bytes, now: int, *, http_status: int = 200, fault: str
) -> dict[str, Any]:
    """Enter a request into the ledger before anything it causes; its retCode is filled in later."""
    is_get = request.method == "GET"
    return exchange.ledger.add(
        REQUEST,
        now,
        request.headers.get("X-BAPI-API-KEY", ""),
        method=request.method,
        endpoint=request.path,
        body=_raw_query(request) if is_get else body.decode(errors="replace"),
        ret_code=None,
        http_status=http_status,
        fault=fault,
    )


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
    code: int, message: str, result: dict[str, Any], now: int, headers: dict[str, str] | None = None
) -> web.Response:
    answer = {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": now}
    return web.Response(
        body=_dumps(answer).encode(), headers=headers, content_type="application/json", charset="utf-8"
    )


def _forbidden() -> web.Response:
    return web.Response(status=403, text="access too frequent, or a GET request with a body")

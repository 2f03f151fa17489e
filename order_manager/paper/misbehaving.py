"""How requests go wrong on the wire when a fault strikes them."""

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from order_manager.paper.faults import Fault

# Process one request, telling the ledger the fault's kind; note a request that is not processed.
Process = Callable[[web.Request, bytes, str], web.Response]
Note = Callable[[web.Request, bytes, int, str], None]  # request, body, HTTP status or 0, kind

_STATUS = {"http_500": 500, "http_429": 429, "html": 502, "ret_code": 200, "ret_code_after": 200}
_HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time


async def go_wrong(
    fault: Fault, request: web.Request, body: bytes, *, process: Process, note: Note, now_ms: int
) -> web.StreamResponse:
    """Answer `request` as `fault` has it."""
    kind = fault.kind
    if kind == "delay":
        await asyncio.sleep(fault.delay_ms / 1000)
        return process(request, body, kind)
    if kind in ("delay_answer", "trickle", "truncated", "cancel_race"):
        response = process(request, body, kind)
        if kind == "delay_answer":
            await asyncio.sleep(fault.delay_ms / 1000)
        elif kind == "trickle":
            return await _trickle(request, response, fault.delay_ms / 1000)
        elif kind == "truncated":
            response.body = _bytes(response)[: len(_bytes(response)) // 2]
        return response
    if kind in ("lost_answer", "ret_code_after") or fault.is_processed:
        process(request, body, kind)
    else:
        note(request, body, fault.status if kind == "http_error" else _STATUS.get(kind, 0), kind)
    if kind in ("lost_answer", "lost_request", "reset"):
        hang_up(request, is_reset=kind == "reset")
        return web.Response()
    return _wrong_answer(fault, now_ms)


def hang_up(request: web.Request, *, is_reset: bool = False) -> None:
    """Close the connection; the answer that the handler still returns goes nowhere."""
    transport = request.transport
    if transport is None:
        return
    if is_reset:
        handle: socket.socket | None = transport.get_extra_info("socket")
        if handle is not None:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    else:
        transport.close()


def _wrong_answer(fault: Fault, now_ms: int) -> web.Response:
    kind = fault.kind
    if kind in ("ret_code", "ret_code_after"):
        answer: dict[str, Any] = {
            "retCode": fault.ret_code,
            "retMsg": fault.ret_msg,
            "result": {},
            "retExtInfo": {},
            "time": now_ms,
        }
        headers = {}
        if fault.ret_code == 10006:
            reset_ms = str(now_ms + 1000)
            headers = {"X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": reset_ms}
        return web.Response(
            text=json.dumps(answer, separators=(",", ":")), headers=headers, content_type="application/json"
        )
    if kind == "html":
        return web.Response(status=502, text=_HTML, content_type="text/html")
    return web.Response(status=fault.status if kind == "http_error" else _STATUS[kind], text="")


async def _trickle(request: web.Request, whole: web.Response, pause_s: float) -> web.StreamResponse:
    """Send an answer one byte at a time, for as long as the client bears it."""
    body = _bytes(whole)
    slow = web.StreamResponse(status=whole.status, headers=whole.headers)
    slow.content_length = len(body)
    with suppress(ConnectionError):
        await slow.prepare(request)
        for place in range(len(body)):
            await slow.write(body[place : place + 1])
            await asyncio.sleep(pause_s)
    return slow


def _bytes(response: web.Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b""

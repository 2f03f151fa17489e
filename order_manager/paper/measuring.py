"""/metrics of the paper exchange, on its own port: what it counted, and what is open now."""

from functools import partial

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from order_manager import metrics
from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import CATEGORIES

PATH = "/metrics"


def add_metrics_route(app: web.Application, exchange: Exchange) -> None:
    app.router.add_get(PATH, partial(_show, exchange), allow_head=False)


async def _show(exchange: Exchange, _: web.Request) -> web.Response:
    accounts = exchange.engine.accounts.values()
    for category in CATEGORIES:
        count = sum(len(account.open_orders[category]) for account in accounts)
        metrics.PAPER_OPEN_ORDERS.labels(category).set(count)
    for name, streams in (("private", exchange.streams), ("public", exchange.public_streams)):
        metrics.PAPER_CONNECTIONS.labels(name).set(len(streams.connections))
    return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

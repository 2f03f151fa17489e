"""What an OpenAPI document cannot say of a request: how its parameters go together."""

from datetime import UTC, datetime
from typing import Any

import schemathesis

from order_manager.services.sync_orders import SyncScope
from order_manager.web.parameters import SYMBOL


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """A span does not end before it begins; a sync's parameters are in the query or in the body."""
    query, body = case.query or {}, case.body if isinstance(case.body, dict) else {}
    begin, end = _moment(query.get("date_from")), _moment(query.get("date_to"))
    if begin and end and begin > end:
        del query["date_to"]
    for name in set(query) & set(body):
        # What breaks its own limit stays: it is there to be refused.
        if str(query[name]) in set(SyncScope) or SYMBOL.fullmatch(str(query[name])):
            del query[name]


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

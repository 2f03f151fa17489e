"""Engine values as Bybit JSON: private objects. Field names and text forms are those of the v5 API."""

from decimal import Decimal
from typing import Any

from order_manager.paper.accounts import MARGIN_COIN, Account, Position
from order_manager.paper.floor import FEE_RATES, Floor
from order_manager.paper.instruments import LINEAR, SPOT
from order_manager.paper.markets import Market
from order_manager.paper.numbers import ZERO, plain, rounded
from order_manager.paper.orders import Fill, Order

Json = dict[str, Any]


def order_to_wire(order: Order, market: Market) -> Json:
    """An order as order/realtime and order/history give it."""
    instrument = market.instrument
    qty_digits, price_digits = instrument.qty_digits, instrument.price_digits
    leaves = order.leaves_qty
    zero_price = f"{ZERO:.{price_digits}f}"
    leaves_value = leaves if order.in_quote else leaves * order.price
    row: Json = {
        "orderId": order.order_id,
        "orderLinkId": order.link_id,
        "parentOrderLinkId": "",
        "blockTradeId": "",
        "symbol": order.symbol,
        "price": f"{order.price:.{price_digits}f}",
        "qty": plain(order.qty) if order.in_quote else f"{order.qty:.{qty_digits}f}",
        "side": order.side,
        "isLeverage": order.is_leverage,
        "positionIdx": order.position_idx,
        "orderStatus": order.status,
        "cancelType": order.cancel_type,
        "rejectReason": order.reject_reason,
        "avgPrice": rounded(order.cum_value / order.cum_qty) if order.cum_qty else "",
        "leavesQty": f"{ZERO if order.in_quote else leaves:.{qty_digits}f}",
        "leavesValue": plain(leaves_value),
        "cumExecQty": f"{order.cum_qty:.{qty_digits}f}",
        "cumExecValue": plain(order.cum_value),
        "cumExecFee": plain(sum(order.fees.values(), ZERO)),
        "cumFeeDetail": {coin: plain(amount) for coin, amount in order.fees.items()},
        "timeInForce": order.time_in_force,
        "orderType": order.order_type,
        "stopOrderType": "",
        "orderIv": "",
        "triggerPrice": zero_price,
        "takeProfit": zero_price,
        "stopLoss": zero_price,
        "tpTriggerBy": "UNKNOWN",
        "slTriggerBy": "UNKNOWN",
        "triggerDirection": 0,
        "triggerBy": "UNKNOWN",
        "ocoTriggerBy": "OcoTriggerByUnknown",
        "reduceOnly": order.reduce_only,
        "closeOnTrigger": order.close_on_trigger,
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "placeType": "",
        "marketUnit": order.market_unit,
        "slippageToleranceType": order.slippage_type,
        "slippageTolerance": order.slippage,
        "rpiTakerAccess": False,
        "rpiMatchedQty": "0",
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
    }
    last_price = f"{order.last_price_on_created:.{price_digits}f}"
    if order.category == SPOT:
        row["basePrice"] = last_price
    else:
        row |= {"lastPriceOnCreated": last_price, "createType": "CreateByUser", "tpslMode": ""}
    return row


def fill_to_wire(fill: Fill, order: Order, market: Market) -> Json:
    """A fill as execution/list gives it."""
    instrument = market.instrument
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderLinkId": order.link_id,
        "side": order.side,
        "orderPrice": f"{order.price:.{instrument.price_digits}f}",
        "orderQty": plain(order.qty) if order.in_quote else f"{order.qty:.{instrument.qty_digits}f}",
        "leavesQty": f"{fill.leaves_qty:.{instrument.qty_digits}f}",
        "createType": "CreateByUser" if order.category == LINEAR else "",
        "orderType": order.order_type,
        "stopOrderType": "",
        "execFee": plain(fill.fee),
        "execFeeV2": "",
        "feeRate": plain(fill.fee_rate),
        "feeCurrency": fill.fee_coin,
        "execId": fill.exec_id,
        "execPrice": f"{fill.price:.{instrument.price_digits}f}",
        "execQty": f"{fill.qty:.{instrument.qty_digits}f}",
        "execType": "Trade",
        "execValue": plain(fill.value),
        "execTime": str(fill.time_ms),
        "isMaker": fill.is_maker,
        "tradeIv": "",
        "markIv": "",
        "markPrice": f"{fill.mark_price:.{instrument.price_digits}f}" if order.category == LINEAR else "",
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": plain(fill.closed_qty) if order.category == LINEAR else "",
        "extraFees": "",
        "seq": fill.seq,
    }


def position_to_wire(leg: Position, account: Account, market: Market, tick: int) -> Json:
    """A position leg as position/list gives it; flat legs too."""
    instrument = market.instrument
    mark = market.price(tick)
    size = abs(leg.size)
    margin = leg.cost / account.leverage_for(leg.symbol)
    # Half a percent of the value: the lowest tier of the usual maintenance tables.
    maintenance = size * mark / 200
    created = str(leg.created_ms) if leg.created_ms else ""
    return {
        "positionIdx": leg.idx,
        "riskId": 1,
        "riskLimitValue": "2000000",
        "symbol": leg.symbol,
        "side": leg.side,
        "size": f"{size:.{instrument.qty_digits}f}" if size else "0",
        "avgPrice": rounded(leg.avg_price),
        "positionValue": plain(leg.cost) if size else "",
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 2 if size else 0,
        "leverage": plain(account.leverage_for(leg.symbol)),
        "breakEvenPrice": _break_even(leg),
        "positionBalance": "0",
        "markPrice": f"{mark:.{instrument.price_digits}f}",
        "liqPrice": "",
        "bustPrice": "",
        "positionIM": rounded(margin),
        "positionIMByMp": rounded(margin),
        "positionMM": rounded(maintenance),
        "positionMMByMp": rounded(maintenance),
        "tpslMode": "Full",
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "0",
        "unrealisedPnl": plain(leg.unrealised_at(mark)) if size else "",
        "curRealisedPnl": plain(leg.session_pnl),
        "cumRealisedPnl": plain(leg.realised_pnl - leg.fees),
        "sessionAvgPrice": "",
        "seq": leg.seq,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "createdTime": created,
        "updatedTime": str(leg.updated_ms) if leg.updated_ms else "",
        "openTime": leg.opened_ms if size else 0,
    }


def _break_even(leg: Position) -> str:
    """Entry price moved by what was realised, with the cost of closing as a taker."""
    if not leg.size:
        return ""
    taker = FEE_RATES[LINEAR][1]
    return rounded((leg.size * leg.avg_price - leg.session_pnl) / (leg.size - abs(leg.size) * taker))


def wallet_to_wire(floor: Floor, account: Account, coins: list[str] | None) -> Json:
    """The account as wallet-balance gives it: `coins`, or all that hold something."""
    floor.value(account)
    initial = account.position_margin + account.order_margin
    wallet = account.coins[MARGIN_COIN].balance
    margin_balance = wallet + account.unrealised
    values = {name: coin.balance * _usd_price(floor, name) for name, coin in account.coins.items()}
    equity = sum(values.values(), ZERO) + account.unrealised
    names = [name for name, coin in account.coins.items() if coin.balance] if coins is None else coins
    rate = rounded(initial / margin_balance) if margin_balance > 0 else "0"
    return {
        "accountType": "UNIFIED",
        "totalEquity": plain(equity),
        "totalWalletBalance": plain(wallet),
        "totalMarginBalance": plain(margin_balance),
        "totalAvailableBalance": rounded(account.available),
        "totalPerpUPL": plain(account.unrealised),
        "totalInitialMargin": rounded(initial),
        "totalInitialMarginByMp": rounded(initial),
        "totalMaintenanceMargin": "0",
        "totalMaintenanceMarginByMp": "0",
        "accountIMRate": rate,
        "accountIMRateByMp": rate,
        "accountMMRate": "0",
        "accountMMRateByMp": "0",
        "accountLTV": "0",
        "coin": [_coin_to_wire(account, name, _usd_price(floor, name)) for name in names],
    }


def _coin_to_wire(account: Account, name: str, usd_price: Decimal) -> Json:
    coin = account.coins[name]
    is_margin = name == MARGIN_COIN
    unrealised = account.unrealised if is_margin else ZERO
    realised = sum((leg.realised_pnl - leg.fees for leg in account.positions.values()), ZERO)
    return {
        "coin": name,
        "equity": plain(coin.balance + unrealised),
        "usdValue": rounded((coin.balance + unrealised) * usd_price),
        "walletBalance": plain(coin.balance),
        "locked": plain(coin.locked),
        "totalOrderIM": rounded(account.order_margin) if is_margin else "0",
        "totalPositionIM": rounded(account.position_margin) if is_margin else "0",
        "totalPositionMM": "0",
        "unrealisedPnl": plain(unrealised),
        "cumRealisedPnl": plain(realised) if is_margin else "0",
        "bonus": "0",
        "borrowAmount": "0",
        "accruedInterest": "0",
        "spotBorrow": "0",
        "spotHedgingQty": "0",
        "availableToWithdraw": "",
        "availableToBorrow": "",
        "marginCollateral": is_margin,
        "collateralSwitch": is_margin,
    }


def _usd_price(floor: Floor, coin: str) -> Decimal:
    if coin == MARGIN_COIN:
        return Decimal(1)
    market = floor.markets.get((SPOT, coin + MARGIN_COIN))
    return market.price(floor.tick) if market is not None else ZERO

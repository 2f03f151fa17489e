"""Private endpoints of the account itself: wallet, settings, fees, the key."""

from datetime import UTC, datetime

from order_manager.paper.accounts import MARGIN_COIN, Account
from order_manager.paper.exchange import Exchange
from order_manager.paper.floor import ACCOUNT, FEE_RATES
from order_manager.paper.instruments import LINEAR, SPOT
from order_manager.paper.market_data import EMPTY_CATEGORIES, Json, instruments_info
from order_manager.paper.numbers import ZERO, floor_to_step, plain
from order_manager.paper.order_entry import Params, read_category, read_market
from order_manager.paper.refusals import ApiRefusal
from order_manager.paper.wire import wallet_to_wire

_MARGIN_MODES = ("REGULAR_MARGIN", "ISOLATED_MARGIN", "PORTFOLIO_MARGIN")


def wallet_balance(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    if params.get("accountType") != "UNIFIED":
        raise ApiRefusal(10001, "params error: accountType must be UNIFIED")
    coins = [coin for coin in str(params.get("coin") or "").split(",") if coin]
    return {"list": [wallet_to_wire(exchange.engine, account, coins or None)]}


def account_info(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    return {
        "unifiedMarginStatus": 5,
        "marginMode": "REGULAR_MARGIN",
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
        "updatedTime": str(account.created_ms),
        "dcpStatus": "OFF",
        "timeWindow": 10,
        "smpGroup": 0,
    }


def set_margin_mode(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """There is cross margin only."""
    mode = params.get("setMarginMode")
    if mode not in _MARGIN_MODES:
        raise ApiRefusal(10001, f"params error: setMarginMode invalid {mode!r}")
    if mode != "REGULAR_MARGIN":
        reason = {"reasonCode": "3400000", "reasonMsg": f"{mode} is not supported by the paper exchange"}
        raise ApiRefusal(3400045, "Set margin mode failed", {"reasons": [reason]})
    return {"reasons": []}


def fee_rate(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    if params.get("category") in EMPTY_CATEGORIES:
        return {"list": []}
    category = read_category({**params, "category": params.get("category") or LINEAR})
    if params.get("symbol"):
        symbols = [read_market(params, category, exchange.engine.markets).instrument.symbol]
    else:
        symbols = [symbol for of_category, symbol in exchange.engine.markets if of_category == category]
    maker, taker = (plain(rate) for rate in FEE_RATES[category])
    rows = [{"symbol": symbol, "takerFeeRate": taker, "makerFeeRate": maker} for symbol in symbols]
    return {"list": rows} if category == LINEAR else {"category": category, "list": rows}


def spot_borrow_check(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """How much of a spot symbol the account can buy or sell; nothing of it borrowed."""
    if params.get("category") != SPOT:
        raise ApiRefusal(10001, f"params error: category invalid {params.get('category')!r}")
    market = read_market(params, SPOT, exchange.engine.markets)
    instrument, price = market.instrument, market.price(exchange.engine.tick)
    side = params.get("side")
    if side not in ("Buy", "Sell"):
        raise ApiRefusal(170117, f"params error: side invalid {side!r}")
    coin = instrument.quote_coin if side == "Buy" else instrument.base_coin
    free = max(ZERO, exchange.engine.free(account, coin))
    qty = floor_to_step(free / price if side == "Buy" else free, instrument.lot_size)
    amount = plain(round(free if side == "Buy" else free * price, 8))
    return {
        "symbol": instrument.symbol,
        "side": side,
        "maxTradeQty": plain(qty),
        "maxTradeAmount": amount,
        "spotMaxTradeQty": plain(qty),
        "spotMaxTradeAmount": amount,
        "borrowCoin": coin,
    }


def instruments(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """All are open to every account."""
    return instruments_info(exchange, {"limit": "200", **params}, now_ms)


def set_limit_price_action(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """Whether a limit price beyond the price limit is moved to it, or refused."""
    category, moves = params.get("category"), params.get("modifyEnable")
    if category not in (LINEAR, SPOT, "inverse"):
        raise ApiRefusal(10001, f"params error: category invalid {category!r}")
    if not isinstance(moves, bool):
        raise ApiRefusal(10001, "params error: modifyEnable must be a boolean")
    if category == SPOT:
        account.moves_spot_price = moves
    else:
        account.moves_linear_price = moves
    exchange.engine.emit(ACCOUNT, now_ms, account)
    return {}


def user_settings(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """True moves the price for spot, but refuses the order for futures."""
    return {
        "lpaSpot": account.moves_spot_price,
        "lpaPerp": not account.moves_linear_price,
        "smsef": False,
        "fmsef": False,
        "deltaEnable": False,
    }


def collateral_info(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """Only the margin coin counts, and nothing can be borrowed."""
    asked = params.get("currency")
    rows = [
        {
            "currency": coin,
            "hourlyBorrowRate": "0",
            "maxBorrowingAmount": "0",
            "freeBorrowingLimit": "0",
            "freeBorrowAmount": "0",
            "borrowAmount": "0",
            "availableToBorrow": "0",
            "otherBorrowAmount": "0",
            "borrowable": False,
            "freeBorrowingAmount": "",
            "borrowUsageRate": "0",
            "marginCollateral": coin == MARGIN_COIN,
            "collateralSwitch": coin == MARGIN_COIN,
            "collateralRatio": "1" if coin == MARGIN_COIN else "0",
        }
        for coin in _coins(exchange)
        if asked in (None, "", coin)
    ]
    return {"list": rows}


def dcp_info(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """Disconnection protection is for institutions, once activated; nobody is one here."""
    return {"dcpInfos": []}


def set_dcp(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    raise ApiRefusal(10005, "Permission denied: DCP is not activated for this account")


def smp_group(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    return {"smpGroup": 0}


def coin_info(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """The coins, each on one chain that takes neither deposits nor withdrawals."""
    asked = params.get("coin")
    rows = [
        {
            "name": coin,
            "coin": coin,
            "remainAmount": "0",
            "chains": [
                {
                    "chain": coin,
                    "chainType": coin,
                    "confirmation": "1",
                    "withdrawFee": "",
                    "depositMin": "0",
                    "withdrawMin": "0",
                    "minAccuracy": "8",
                    "chainDeposit": "0",
                    "chainWithdraw": "0",
                    "withdrawPercentageFee": "0",
                    "contractAddress": "",
                    "safeConfirmNumber": "1",
                }
            ],
        }
        for coin in _coins(exchange)
        if asked in (None, "", coin)
    ]
    return {"rows": rows}


def coins_balance(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """All coins are in the unified account; the funding account is empty."""
    kind = params.get("accountType")
    if kind not in ("UNIFIED", "FUND"):
        raise ApiRefusal(10001, f"params error: accountType invalid {kind!r}")
    names = [coin for coin in str(params.get("coin") or "").split(",") if coin]
    held = account.coins if kind == "UNIFIED" else {}
    if not names:
        names = [name for name, coin in held.items() if coin.balance]
    rows = []
    for name in names:
        coin = held.get(name)
        balance, free = (coin.balance, coin.balance - coin.locked) if coin is not None else (ZERO, ZERO)
        rows.append(
            {
                "coin": name,
                "walletBalance": plain(balance),
                "transferBalance": plain(max(ZERO, free)),
                "bonus": "0",
            }
        )
    return {"accountType": kind, "memberId": str(account.uid), "balance": rows}


def query_api(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    created = datetime.fromtimestamp(account.created_ms / 1000, UTC)
    return {
        "id": str(account.uid),
        "note": "paper",
        "apiKey": account.api_key,
        "readOnly": 0,
        "secret": "",
        "permissions": {
            "ContractTrade": ["Order", "Position"],
            "Spot": ["SpotTrade"],
            "Wallet": ["AccountTransfer"],
            "Options": [],
            "Derivatives": [],
            "Exchange": [],
            "Earn": [],
        },
        "ips": ["*"],
        "type": 1,
        "deadlineDay": 90,
        "expiredAt": created.replace(year=created.year + 10, day=min(created.day, 28)).isoformat(),
        "createdAt": created.isoformat(),
        "unified": 0,
        "uta": 1,
        "userID": account.uid,
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": True,
        "parentUid": "0",
        "kycLevel": "LEVEL_DEFAULT",
        "kycRegion": "",
    }


def _coins(exchange: Exchange) -> list[str]:
    bases = {market.instrument.base_coin: None for market in exchange.engine.markets.values()}
    return [MARGIN_COIN, *bases]

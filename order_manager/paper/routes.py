"""Which path asks for what."""

from order_manager.paper import account_calls, closed_pnl, position_calls, queries, trading, transactions
from order_manager.paper.candles import CANDLE_CALLS
from order_manager.paper.market_data import PUBLIC, PublicCall
from order_manager.paper.market_extras import EXTRA_CALLS
from order_manager.paper.trading import PrivateCall

PUBLIC_CALLS: dict[str, PublicCall] = PUBLIC | CANDLE_CALLS | EXTRA_CALLS

PRIVATE_POST: dict[str, PrivateCall] = {
    "/v5/order/create": trading.create,
    "/v5/order/amend": trading.amend,
    "/v5/order/cancel": trading.cancel,
    "/v5/order/cancel-all": trading.cancel_all,
    "/v5/order/create-batch": trading.create,
    "/v5/order/amend-batch": trading.amend,
    "/v5/order/cancel-batch": trading.cancel,
    "/v5/order/disconnected-cancel-all": account_calls.set_dcp,
    "/v5/position/set-leverage": position_calls.set_leverage,
    "/v5/position/switch-mode": position_calls.switch_mode,
    "/v5/position/switch-isolated": position_calls.not_for_unified,
    "/v5/position/set-tpsl-mode": position_calls.not_for_unified,
    "/v5/position/trading-stop": position_calls.trading_stop,
    "/v5/position/set-auto-add-margin": position_calls.set_auto_add_margin,
    "/v5/position/add-margin": position_calls.add_margin,
    "/v5/account/set-margin-mode": account_calls.set_margin_mode,
    "/v5/account/set-limit-px-action": account_calls.set_limit_price_action,
}
BATCHES = frozenset({"/v5/order/create-batch", "/v5/order/amend-batch", "/v5/order/cancel-batch"})

PRIVATE_GET: dict[str, PrivateCall] = {
    "/v5/order/realtime": queries.realtime,
    "/v5/order/history": queries.history,
    "/v5/order/spot-borrow-check": account_calls.spot_borrow_check,
    "/v5/execution/list": queries.executions,
    "/v5/position/list": queries.positions,
    "/v5/position/closed-pnl": closed_pnl.closed_pnl,
    "/v5/position/symbol-info": position_calls.symbol_info,
    "/v5/account/wallet-balance": account_calls.wallet_balance,
    "/v5/account/info": account_calls.account_info,
    "/v5/account/fee-rate": account_calls.fee_rate,
    "/v5/account/instruments-info": account_calls.instruments,
    "/v5/account/collateral-info": account_calls.collateral_info,
    "/v5/account/user-setting-config": account_calls.user_settings,
    "/v5/account/query-dcp-info": account_calls.dcp_info,
    "/v5/account/smp-group": account_calls.smp_group,
    "/v5/account/transaction-log": transactions.transaction_log,
    "/v5/asset/coin/query-info": account_calls.coin_info,
    "/v5/asset/transfer/query-account-coins-balance": account_calls.coins_balance,
    "/v5/user/query-api": account_calls.query_api,
}

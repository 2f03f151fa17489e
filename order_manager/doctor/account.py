"""The exchange's clock against ours, and what our key may do."""

from datetime import UTC, datetime

from order_manager.bybit.client import BybitClient
from order_manager.bybit.wire_account import KeyInfo
from order_manager.doctor.findings import Finding, ok, problem, warning
from order_manager.errors import AccessDenied, ExchangeError
from order_manager.settings import Settings

EXPIRES_SOON_D = 14


def look_at_clock(settings: Settings, client: BybitClient) -> list[Finding]:
    try:
        skew_ms = client.clock_skew_ms()
    except ExchangeError as error:
        return [problem("clock", f"the exchange's clock could not be read: {error}", "see bybit_api")]
    said = f"ours is {abs(skew_ms)} ms {'ahead of' if skew_ms > 0 else 'behind'} the exchange's"
    mend = "set the machine's clock with NTP"
    # Bybit refuses a request from more than a second in the future, or later than the receive window.
    if skew_ms >= 1000 or skew_ms <= -settings.recv_window_ms:
        return [problem("clock", f"{said}: requests are refused", mend)]
    if skew_ms >= 500 or skew_ms <= -settings.recv_window_ms / 2:
        return [warning("clock", said, mend)]
    return [ok("clock", said)]


def look_at_key(settings: Settings, client: BybitClient, *, now: datetime) -> list[Finding]:
    try:
        info = client.key_info()
    except AccessDenied as error:
        mend = (
            "check BYBIT_API_KEY, BYBIT_API_SECRET and the key's address list on Bybit's page; a key belongs"
        )
        mend += f" to one environment, here {settings.bybit_environment}"
        return [problem("key", f"the exchange refuses it: {error}", mend)]
    except ExchangeError as error:
        return [problem("key", f"it could not be asked about: {error}", "see bybit_api")]
    return judged_key(settings, info, now=now)


def judged_key(settings: Settings, info: KeyInfo, *, now: datetime) -> list[Finding]:
    found = []
    if not info.can_trade:
        why = "it may only read" if info.is_read_only else "it has no right to place orders"
        mend = "give the key the rights to trade orders on Bybit's page"
        judge = warning if settings.enable_dry_run else problem
        found.append(judge("key", why, mend))
    if granted := [name for name in info.permissions.get("Wallet", ()) if "Withdraw" in name]:
        found.append(
            warning(
                "key", f"it may withdraw ({', '.join(granted)})", "take that right away: nobody here needs it"
            )
        )
    if settings.bybit_environment == "mainnet" and info.ips in {(), ("*",)}:
        found.append(
            warning("key", "it works from every address", "bind it to this machine's on Bybit's page")
        )
    found += _expiry(info.expires_at, now)
    if found:
        return found
    until = f"until {info.expires_at}" if info.expires_at else "without end"
    return [ok("key", f"may trade, {until}")]


def _expiry(expires_at: str, now: datetime) -> list[Finding]:
    if not expires_at:
        return []
    mend = "make a new key on Bybit's page, set BYBIT_API_KEY and _SECRET, and restart all processes"
    try:
        moment = datetime.fromisoformat(expires_at)
    except ValueError:
        return [warning("key", f"it ends at {expires_at}, which could not be read", mend)]
    left_d = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds() / 86_400
    if left_d <= 0:
        return [problem("key", f"it ended at {expires_at}", mend)]
    if left_d < EXPIRES_SOON_D:
        return [warning("key", f"it ends in {left_d:.0f} days, at {expires_at}", mend)]
    return []

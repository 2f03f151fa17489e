"""What the measured processes are told: production's settings, and limits that no signal meets."""

from benchmarks.servers import KEY, SECRET, PaperExchange, Servers

NO_LIMITS = {
    "ORDERMANAGER_MAX_EXPOSURE": "1000000000",
    "ORDERMANAGER_MAX_POSITION_SIZE": "1000000000",
    "ORDERMANAGER_MAX_SINGLE_ORDER_SIZE": "1000000",
    "ORDERMANAGER_MAX_POSITION_SIZES": "BTCUSDT=1000000000",
    "ORDERMANAGER_MAX_ORDER_SIZE_RATIO": "1",
}


def house_environment(
    servers: Servers, exchange: PaperExchange, *, broker: str, database: str
) -> dict[str, str]:
    """The environment of every process of ours, for `broker` and `database`."""
    return {
        **servers.broker_environment(broker),
        **servers.postgres.environment(database),
        **NO_LIMITS,
        "BYBIT_ENVIRONMENT": "paper",
        "BYBIT_PAPER_URL": exchange.url,
        "BYBIT_API_KEY": KEY,
        "BYBIT_API_SECRET": SECRET,
        "NO_PROXY": "*",
    }

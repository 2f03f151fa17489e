"""Where each environment lives: a key works only on the one it was made for."""

REST_URLS = {
    "testnet": "https://api-testnet.bybit.com",
    "demo": "https://api-demo.bybit.com",
    "mainnet": "https://api.bybit.com",
}
STREAM_URLS = {
    "testnet": "wss://stream-testnet.bybit.com",
    "demo": "wss://stream-demo.bybit.com",
    "mainnet": "wss://stream.bybit.com",
}


def rest_url(environment: str, *, paper_url: str) -> str:
    """Base address of the REST API; `paper_url` is where our own simulator listens."""
    return paper_url.rstrip("/") if environment == "paper" else REST_URLS[environment]


def private_stream_url(environment: str, *, paper_url: str) -> str:
    """Address of the private WebSocket: orders, executions, positions, wallet."""
    base = _paper_stream(paper_url) if environment == "paper" else STREAM_URLS[environment]
    return f"{base}/v5/private"


def public_stream_url(environment: str, category: str, *, paper_url: str) -> str:
    """Address of the public WebSocket of a category. Demo has none of its own and uses mainnet's."""
    if environment == "paper":
        base = _paper_stream(paper_url)
    else:
        base = STREAM_URLS["mainnet" if environment == "demo" else environment]
    return f"{base}/v5/public/{category}"


def _paper_stream(paper_url: str) -> str:
    return paper_url.rstrip("/").replace("http", "ws", 1)

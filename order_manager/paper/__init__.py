"""The paper exchange: a Bybit v5 simulator over real HTTP and WebSocket, an independent judge of its clients.

Nothing here knows the project's own client or domain. Requests enter in `server`, are understood in
`order_entry`, `trading` and `queries`, and decided in `engine` and `floor`. What they did reaches the private
stream through `feed` (messages), `streams` (who gets them) and `stream_server` (sockets). `control` is for
tests.
"""

from order_manager.paper.exchange import PaperSettings
from order_manager.paper.runner import main, run_paper_exchange, serve

__all__ = ["PaperSettings", "main", "run_paper_exchange", "serve"]

"""A health check for containers: quick to start, as it runs every few seconds beside each process."""

import os
import re
import time
import urllib.error
import urllib.request

TIMEOUT_S = 5.0
LONGEST_TURN_S = 60.0  # of a main loop
LOOPS = ("worker", "beat")  # processes that tell when their loop turns


def ailment(url: str | None = None) -> str | None:
    """What is wrong, or None. Without a `url` the process that serves ORDERMANAGER_METRICS_PORT is asked."""
    if url is None:
        port = os.environ.get("ORDERMANAGER_METRICS_PORT", "0")
        if port == "0":
            return "ORDERMANAGER_METRICS_PORT is not set: there is nobody to ask"
        url = f"http://127.0.0.1:{port}/metrics"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT_S) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, OSError) as error:
        return f"{url}: {error}"
    return _frozen(text, time.time())


def _frozen(text: str, now: float) -> str | None:
    """Whether `text`, if it is metrics of a process with a main loop, says that it has stopped turning."""
    process = re.search(r'^order_manager_build_info{process="(\w+)"', text, re.MULTILINE)
    if process is None or process[1] not in LOOPS:
        return None
    turned = re.search(r"^order_manager_heartbeat_timestamp_seconds{[^}]*} (\S+)$", text, re.MULTILINE)
    if turned is None:
        return f"the {process[1]}'s main loop has not turned yet: is the broker there?"
    age_s = now - float(turned[1])
    return f"the {process[1]}'s main loop stands still for {age_s:.0f} s" if age_s > LONGEST_TURN_S else None

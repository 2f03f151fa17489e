"""Advisory lock classes: the first of PostgreSQL's two lock keys says what the lock is for."""

LANE_LOCK = 4601  # (LANE_LOCK, lane id): the right to act on a symbol
LEASE_LOCK = 4602  # (LEASE_LOCK, lane id): the right to consume a symbol's queue
WORKER_LOCK = 4603  # (WORKER_LOCK, random): one per live symbol worker, to count them
BOUND_LOCK = 4604  # (BOUND_LOCK, lane id), shared: a live worker is bound to this symbol
ARRIVAL_LOCK = 4605  # (ARRIVAL_LOCK, hash of symbol): arrival numbers commit in order
BEAT_LOCK = 4606  # (BEAT_LOCK, 0): one beat at a time

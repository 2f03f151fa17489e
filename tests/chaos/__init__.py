"""Chaos: the real fleet under load, faults, kills and restarts; the exchange's ledger judges."""

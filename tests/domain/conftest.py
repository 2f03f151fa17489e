"""Properties run without a stopwatch: a busy machine is no counter-example."""

from hypothesis import settings

settings.register_profile("domain", deadline=None, max_examples=150)
settings.load_profile("domain")

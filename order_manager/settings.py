"""Settings: read once from the environment and `.env` at start; a bad value names its variable."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from order_manager.errors import SettingsInvalid

DEFAULT_API_KEY = "change-me"

PositiveDecimal = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
Ratio = Annotated[Decimal, Field(gt=0, le=1, allow_inf_nan=False)]
Fraction = Annotated[Decimal, Field(ge=0, le=1, allow_inf_nan=False)]
Percent = Annotated[Decimal, Field(ge=0, le=100, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400 * 30)]


def _sizes(value: Any) -> Any:
    """'BTCUSDT=2,ETHUSDT=30' -> {'BTCUSDT': '2', ...}; a mapping passes through."""
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    if any(not symbol.strip() for symbol, _, _ in pairs):
        raise ValueError("a symbol is missing before its '='; write BTCUSDT=2,ETHUSDT=30")
    return {symbol.strip().upper(): size.strip() for symbol, _, size in pairs}


def _symbols(value: Any) -> Any:
    """'BTCUSDT,ETHUSDT' -> ('BTCUSDT', 'ETHUSDT')."""
    if not isinstance(value, str):
        return value
    return tuple(symbol.strip().upper() for symbol in value.split(",") if symbol.strip())


Sizes = Annotated[Mapping[str, PositiveDecimal], NoDecode, BeforeValidator(_sizes)]
Symbols = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_symbols)]


def _service(name: str) -> AliasChoices:
    """The service settings have two spellings."""
    return AliasChoices(f"ORDERMANAGER_{name}", f"ORDER_MANAGER_{name}")


def _om(name: str) -> AliasChoices:
    return AliasChoices(f"ORDERMANAGER_{name}")


class Settings(BaseSettings):
    """Every setting, with its unit in the description. Names are the environment's."""

    model_config = SettingsConfigDict(
        frozen=True, env_file=".env", extra="ignore", env_ignore_empty=True, populate_by_name=True
    )

    # Service
    port: Port = Field(4600, validation_alias=_service("PORT"), description="port of the REST API")
    api_key: SecretStr = Field(
        SecretStr(DEFAULT_API_KEY),
        validation_alias=_service("API_KEY"),
        description="key of the REST API; several, to change them one after the other: old,new",
    )
    read_api_keys: SecretStr = Field(
        SecretStr(""),
        validation_alias=_om("READ_API_KEYS"),
        description="keys that may read the REST API and change nothing: A,B",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", validation_alias=_service("LOG_LEVEL"), description="least level that is logged"
    )
    service_name: str = Field(
        "order-manager", validation_alias=_service("SERVICE_NAME"), description="name in logs and health"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", validation_alias=_om("LOG_FORMAT"), description="auto: console on a terminal, else json"
    )
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        validation_alias=_om("METRICS_PORT"),
        description="port of this process's /metrics, 0: none; the REST API has its own on its port",
    )
    metrics_host: str = Field(
        "127.0.0.1",
        validation_alias=_om("METRICS_HOST"),
        description="address that it listens on",
    )

    # Bybit
    bybit_api_key: SecretStr = Field(SecretStr(""), validation_alias="BYBIT_API_KEY", description="API key")
    bybit_api_secret: SecretStr = Field(
        SecretStr(""), validation_alias="BYBIT_API_SECRET", description="API secret"
    )
    bybit_environment: Literal["paper", "testnet", "demo", "mainnet"] = Field(
        "paper", validation_alias="BYBIT_ENVIRONMENT", description="which exchange"
    )
    bybit_category: Literal["linear", "spot"] = Field(
        "linear", validation_alias="BYBIT_CATEGORY", description="product family"
    )
    bybit_paper_url: str = Field(
        "http://127.0.0.1:4700",
        validation_alias="BYBIT_PAPER_URL",
        description="address of the paper exchange",
    )
    recv_window_ms: int = Field(
        5000,
        ge=500,
        le=60000,
        validation_alias=_om("RECV_WINDOW_MS"),
        description="ms that a request may be late at the exchange",
    )
    exchange_timeout_s: Seconds = Field(
        10.0, validation_alias=_om("EXCHANGE_TIMEOUT"), description="s to wait for an answer of the exchange"
    )

    # Servers
    postgres_host: str | None = Field(None, validation_alias="POSTGRES_HOST", description="PostgreSQL host")
    postgres_port: Port = Field(5432, validation_alias="POSTGRES_PORT", description="PostgreSQL port")
    postgres_db: str = Field("order_manager", validation_alias="POSTGRES_DB", description="database")
    postgres_user: str = Field("order_manager", validation_alias="POSTGRES_USER", description="user")
    postgres_password: SecretStr = Field(
        SecretStr(""), validation_alias="POSTGRES_PASSWORD", description="password"
    )
    rabbitmq_host: str | None = Field(
        None, validation_alias="RABBITMQ_HOST", description="RabbitMQ host; unset: Redis is the broker"
    )
    rabbitmq_port: Port = Field(5672, validation_alias="RABBITMQ_PORT", description="RabbitMQ port")
    rabbitmq_user: str = Field("guest", validation_alias="RABBITMQ_USER", description="user")
    rabbitmq_password: SecretStr = Field(
        SecretStr("guest"), validation_alias="RABBITMQ_PASSWORD", description="password"
    )
    rabbitmq_vhost: str = Field("/", validation_alias="RABBITMQ_VHOST", description="virtual host")
    redis_host: str | None = Field(None, validation_alias="REDIS_HOST", description="Redis host")
    redis_port: Port = Field(6379, validation_alias="REDIS_PORT", description="Redis port")
    redis_password: SecretStr = Field(
        SecretStr(""), validation_alias="REDIS_PASSWORD", description="password"
    )
    redis_db: int = Field(0, ge=0, validation_alias="REDIS_DB", description="Redis database number")
    ws_gateway_host: str | None = Field(None, validation_alias="WS_GATEWAY_HOST", description="gateway host")
    ws_gateway_port: Port = Field(4400, validation_alias="WS_GATEWAY_PORT", description="gateway port")
    ws_gateway_api_key: SecretStr = Field(
        SecretStr(""), validation_alias="WS_GATEWAY_API_KEY", description="gateway key"
    )
    position_manager_host: str | None = Field(
        None, validation_alias="POSITION_MANAGER_HOST", description="Position Manager host"
    )
    position_manager_port: Port = Field(
        4800, validation_alias="POSITION_MANAGER_PORT", description="Position Manager port"
    )
    position_manager_api_key: SecretStr = Field(
        SecretStr(""), validation_alias="POSITION_MANAGER_API_KEY", description="Position Manager key"
    )
    position_manager_fallback: Literal["refuse", "own"] = Field(
        "refuse",
        validation_alias=_om("POSITION_MANAGER_FALLBACK"),
        description="while it is away, own: our numbers count; refuse: they do only for what reduces",
    )

    # Trading rules
    enable_dry_run: bool = Field(
        False, validation_alias=_om("ENABLE_DRY_RUN"), description="decide and record, never call"
    )
    max_single_order_size: PositiveDecimal = Field(
        Decimal(10000), validation_alias=_om("MAX_SINGLE_ORDER_SIZE"), description="quote currency per order"
    )
    enable_order_splitting: bool = Field(
        False, validation_alias=_om("ENABLE_ORDER_SPLITTING"), description="split what is too large"
    )
    order_execution_timeout_s: Seconds = Field(
        30.0,
        validation_alias=_om("ORDER_EXECUTION_TIMEOUT"),
        description="s after its decision that an order may still be sent",
    )
    max_position_size: PositiveDecimal = Field(
        Decimal("1.0"), validation_alias=_om("MAX_POSITION_SIZE"), description="base currency per symbol"
    )
    max_position_sizes: Sizes = Field(
        default_factory=dict,
        validation_alias=_om("MAX_POSITION_SIZES"),
        description="per symbol: BTCUSDT=2,ETHUSDT=30",
    )
    max_exposure: PositiveDecimal = Field(
        Decimal(50000), validation_alias=_om("MAX_EXPOSURE"), description="quote currency, all symbols"
    )
    max_order_size_ratio: Ratio = Field(
        Decimal("0.1"), validation_alias=_om("MAX_ORDER_SIZE_RATIO"), description="of the available balance"
    )
    market_order_confidence_threshold: Fraction = Field(
        Decimal("0.9"),
        validation_alias=_om("MARKET_ORDER_CONFIDENCE_THRESHOLD"),
        description="confidence from which a market order is sent",
    )
    market_order_spread_threshold: Percent = Field(
        Decimal("0.1"),
        validation_alias=_om("MARKET_ORDER_SPREAD_THRESHOLD"),
        description="percent of price; a smaller spread means a market order",
    )
    limit_order_price_offset_ratio: Fraction = Field(
        Decimal("0.5"),
        validation_alias=_om("LIMIT_ORDER_PRICE_OFFSET_RATIO"),
        description="of the spread, between snapshot price and limit price",
    )
    cancel_opposite_orders_only: bool = Field(
        False,
        validation_alias=_om("CANCEL_OPPOSITE_ORDERS_ONLY"),
        description="before a new order, cancel only the other side",
    )
    cancel_partially_filled: bool = Field(
        False,
        validation_alias=_om("CANCEL_PARTIALLY_FILLED"),
        description="partially filled orders are cancelled too",
    )
    cancel_external_orders: bool = Field(
        False,
        validation_alias=_om("CANCEL_EXTERNAL_ORDERS"),
        description="orders that we did not place are cancelled too",
    )
    enable_order_amending: bool = Field(
        False, validation_alias=_om("ENABLE_ORDER_AMENDING"), description="amend rather than cancel and place"
    )
    enable_balance_check: bool = Field(
        True, validation_alias=_om("ENABLE_BALANCE_CHECK"), description="check the balance before an order"
    )
    enable_order_size_reduction: bool = Field(
        True,
        validation_alias=_om("ENABLE_ORDER_SIZE_REDUCTION"),
        description="shrink an order to the balance rather than reject it",
    )
    allow_short: bool = Field(
        False, validation_alias=_om("ALLOW_SHORT"), description="a sell may open a short position"
    )
    unrealized_loss_warning_threshold: Percent = Field(
        Decimal("10.0"),
        validation_alias=_om("UNREALIZED_LOSS_WARNING_THRESHOLD"),
        description="percent of entry value",
    )

    # Retries towards the exchange
    retry_max_attempts: int = Field(
        3, ge=1, le=20, validation_alias=_om("BYBIT_API_RETRY_MAX_ATTEMPTS"), description="tries per call"
    )
    retry_base_delay_s: Seconds = Field(
        1.0, validation_alias=_om("BYBIT_API_RETRY_BASE_DELAY"), description="s before the second try"
    )
    retry_max_delay_s: Seconds = Field(
        30.0, validation_alias=_om("BYBIT_API_RETRY_MAX_DELAY"), description="s, longest pause between tries"
    )
    retry_multiplier: Annotated[float, Field(ge=1, le=10)] = Field(
        2.0, validation_alias=_om("BYBIT_API_RETRY_MULTIPLIER"), description="growth of the pause"
    )

    # Schedule
    position_snapshot_interval_s: Seconds = Field(
        300, validation_alias=_om("POSITION_SNAPSHOT_INTERVAL"), description="s between position snapshots"
    )
    position_validation_interval_s: Seconds = Field(
        3600, validation_alias=_om("POSITION_VALIDATION_INTERVAL"), description="s between validations"
    )
    cancel_stale_order_timeout_s: Seconds = Field(
        3600,
        validation_alias=_om("CANCEL_STALE_ORDER_TIMEOUT"),
        description="s after which an order is stale",
    )
    instrument_info_refresh_interval_s: Seconds = Field(
        3600, validation_alias=_om("INSTRUMENT_INFO_REFRESH_INTERVAL"), description="s between refreshes"
    )
    reconciliation_interval_s: Seconds = Field(
        60, validation_alias=_om("RECONCILIATION_INTERVAL"), description="s between reconciliations"
    )

    # Lanes and workers
    worker_symbols: Symbols = Field(
        (), validation_alias=_om("WORKER_SYMBOLS"), description="bind this worker to these symbols: A,B"
    )
    lane_batch: int = Field(
        10, ge=1, le=100, validation_alias=_om("LANE_BATCH"), description="signals before other symbols' turn"
    )
    sweep_interval_s: Seconds = Field(
        2.0, validation_alias=_om("SWEEP_INTERVAL"), description="s between looks for forgotten work"
    )
    session_timeout_s: Seconds = Field(
        30.0,
        validation_alias=_om("SESSION_TIMEOUT"),
        description="s after which a frozen worker loses its symbols",
    )
    market_data_max_age_s: Annotated[float, Field(ge=0, le=60)] = Field(
        0.5, validation_alias=_om("MARKET_DATA_MAX_AGE"), description="s that a ticker is good for"
    )
    balance_max_age_s: Seconds = Field(
        5.0, validation_alias=_om("BALANCE_MAX_AGE"), description="s that a balance is good for"
    )
    max_message_bytes: int = Field(
        65536, ge=1024, validation_alias=_om("MAX_MESSAGE_BYTES"), description="bytes of one signal at most"
    )

    @cached_property
    def operating_keys(self) -> tuple[str, ...]:
        """Of the REST API, each as good as the others."""
        return _separate(self.api_key)

    @cached_property
    def reading_keys(self) -> tuple[str, ...]:
        """Of the REST API, for its reads only."""
        return _separate(self.read_api_keys)

    @cached_property
    def postgres_url(self) -> str:
        """SQLAlchemy address of the database."""
        host = _configured(self.postgres_host, "POSTGRES_HOST")
        user, password = (
            quote(self.postgres_user, safe=""),
            quote(self.postgres_password.get_secret_value(), safe=""),
        )
        return f"postgresql+psycopg2://{user}:{password}@{host}:{self.postgres_port}/{self.postgres_db}"

    @cached_property
    def redis_url(self) -> str:
        host = _configured(self.redis_host, "REDIS_HOST")
        password = quote(self.redis_password.get_secret_value(), safe="")
        return f"redis://:{password}@{host}:{self.redis_port}/{self.redis_db}"

    @property
    def broker_is_rabbitmq(self) -> bool:
        return self.rabbitmq_host is not None

    @cached_property
    def broker_url(self) -> str:
        """RabbitMQ where one is configured, else Redis."""
        if not self.broker_is_rabbitmq:
            return self.redis_url
        user = quote(self.rabbitmq_user, safe="")
        password = quote(self.rabbitmq_password.get_secret_value(), safe="")
        vhost = quote(self.rabbitmq_vhost, safe="")
        return f"amqp://{user}:{password}@{self.rabbitmq_host}:{self.rabbitmq_port}/{vhost}"


def setting_names() -> set[str]:
    """The environment's names of all settings, in each spelling."""
    aliases = (field.validation_alias for field in Settings.model_fields.values())
    return {
        str(name)
        for alias in aliases
        for name in (alias.choices if isinstance(alias, AliasChoices) else [alias])
    }


def _separate(keys: SecretStr) -> tuple[str, ...]:
    return tuple(key.strip() for key in keys.get_secret_value().split(",") if key.strip())


def _configured(value: str | None, name: str) -> str:
    if value is None:
        raise SettingsInvalid(
            f"{name} is not set: start everything with `order-manager up`, or set {name} to a running server"
        )
    return value


def load_settings(**overrides: Any) -> Settings:
    """Read the environment. Raises SettingsInvalid that names each bad variable and its limit."""
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        lines = [f"{_variable(detail['loc'])}: {detail['msg']}" for detail in error.errors()]
        raise SettingsInvalid("; ".join(lines)) from None
    _guard_keys(settings)
    _guard_mainnet(settings)
    return settings


def _variable(location: tuple[int | str, ...]) -> str:
    """The environment's name of the setting that pydantic complains about."""
    name = str(location[0])
    field = Settings.model_fields.get(name)
    alias = field.validation_alias if field else None
    base = str(alias.choices[0]) if isinstance(alias, AliasChoices) else str(alias or name)
    return ".".join([base, *(str(part) for part in location[1:])])


def _guard_keys(settings: Settings) -> None:
    """A key is of one kind, and there is one to operate with."""
    if not settings.operating_keys:
        raise SettingsInvalid("ORDERMANAGER_API_KEY: it holds no key, only commas")
    if set(settings.operating_keys) & set(settings.reading_keys):
        raise SettingsInvalid(
            "ORDERMANAGER_READ_API_KEYS: it names a key that ORDERMANAGER_API_KEY names too"
        )


def _guard_mainnet(settings: Settings) -> None:
    """Real money asks for real keys; the other real environments ask for keys too."""
    if settings.bybit_environment != "paper":
        for name, secret in (
            ("BYBIT_API_KEY", settings.bybit_api_key),
            ("BYBIT_API_SECRET", settings.bybit_api_secret),
        ):
            if len(secret.get_secret_value()) < 8:
                raise SettingsInvalid(
                    f"{name}: BYBIT_ENVIRONMENT={settings.bybit_environment} needs a real key"
                )
    if settings.bybit_environment == "mainnet":
        for name, keys in (
            ("ORDERMANAGER_API_KEY", settings.operating_keys),
            ("ORDERMANAGER_READ_API_KEYS", settings.reading_keys),
        ):
            if any(key == DEFAULT_API_KEY or len(key) < 16 for key in keys):
                raise SettingsInvalid(
                    f"{name}: mainnet needs keys of your own, each at least 16 characters long"
                )

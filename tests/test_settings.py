"""Settings: the documented defaults, both spellings, and a bad value that names its variable."""

from decimal import Decimal as D
from pathlib import Path

import pytest

from order_manager.errors import SettingsInvalid
from order_manager.settings import DEFAULT_API_KEY, Settings, load_settings

MAINNET = {
    "BYBIT_ENVIRONMENT": "mainnet",
    "BYBIT_API_KEY": "a-real-api-key",
    "BYBIT_API_SECRET": "a-real-api-secret",
    "ORDERMANAGER_API_KEY": "sixteen-characters-or-more",
}


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of ours is set and no .env lies in the folder."""
    names = [
        choice
        for field in Settings.model_fields.values()
        for choice in getattr(field.validation_alias, "choices", [field.validation_alias])
    ]
    for name in names:
        monkeypatch.delenv(str(name), raising=False)
    monkeypatch.chdir(tmp_path)


def with_env(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def complaint(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        with_env(monkeypatch, **variables)
    return str(caught.value)


DOCUMENTED = {
    "port": 4600,
    "log_level": "INFO",
    "service_name": "order-manager",
    "bybit_environment": "paper",
    "bybit_category": "linear",
    "postgres_host": None,
    "rabbitmq_host": None,
    "redis_host": None,
    "ws_gateway_host": None,
    "ws_gateway_port": 4400,
    "position_manager_host": None,
    "position_manager_port": 4800,
    "enable_dry_run": False,
    "max_single_order_size": D(10000),
    "enable_order_splitting": False,
    "order_execution_timeout_s": 30,
    "max_position_size": D("1.0"),
    "max_exposure": D(50000),
    "max_order_size_ratio": D("0.1"),
    "retry_max_attempts": 3,
    "retry_base_delay_s": 1.0,
    "retry_max_delay_s": 30.0,
    "retry_multiplier": 2.0,
    "market_order_confidence_threshold": D("0.9"),
    "market_order_spread_threshold": D("0.1"),
    "limit_order_price_offset_ratio": D("0.5"),
    "position_snapshot_interval_s": 300,
    "position_validation_interval_s": 3600,
    "cancel_opposite_orders_only": False,
    "cancel_stale_order_timeout_s": 3600,
    "unrealized_loss_warning_threshold": D("10.0"),
    "enable_balance_check": True,
    "enable_order_size_reduction": True,
    "instrument_info_refresh_interval_s": 3600,
    "reconciliation_interval_s": 60,
    "allow_short": False,
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_default_is_as_documented(name):
    value = getattr(load_settings(), name)
    assert value == DOCUMENTED[name]
    assert isinstance(value, D) is isinstance(DOCUMENTED[name], D)


VARIABLES = {
    "ORDERMANAGER_PORT": ("port", "4601", 4601),
    "ORDER_MANAGER_PORT": ("port", "4601", 4601),
    "ORDERMANAGER_LOG_LEVEL": ("log_level", "DEBUG", "DEBUG"),
    "ORDER_MANAGER_LOG_LEVEL": ("log_level", "DEBUG", "DEBUG"),
    "ORDERMANAGER_SERVICE_NAME": ("service_name", "om", "om"),
    "ORDER_MANAGER_SERVICE_NAME": ("service_name", "om", "om"),
    "BYBIT_CATEGORY": ("bybit_category", "spot", "spot"),
    "POSTGRES_HOST": ("postgres_host", "db", "db"),
    "RABBITMQ_HOST": ("rabbitmq_host", "mq", "mq"),
    "REDIS_HOST": ("redis_host", "cache", "cache"),
    "WS_GATEWAY_PORT": ("ws_gateway_port", "1", 1),
    "POSITION_MANAGER_PORT": ("position_manager_port", "2", 2),
    "ORDERMANAGER_ENABLE_DRY_RUN": ("enable_dry_run", "true", True),
    "ORDERMANAGER_MAX_SINGLE_ORDER_SIZE": ("max_single_order_size", "0.1", D("0.1")),
    "ORDERMANAGER_ENABLE_ORDER_SPLITTING": ("enable_order_splitting", "1", True),
    "ORDERMANAGER_ORDER_EXECUTION_TIMEOUT": ("order_execution_timeout_s", "2.5", 2.5),
    "ORDERMANAGER_MAX_POSITION_SIZE": ("max_position_size", "3", D(3)),
    "ORDERMANAGER_MAX_EXPOSURE": ("max_exposure", "1000.10", D("1000.10")),
    "ORDERMANAGER_MAX_ORDER_SIZE_RATIO": ("max_order_size_ratio", "1", D(1)),
    "ORDERMANAGER_BYBIT_API_RETRY_MAX_ATTEMPTS": ("retry_max_attempts", "5", 5),
    "ORDERMANAGER_BYBIT_API_RETRY_BASE_DELAY": ("retry_base_delay_s", "0.5", 0.5),
    "ORDERMANAGER_BYBIT_API_RETRY_MAX_DELAY": ("retry_max_delay_s", "9", 9.0),
    "ORDERMANAGER_BYBIT_API_RETRY_MULTIPLIER": ("retry_multiplier", "3", 3.0),
    "ORDERMANAGER_MARKET_ORDER_CONFIDENCE_THRESHOLD": ("market_order_confidence_threshold", "0.8", D("0.8")),
    "ORDERMANAGER_MARKET_ORDER_SPREAD_THRESHOLD": ("market_order_spread_threshold", "0.2", D("0.2")),
    "ORDERMANAGER_LIMIT_ORDER_PRICE_OFFSET_RATIO": ("limit_order_price_offset_ratio", "0", D(0)),
    "ORDERMANAGER_POSITION_SNAPSHOT_INTERVAL": ("position_snapshot_interval_s", "10", 10),
    "ORDERMANAGER_POSITION_VALIDATION_INTERVAL": ("position_validation_interval_s", "10", 10),
    "ORDERMANAGER_CANCEL_OPPOSITE_ORDERS_ONLY": ("cancel_opposite_orders_only", "yes", True),
    "ORDERMANAGER_CANCEL_STALE_ORDER_TIMEOUT": ("cancel_stale_order_timeout_s", "10", 10),
    "ORDERMANAGER_UNREALIZED_LOSS_WARNING_THRESHOLD": ("unrealized_loss_warning_threshold", "5", D(5)),
    "ORDERMANAGER_ENABLE_BALANCE_CHECK": ("enable_balance_check", "false", False),
    "ORDERMANAGER_ENABLE_ORDER_SIZE_REDUCTION": ("enable_order_size_reduction", "off", False),
    "ORDERMANAGER_INSTRUMENT_INFO_REFRESH_INTERVAL": ("instrument_info_refresh_interval_s", "10", 10),
    "ORDERMANAGER_RECONCILIATION_INTERVAL": ("reconciliation_interval_s", "10", 10),
    "ORDERMANAGER_ALLOW_SHORT": ("allow_short", "true", True),
}


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_sets_its_setting(monkeypatch, variable):
    name, written, value = VARIABLES[variable]
    assert getattr(with_env(monkeypatch, **{variable: written}), name) == value


@pytest.mark.parametrize("spelling", ["ORDERMANAGER_API_KEY", "ORDER_MANAGER_API_KEY"])
def test_the_api_key_has_two_spellings(monkeypatch, spelling):
    assert with_env(monkeypatch, **{spelling: "abc"}).api_key.get_secret_value() == "abc"


def test_the_main_spelling_wins_over_the_alias(monkeypatch):
    assert with_env(monkeypatch, ORDERMANAGER_PORT="1", ORDER_MANAGER_PORT="2").port == 1


def test_an_empty_variable_is_as_good_as_none(monkeypatch):
    settings = with_env(monkeypatch, ORDERMANAGER_PORT="", RABBITMQ_HOST="")
    assert (settings.port, settings.broker_is_rabbitmq) == (4600, False)


def test_a_dotenv_file_is_read_and_the_environment_wins(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("ORDERMANAGER_PORT=1111\nBYBIT_CATEGORY=spot\nSOMEBODY_ELSES=1\n")
    settings = with_env(monkeypatch, ORDERMANAGER_PORT="2222")
    assert (settings.port, settings.bybit_category) == (2222, "spot")


@pytest.mark.parametrize(
    ("variable", "value", "limit"),
    [
        ("ORDERMANAGER_PORT", "0", "1"),
        ("ORDERMANAGER_PORT", "65536", "65535"),
        ("ORDERMANAGER_PORT", "http", "integer"),
        ("ORDERMANAGER_LOG_LEVEL", "LOUD", "'DEBUG'"),
        ("BYBIT_ENVIRONMENT", "real", "'mainnet'"),
        ("BYBIT_CATEGORY", "options", "'linear'"),
        ("ORDERMANAGER_MAX_EXPOSURE", "0", "0"),
        ("ORDERMANAGER_MAX_EXPOSURE", "-1", "0"),
        ("ORDERMANAGER_MAX_EXPOSURE", "NaN", "finite"),
        ("ORDERMANAGER_MAX_EXPOSURE", "Infinity", "finite"),
        ("ORDERMANAGER_MAX_EXPOSURE", "much", "decimal"),
        ("ORDERMANAGER_MAX_ORDER_SIZE_RATIO", "1.1", "1"),
        ("ORDERMANAGER_MARKET_ORDER_CONFIDENCE_THRESHOLD", "2", "1"),
        ("ORDERMANAGER_ENABLE_DRY_RUN", "maybe", "boolean"),
        ("ORDERMANAGER_RECONCILIATION_INTERVAL", "0", "0"),
        ("ORDERMANAGER_BYBIT_API_RETRY_MAX_ATTEMPTS", "0", "1"),
        ("ORDERMANAGER_LANE_BATCH", "1000", "100"),
        ("ORDERMANAGER_RECV_WINDOW_MS", "1", "500"),
    ],
)
def test_a_bad_value_names_its_variable_and_its_limit(monkeypatch, variable, value, limit):
    said = complaint(monkeypatch, **{variable: value})
    assert said.startswith(f"{variable}: ")
    assert limit in said


def test_every_bad_value_is_named_at_once(monkeypatch):
    said = complaint(monkeypatch, ORDERMANAGER_PORT="x", BYBIT_CATEGORY="y", REDIS_PORT="z")
    for name in ("ORDERMANAGER_PORT", "BYBIT_CATEGORY", "REDIS_PORT"):
        assert name in said


def test_sizes_per_symbol_are_a_list_of_pairs(monkeypatch):
    settings = with_env(monkeypatch, ORDERMANAGER_MAX_POSITION_SIZES=" BTCUSDT=2, ethusdt = 30.5 ,")
    assert settings.max_position_sizes == {"BTCUSDT": D(2), "ETHUSDT": D("30.5")}


@pytest.mark.parametrize(
    "rubbish", ["BTCUSDT", "BTCUSDT=", "BTCUSDT=x", "BTCUSDT=0", "BTCUSDT=-1", "=3", "{}"]
)
def test_rubbish_for_sizes_per_symbol_names_the_variable(monkeypatch, rubbish):
    assert "ORDERMANAGER_MAX_POSITION_SIZES" in complaint(
        monkeypatch, ORDERMANAGER_MAX_POSITION_SIZES=rubbish
    )


def test_a_worker_s_symbols_are_a_list(monkeypatch):
    assert with_env(monkeypatch, ORDERMANAGER_WORKER_SYMBOLS="btcusdt, ETHUSDT,").worker_symbols == (
        "BTCUSDT",
        "ETHUSDT",
    )
    assert load_settings(worker_symbols=()).worker_symbols == ()


def test_mainnet_starts_with_real_keys(monkeypatch):
    assert with_env(monkeypatch, **MAINNET).bybit_environment == "mainnet"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BYBIT_API_KEY", ""),
        ("BYBIT_API_KEY", "short"),
        ("BYBIT_API_SECRET", ""),
        ("ORDERMANAGER_API_KEY", ""),
        ("ORDERMANAGER_API_KEY", DEFAULT_API_KEY),
        ("ORDERMANAGER_API_KEY", "fifteen-letters"),
    ],
)
def test_mainnet_refuses_to_start_without_them_and_says_which(monkeypatch, variable, value):
    said = complaint(monkeypatch, **(MAINNET | {variable: value}))
    assert variable in said
    assert "mainnet" in said


@pytest.mark.parametrize("environment", ["testnet", "demo"])
def test_the_other_real_environments_need_keys_of_the_exchange_alone(monkeypatch, environment):
    assert "BYBIT_API_KEY" in complaint(monkeypatch, BYBIT_ENVIRONMENT=environment)
    keys = {"BYBIT_API_KEY": "x" * 8, "BYBIT_API_SECRET": "y" * 8}
    assert with_env(monkeypatch, BYBIT_ENVIRONMENT=environment, **keys).bybit_environment == environment


@pytest.mark.parametrize(
    ("address", "variable"),
    [("postgres_url", "POSTGRES_HOST"), ("redis_url", "REDIS_HOST"), ("broker_url", "REDIS_HOST")],
)
def test_a_server_that_is_not_configured_says_what_to_do(address, variable):
    with pytest.raises(SettingsInvalid, match=f"{variable}.*order-manager up"):
        getattr(load_settings(), address)


def test_addresses_survive_odd_passwords(monkeypatch):
    settings = with_env(
        monkeypatch,
        POSTGRES_HOST="db",
        POSTGRES_PASSWORD="p@ss/w:rd%",
        REDIS_HOST="cache",
        REDIS_PASSWORD="a b#",
        REDIS_DB="2",
        RABBITMQ_HOST="mq",
        RABBITMQ_PASSWORD="?",
    )
    assert settings.postgres_url == (
        "postgresql+psycopg2://order_manager:p%40ss%2Fw%3Ard%25@db:5432/order_manager"
    )
    assert settings.redis_url == "redis://:a%20b%23@cache:6379/2"
    assert settings.broker_url == "amqp://guest:%3F@mq:5672/%2F"


def test_redis_is_the_broker_unless_rabbitmq_is_configured(monkeypatch):
    settings = with_env(monkeypatch, REDIS_HOST="cache")
    assert settings.broker_url == settings.redis_url
    assert not settings.broker_is_rabbitmq


def test_no_secret_shows_in_a_print_of_the_settings(monkeypatch):
    secrets = {
        "ORDERMANAGER_API_KEY": "secret-1-sixteen-chars",
        "BYBIT_API_KEY": "secret-2-xxxx",
        "BYBIT_API_SECRET": "secret-3-xxxx",
        "POSTGRES_PASSWORD": "secret-4",
        "RABBITMQ_PASSWORD": "secret-5",
        "REDIS_PASSWORD": "secret-6",
        "WS_GATEWAY_API_KEY": "secret-7",
        "POSITION_MANAGER_API_KEY": "secret-8",
    }
    settings = with_env(monkeypatch, **secrets)
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert "secret-" not in shown


def test_a_secret_does_not_show_in_a_complaint(monkeypatch):
    said = complaint(monkeypatch, ORDERMANAGER_PORT="x", POSTGRES_PASSWORD="secret-4")
    assert "secret-4" not in said


def test_the_rest_api_has_keys_that_operate_and_keys_that_read(monkeypatch):
    settings = with_env(
        monkeypatch, ORDERMANAGER_API_KEY="old, new,", ORDERMANAGER_READ_API_KEYS=" a ,b,,secret-9"
    )
    assert settings.operating_keys == ("old", "new")
    assert settings.reading_keys == ("a", "b", "secret-9")
    assert "secret-9" not in f"{settings!r} {settings.model_dump_json()}"
    assert with_env(monkeypatch, ORDERMANAGER_READ_API_KEYS="").reading_keys == ()


@pytest.mark.parametrize(
    ("name", "keys", "complaint_about"),
    [
        ("ORDERMANAGER_API_KEY", " , ", "no key"),
        ("ORDERMANAGER_READ_API_KEYS", "a,change-me", "ORDERMANAGER_API_KEY names too"),
    ],
)
def test_keys_that_cannot_be_told_apart_are_refused(monkeypatch, name, keys, complaint_about):
    said = complaint(monkeypatch, **{name: keys})
    assert said.startswith(name)
    assert complaint_about in said


@pytest.mark.parametrize("name", ["ORDERMANAGER_API_KEY", "ORDERMANAGER_READ_API_KEYS"])
@pytest.mark.parametrize("bad", ["fifteen-letters", DEFAULT_API_KEY])
def test_mainnet_looks_at_every_key(monkeypatch, name, bad):
    said = complaint(monkeypatch, **{**MAINNET, name: f"quite-a-long-key-of-our-own,{bad}"})
    assert name in said
    assert bad not in said


def test_settings_cannot_be_changed():
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1

"""What counts as a secret, and what must not."""

from __future__ import annotations

import pytest

from images.secrets import (
    private_key_in,
    secret_options,
    secrets_in,
    sensitive_name,
    sensitive_setting,
    sensitive_value,
    url_with_login,
)

KEY_ID = "AKIA" + "Q3EGRWT7LMNB2XZY"  # in two parts, so that scanners of this repository pass it
SECRET_KEY = "wJalr+" + "Xu7tnFEMI/K7MDENGbPxRfiCYzz0123456789"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx4UbaDzY5xj\n-----END RSA PRIVATE KEY-----"


def words(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize(
    "name",
    words(
        """
        AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN aws_secret_access_key
        AWS_CONTAINER_AUTHORIZATION_TOKEN AIRFLOW__CORE__FERNET_KEY AIRFLOW__WEBSERVER__SECRET_KEY
        AIRFLOW__API__SECRET_KEY AIRFLOW__API_AUTH__JWT_SECRET AIRFLOW__CORE__INTERNAL_API_SECRET_KEY
        AIRFLOW__SMTP__SMTP_PASSWORD AIRFLOW__OAUTH__CLIENT_SECRET AIRFLOW__CELERY__FLOWER_SECRET
        airflow__core__fernet_key AIRFLOW_VAR_SNOWFLAKE_PASSWORD DB_PASSWORD DBPASSWORD PGPASSWD GITHUB_TOKEN
        HF_TOKEN API_KEY OPENAI_APIKEY SSH_PRIVATE_KEY GOOGLE_CREDENTIALS VAULT_SECRET_ID AUTHKEY
        SIGNING_PASSPHRASE DATADOG_AUTH_KEY DB_PASSWORDS
        """
    ),
)
def test_names_of_settings_that_hold_secrets(name: str) -> None:
    assert sensitive_name(name)


@pytest.mark.parametrize(
    "name",
    words(
        """
        AIRFLOW__CORE__FERNET_KEY_CMD AIRFLOW__CORE__FERNET_KEY_SECRET
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET AIRFLOW__API_AUTH__JWT_SECRET_SECRET
        AIRFLOW__API_AUTH__JWT_SECRET_CMD AIRFLOW__SECRETS__BACKEND AIRFLOW__SECRETS__BACKEND_KWARGS
        AIRFLOW__SECRETS__USE_CACHE AIRFLOW__SECRETS__CACHE_TTL_SECONDS AIRFLOW__WORKERS__SECRETS_BACKEND
        AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE AIRFLOW_CONN_AWS_DEFAULT AIRFLOW_VAR_ENVIRONMENT
        AWS_WEB_IDENTITY_TOKEN_FILE AWS_SHARED_CREDENTIALS_FILE AWS_CONTAINER_CREDENTIALS_RELATIVE_URI
        AWS_DEFAULT_REGION GPG_KEY SSH_AUTH_SOCK TOKENIZERS_PARALLELISM MAX_TOKENS LLM_MAX_OUTPUT_TOKENS
        OAUTH_TOKEN_URL DB_SECRET_ARN PASSWORD_MIN_LENGTH TOKEN_TTL KEYBOARD PATH PYTHONPATH HOME MONKEY_PATCH
        PRIMARY_KEY
        """
    ),
)
def test_names_that_only_sound_like_it(name: str) -> None:
    assert not sensitive_name(name)


@pytest.mark.parametrize(
    "value",
    [
        KEY_ID,
        f"AWS_ACCESS_KEY_ID={KEY_ID}",
        f"aws://{KEY_ID}:x@/?region_name=eu-west-1",
        f"aws://?aws_secret_access_key={SECRET_KEY.replace('/', '%2F').replace('+', '%2B')}",
        f'{{"conn_type": "aws", "extra": "{{\\"aws_secret_access_key\\": \\"{SECRET_KEY}\\"}}"}}',
        "postgresql+psycopg2://airflow:hunter2@db:5432/airflow",
        "redis://:hunter2@redis:6379/0",
        "postgresql://airflow:pa$$word@db/airflow",
        "postgresql://airflow:pa:ss@db/airflow",
        '{"conn_type": "postgres", "login": "airflow", "password": "hunter2"}',
        '{"url": "https://vault", "auth_type": "token", "token": "s.1234"}',
        PEM,
        PEM.replace("\n", "\\n"),
    ],
)
def test_values_that_are_secrets_whatever_their_name(value: str) -> None:
    assert sensitive_value(value)
    assert sensitive_setting("HARMLESS", value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "eu-west-1",
        "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "aws://",
        "postgresql://airflow@db:5432/airflow",
        "postgresql://airflow:${DB_PASSWORD}@db/airflow",
        "postgresql://airflow:<password>@db/airflow",
        "http://proxy.example.com:3128",
        "https://example.com:443/a@b",
        "https://key@o1.ingest.sentry.io/2",
        '{"conn_type": "aws", "extra": {"region_name": "eu-west-1"}}',
        '{"password": ""}',
        '{"connections_prefix": "airflow/connections", "token_path": "/run/token"}',
        "-----BEGIN CERTIFICATE-----\nMIIEowIBAAKCAQEAx4UbaDzY5xj\n",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:airflow-x",
        "7A0B24" * 7,  # a fingerprint, a commit
    ],
)
def test_values_that_are_none(value: str) -> None:
    assert not sensitive_value(value)
    assert not sensitive_setting("HARMLESS", value)


@pytest.mark.parametrize("value", ["", "true", "False", "none", "off"])
def test_a_switch_is_no_secret_whatever_its_name(value: str) -> None:
    assert not sensitive_setting("USE_PASSWORD", value)


def test_a_number_may_be_a_password() -> None:
    assert sensitive_setting("DB_PASSWORD", "123456")


def test_example_keys_do_not_hide_real_ones() -> None:
    assert secrets_in(f"AKIAIOSFODNN7EXAMPLE {KEY_ID}".encode())
    assert secrets_in(f'{{"aws_secret_access_key":"{SECRET_KEY}","url":"https://example.com"}}'.encode())


def test_keys_are_not_seen_in_other_text() -> None:
    assert not secrets_in(f"base64 {KEY_ID}abc= x{KEY_ID}".encode())
    assert not secrets_in(b"AKIA is how access key ids start; ASIA too")


def test_a_token_in_an_address_needs_no_user() -> None:
    assert url_with_login("https://ghp_0123456789@github.com/a/b")
    assert not url_with_login("https://github.com/a/b@v1")
    assert not url_with_login("git+ssh://git@github.com/a/b")


def test_public_keys_and_mentions_are_no_private_keys() -> None:
    assert private_key_in(PEM.encode())
    assert not private_key_in(PEM.replace("PRIVATE", "PUBLIC").encode())
    assert not private_key_in(b'if text.startswith("-----BEGIN RSA PRIVATE KEY-----"):')


class TestAirflowCfg:
    def test_options_with_secrets_are_named(self) -> None:
        cfg = f"""
            [DEFAULT]
            fernet_key = a
            [core]
            fernet_key = b
            internal_api_secret_key = {{"x": 1}}
            secret_key = $ecret
            [database]
            sql_alchemy_conn = postgresql://airflow:hunter2@db/airflow
            [api_auth]
            jwt_secret = c
            [smtp]
            smtp_password = 12345
            [logging]
            note = {KEY_ID}
            [secrets]
            backend_kwargs = {{"token": "s.1234"}}
        """.replace("    ", "")
        assert secret_options(cfg) == (
            *("DEFAULT.fernet_key", "core.fernet_key", "core.internal_api_secret_key", "core.secret_key"),
            *(
                "database.sql_alchemy_conn",
                "api_auth.jwt_secret",
                "smtp.smtp_password",
                "logging.note",
                "secrets.backend_kwargs",
            ),
        )

    def test_what_is_usual_in_an_airflow_cfg_is_none(self) -> None:
        cfg = """
            [core]
            fernet_key = $FERNET_KEY
            internal_api_secret_key = ${internal_key}
            fernet_key_cmd = cat /run/secrets/fernet
            [webserver]
            secret_key = {SECRET_KEY}
            [database]
            sql_alchemy_conn_secret = airflow/db
            [secrets]
            backend = airflow.providers.amazon.aws.secrets.secrets_manager.SecretsManagerBackend
            backend_kwargs = {"connections_prefix": "airflow/connections"}
            use_cache = False
            cache_ttl_seconds = 900
            [logging]
            remote_base_log_folder = s3://logs/%(name)s
            secret_mask_adapter = airflow.sdk.SecretMasker
        """.replace("    ", "")
        assert secret_options(cfg) == ()

    @pytest.mark.parametrize("cfg", ["password = hunter2\n", "[core]\nhunter2\n"])
    def test_a_malformed_file_is_refused_without_showing_it(self, cfg: str) -> None:
        with pytest.raises(ValueError, match=r"line \d") as raised:
            secret_options(cfg)
        assert "hunter2" not in str(raised.value)

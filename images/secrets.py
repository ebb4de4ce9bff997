"""What a secret looks like: in a setting's name, in a value, in a file. Pure."""

from __future__ import annotations

import configparser
import re

# AWS access key ids: a prefix by kind (long-term AKIA, temporary ASIA) and 16 characters of base32.
# Source: AWS IAM documentation, "Unique identifiers". Keys of the AWS documentation end in EXAMPLE.
_ACCESS_KEY_ID = re.compile(rb"(?<![A-Za-z0-9/+=])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9/+=])")
_SECRET_ACCESS_KEY = re.compile(
    rb"(?i)aws_?(?:secret_?access_?key|session_?token)\s*[\"']?\s*[=:]\s*[\"']?(?!\S*EXAMPLE)[A-Za-z0-9/+]{40,}"
)
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{20}")
_URL_WITH_PASSWORD = re.compile(r"[a-zA-Z][\w+.-]*://[^/\s:@$]*:[^/\s:@$]+@")

# Names of settings that hold secrets, in any position of an environment variable's or an option's name.
_SENSITIVE_NAME = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|FERNET_KEY|PRIVATE_KEY|ACCESS_KEY|API_?KEY|CREDENTIAL|AUTH_?KEY",
    re.IGNORECASE,
)
# Airflow reads the value itself from a command or a secrets backend: these options hold no secret.
# Source: Airflow documentation, "Setting Configuration Options".
_REFERENCE_NAME = re.compile(r"AIRFLOW__\w+?__(\w+)_(?:CMD|SECRET)", re.IGNORECASE)
_AIRFLOW_SECRET_OPTIONS = frozenset({"jwt_secret", "flower_secret", "client_secret"})
_HARMLESS_NAMES = re.compile(
    r"(_FILE|_PATH|_DIR|_BACKEND|_BACKEND_KWARGS|_TTL|_EXPIRY|_LIFETIME|_SECONDS)$", re.IGNORECASE
)

GENERATED_OPTIONS = ("fernet_key", "secret_key", "jwt_secret")
"""Options of airflow.cfg that Airflow generates when it writes one: shared by everybody who uses the image."""


def url_with_password(text: str) -> bool:
    """Whether the text holds an address such as ``scheme://user:password@host``."""
    return bool(_URL_WITH_PASSWORD.search(text))


def sensitive_name(name: str) -> bool:
    """Whether a variable of this name holds a secret, and not only says where one is."""
    reference = _REFERENCE_NAME.fullmatch(name)
    if reference and not (
        f"{reference[1]}_secret".lower() in _AIRFLOW_SECRET_OPTIONS and name.upper().endswith("_SECRET")
    ):
        return False
    return bool(_SENSITIVE_NAME.search(name)) and not _HARMLESS_NAMES.search(name)


def sensitive_value(value: str) -> bool:
    """Whether a value is itself a secret, whatever its name: an AWS key, a password in an address, a private key."""
    return url_with_password(value) or bool(secrets_in(value.encode()))


def secrets_in(content: bytes) -> tuple[str, ...]:
    """The kinds of secrets that a file's content holds. Never the secrets themselves."""
    found = []
    if any(not match.group().endswith(b"EXAMPLE") for match in _ACCESS_KEY_ID.finditer(content)):
        found.append("AWS access key id")
    if _SECRET_ACCESS_KEY.search(content):
        found.append("AWS secret access key or session token")
    return tuple(found)


def private_key_in(content: bytes) -> bool:
    """Whether a file's content is a private key in PEM form."""
    return bool(_PRIVATE_KEY.search(content))


def secret_options(cfg: str) -> tuple[str, ...]:
    """Options of an airflow.cfg that hold a secret, as ``section.option``.

    :raises ValueError: the text is no configuration file.
    """
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(cfg)
    except configparser.Error as error:
        raise ValueError(" ".join(str(error).split())) from None
    found = []
    for section in parser.sections():
        for option, value in parser.items(section):
            if not value or value.startswith("{"):
                continue  # empty, or a template such as {AIRFLOW_HOME}
            variable = f"AIRFLOW__{section}__{option}"
            generated = option in GENERATED_OPTIONS
            if generated or sensitive_value(value) or (sensitive_name(variable) and not _is_plain(value)):
                found.append(f"{section}.{option}")
    return tuple(found)


def _is_plain(value: str) -> bool:
    """Values that options with telling names have by default: switches, numbers, class names."""
    return bool(re.fullmatch(r"(?i)true|false|none|[\d.]+|[a-z_]+(\.\w+)+", value))

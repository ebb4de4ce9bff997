"""How to recognize secrets: in a setting's name, in a value, in a file. Pure."""

from __future__ import annotations

import configparser
import re

# AWS access key ids: a prefix by kind (long-term AKIA, temporary ASIA) and 16 characters of base32.
# Source: AWS IAM documentation, "Unique identifiers". Keys of the AWS documentation end in EXAMPLE.
_ACCESS_KEY_ID = re.compile(rb"(?<![A-Za-z0-9/+])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9/+=])")
_SECRET_ACCESS_KEY = re.compile(
    rb"(?i)aws_?(?:secret_?access_?key|session_?token)\\?[\"']?\s*[=:]\s*\\?[\"']?"
    rb"(?![A-Za-z0-9/+]*EXAMPLE)(?:[A-Za-z0-9/+]|%2[BF]){40,}"
)
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----(?:\s|\\r|\\n)+[A-Za-z0-9+/]{20}")
# A password that starts with one of $ < { * is a reference or stands for one: ${PASSWORD}, <password>, ***.
_URL_WITH_PASSWORD = re.compile(r"[a-zA-Z][\w+.-]*://[^/\s:@]*:(?![$<{*])[^/\s@]+@")
_URL_WITH_LOGIN = re.compile(r"https?://(?![$<{*])[^/\s:@]+@", re.IGNORECASE)
_PASSWORD_IN_JSON = re.compile(
    r"\"(?:password|passphrase|private_key|token|secret|secret_id)\\?\"\s*:\s*\\?\"[^\"\\$<{*]"
)

# Names of settings that hold secrets, in any position of an environment variable's or an option's name.
_SENSITIVE_NAME = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN(?!IZ)|FERNET_KEY|PRIVATE_KEY|ACCESS_KEY|API_?KEY|CREDENTIAL|AUTH_?KEY",
    re.IGNORECASE,
)
# Airflow reads the value from a command or a secrets backend: these options hold no secret.
# Source: Airflow documentation, "Setting Configuration Options".
_REFERENCE_OPTION = re.compile(r"(\w+)_(?:CMD|SECRET)", re.IGNORECASE)
_AIRFLOW_SECRET_OPTIONS = frozenset({"jwt_secret", "flower_secret", "client_secret"})
# Without the section: by its name, all options of [secrets] would be secret.
_AIRFLOW_OPTION = re.compile(r"AIRFLOW__\w+?__(\w+)", re.IGNORECASE)
# Names that say where a secret is, or that count, limit or switch something.
_HARMLESS_NAMES = re.compile(
    r"(_FILE|_PATH|_DIR|_ARN|_URL|_URI|_ENDPOINT|_BACKEND|_BACKEND_KWARGS|_TTL|_EXPIRY|_LIFETIME|_SECONDS|_LENGTH)$"
    r"|(^|_)(MAX|MIN|NUM)_(\w+_)?TOKENS$",
    re.IGNORECASE,
)
# Airflow replaces $NAME and ${NAME} in values of airflow.cfg. Source: `expand_env_var` in `airflow.configuration`.
# A password may begin with a dollar sign, so without braces only the usual names of variables are references.
_VARIABLE_REFERENCE = re.compile(r"\$([A-Z_][A-Z0-9_]*|\{\w+\})")
# Values of options with such names that are not secrets: switches, and class names in airflow.cfg.
_SWITCH = re.compile(r"(?i)true|false|yes|no|on|off|none")
_ASSIGNMENT = re.compile(
    r"^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_]\w*)[ \t]*=[ \t]*(?P<value>.*?)[ \t\r]*$", re.MULTILINE
)
_CLASS = re.compile(r"[a-z_]+(\.\w+)+\.[A-Z]\w+")

ACCESS_KEY_ID = "AWS access key id"
"""A kind of secret that `secrets_in` names. Alone it gives no access."""

GENERATED_OPTIONS = ("fernet_key", "secret_key", "jwt_secret")
"""Options of airflow.cfg that Airflow generates when it writes one: shared by everybody who uses the image."""


def url_with_password(text: str) -> bool:
    """Return whether the text has a URL such as ``scheme://user:password@host``."""
    return bool(_URL_WITH_PASSWORD.search(text))


def url_with_login(text: str) -> bool:
    """Return whether the text has a URL with a password, or with a token alone, such as ``https://token@host``."""
    return url_with_password(text) or bool(_URL_WITH_LOGIN.search(text))


def sensitive_name(name: str) -> bool:
    """Return whether a variable of this name holds a secret, rather than saying where one is."""
    in_airflow = _AIRFLOW_OPTION.fullmatch(name)
    if in_airflow:
        name = in_airflow[1]
        if _REFERENCE_OPTION.fullmatch(name) and name.lower() not in _AIRFLOW_SECRET_OPTIONS:
            return False
    return bool(_SENSITIVE_NAME.search(name)) and not _HARMLESS_NAMES.search(name)


def sensitive_value(value: str) -> bool:
    """Return whether a value is a secret, whatever its name: an AWS key, a password in a URL, a private key."""
    content = value.encode(errors="surrogateescape")
    return (
        url_with_password(value)
        or bool(_PASSWORD_IN_JSON.search(value))
        or bool(secrets_in(content))
        or private_key_in(content)
    )


def sensitive_setting(name: str, value: str) -> bool:
    """Return whether a variable holds a secret, by its name or by its value."""
    return sensitive_value(value) or (sensitive_name(name) and bool(value) and not _SWITCH.fullmatch(value))


def secrets_in(content: bytes) -> tuple[str, ...]:
    """Return the kinds of secrets in a file's content. Never the secrets themselves."""
    found = []
    # Plain searches first: an image has tens of thousands of files, and these are ten times as fast as the patterns.
    if (b"AKIA" in content or b"ASIA" in content) and any(
        not match.group().endswith(b"EXAMPLE") for match in _ACCESS_KEY_ID.finditer(content)
    ):
        found.append(ACCESS_KEY_ID)
    if b"aws" in content.lower() and _SECRET_ACCESS_KEY.search(content):
        found.append("AWS secret access key or session token")
    return tuple(found)


def private_key_in(content: bytes) -> bool:
    """Return whether a file's content is a private key in PEM form."""
    return b"PRIVATE KEY-----" in content and bool(_PRIVATE_KEY.search(content))


def secret_variables(text: str) -> tuple[str, ...]:
    """Return the names of the variables in a file of settings such as ``.env`` that hold a secret."""
    pairs = (match.group("name", "value") for match in _ASSIGNMENT.finditer(text))
    return tuple(name for name, value in pairs if sensitive_setting(name, value.strip("'\"")))


def secret_options(cfg: str) -> tuple[str, ...]:
    """Return the options of an airflow.cfg that hold a secret, as ``section.option``.

    Raises ValueError, with the lines and not their content, if the text is not a configuration file.
    """
    parser = configparser.RawConfigParser(strict=False, default_section="")
    try:
        parser.read_string(cfg)
    except configparser.MissingSectionHeaderError as error:
        raise ValueError(f"line {error.lineno}: no [section] before it") from None
    except configparser.ParsingError as error:
        raise ValueError(f"line {error.errors[0][0]}: not `option = value`") from None
    return tuple(
        f"{section}.{option}"
        for section in parser.sections()
        for option, value in parser.items(section)
        if _holds_secret(section, option, value)
    )


def _holds_secret(section: str, option: str, value: str) -> bool:
    if not value or re.fullmatch(r"\{+\w+\}+", value) or _VARIABLE_REFERENCE.fullmatch(value):
        return False  # empty, a template such as {FERNET_KEY}, or a reference such as $FERNET_KEY
    if option in GENERATED_OPTIONS:
        return True
    return sensitive_setting(f"AIRFLOW__{section}__{option}", value) and not _CLASS.fullmatch(value)

"""The stack's PostgreSQL in place of a database of Amazon RDS: its name, its user and password, and TLS."""

from __future__ import annotations

from local.aws_services.stack import Stack

# Debian makes a certificate when it installs PostgreSQL.
_CERTIFICATE = "/etc/ssl/certs/ssl-cert-snakeoil.pem"
_KEY = "/etc/ssl/private/ssl-cert-snakeoil.key"


def answer_as(stack: Stack, host: str, database: str, password: str) -> None:
    """Answer on the stack's network by a database's host name, to ``airflow`` with this password, by TLS alone.

    The database is made, empty. Raises ServiceError.
    """
    stack.name_postgres(host)
    refuse = f"sed -i '1i hostnossl all all all reject' {stack.query('postgres', 'SHOW hba_file')[0]['hba_file']}"
    stack.query("postgres", "COPY (SELECT 1) TO PROGRAM :'refuse'", refuse=refuse)
    for setting, value in (("ssl_cert_file", _CERTIFICATE), ("ssl_key_file", _KEY), ("ssl", "on")):
        stack.query("postgres", f"ALTER SYSTEM SET {setting} = '{value}'")
    stack.query("postgres", "SELECT pg_reload_conf()")
    stack.query("postgres", "ALTER ROLE airflow PASSWORD :'password'", password=password)
    stack.create_database(database)

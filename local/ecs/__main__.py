"""Serve the ECS API until Ctrl-C: ``python -m local.ecs [--port N] [--runner module:factory] [--strict]``.

The only line on stdout is the server's address. To use it, set ``--endpoint-url`` or ``AWS_ENDPOINT_URL_ECS`` and any
credentials; to configure it, use ``local.ecs.control`` or POST requests to ``/_control/COMMAND``. Exit codes are those
of ``local/ecs/errors.py``, 130 for Ctrl-C, and 143 for SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from local.ecs.errors import EmulatorError, UnavailableError

# How often to look whether the parent still lives.
_PARENT_SECONDS = 1.0
_STRICT_VARIABLE = "LOCAL_ECS_STRICT"


async def _serve(options: argparse.Namespace) -> int:
    """Serve until a signal, or until the parent is gone; return the exit code."""
    try:
        from local.ecs.api import Server
        from local.ecs.runner import BLOCKING_CALLS
        from local.ecs.world import World
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"The ECS API needs the package {error.name!r}, which {sys.executable} does not have. "
            "Set LOCAL_ECS_PYTHON to a Python with requirements/dev.txt"
        ) from error
    module, _, factory = options.runner.partition(":")
    runner = getattr(importlib.import_module(module), factory)()
    parent = os.getppid()  # before the address is told: the parent may end as soon as it knows it
    loop = asyncio.get_running_loop()
    # By default there are few on a machine of few processors, and tasks would wait for each other's calls.
    loop.set_default_executor(ThreadPoolExecutor(BLOCKING_CALLS))
    end: asyncio.Future[int] = loop.create_future()

    def stop(code: int) -> None:
        if not end.done():
            end.set_result(code)

    loop.add_signal_handler(signal.SIGTERM, stop, 128 + signal.SIGTERM)
    if options.with_parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which may need the API to clean up
    else:
        loop.add_signal_handler(signal.SIGINT, stop, 128 + signal.SIGINT)
    await runner.open()
    server = Server(World(runner, options.region, options.account, options.strict))
    watch: asyncio.Task[None] | None = None
    try:
        address = await server.start(options.host, options.port)
        print(address, flush=True)
        if options.with_parent:
            # Nobody reads further output: what a runner prints goes where errors go.
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            loop.add_reader(sys.stdin.fileno(), _when_closed, stop)
            watch = asyncio.create_task(_when_orphaned(parent, stop))
        else:
            print(f"The ECS API listens on {address}; Ctrl-C ends it", file=sys.stderr, flush=True)
        return await end
    finally:
        if watch is not None:
            watch.cancel()
        await server.close()


def _when_closed(stop: Callable[[int], None]) -> None:
    """Stop when stdin closes: it is a pipe from the parent."""
    if not os.read(sys.stdin.fileno(), 4096):
        stop(0)


async def _when_orphaned(parent: int, stop: Callable[[int], None]) -> None:
    """Stop when the parent has ended: the pipe stays open in a fork of the parent."""
    while os.getppid() == parent:
        await asyncio.sleep(_PARENT_SECONDS)
    stop(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.ecs", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--runner", default="local.ecs.simulated:SimulatedRunner", metavar="MODULE:FACTORY")
    parser.add_argument("--region", default="us-east-1", help="of the ARNs (default: %(default)s)")
    parser.add_argument("--account", default="123456789012", help="of the ARNs (default: %(default)s)")
    parser.add_argument(
        "--strict",
        action="store_true",
        default=os.environ.get(_STRICT_VARIABLE, "") not in ("", "0"),
        help=f"refuse what AWS's documentation says is refused (default: ${_STRICT_VARIABLE})",
    )
    parser.add_argument("--with-parent", action="store_true", help="end when stdin closes or the parent is gone")
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(_serve(options))
    except EmulatorError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())

"""The protocol: AWS JSON 1.1 over HTTP, the faults and quotas of each call, and the server."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
import traceback
from collections.abc import Mapping
from itertools import count
from typing import Any

from aiohttp import web

from local.ecs.answers import is_throttling, refusal
from local.ecs.endpoints import command
from local.ecs.errors import ApiError, EmulatorError, UnavailableError
from local.ecs.faults import Call, Effects
from local.ecs.model import request_check
from local.ecs.operations import OPERATIONS, failures
from local.ecs.world import Calls, World

_CONTROL = "/_control/"
_TARGET = "X-Amz-Target"
_PREFIX = "AmazonEC2ContainerServiceV20141113."
_TYPE = "application/x-amz-json-1.1"
_HTML = "<html><body><b>Http/1.1 {0.message}</b></body></html>"
# Longer than any test: a connection that the server closes while the client uses it would be a fault nobody asked for.
_KEEP_ALIVE_SECONDS = 3600.0
# How long calls that hang may hold up the server's end.
_SHUTDOWN_SECONDS = 0.1


class LostError(Exception):
    """The connection has to be closed without an answer."""


class Server:
    """Serves one world."""

    def __init__(self, world: World) -> None:
        """Nothing listens yet."""
        self._world = world
        self._numbers = count(1)
        self._runner = web.ServerRunner(
            web.Server(self._answer, keepalive_timeout=_KEEP_ALIVE_SECONDS, access_log=None),
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )

    async def start(self, host: str, port: int) -> str:
        """Listen and return the address. Raises UnavailableError when the port is taken."""
        for operation in OPERATIONS:
            request_check(operation)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=1024)
        try:
            await site.start()
        except OverflowError:
            raise EmulatorError(f"There is no port {port}") from None
        except OSError as error:
            raise UnavailableError(f"The ECS API cannot listen on port {port}: {error.strerror}") from error
        # Thousands of tasks live long: the collector need not look at them again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        bound = self._runner.addresses[0][1]
        return f"http://{host}:{bound}"

    async def close(self) -> None:
        """Stop listening and end everything."""
        await self._world.close()
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith(_CONTROL):
            return await self._control(request)
        body = await request.content.read()  # without the limit of request.read()
        headers = {"x-amzn-RequestId": f"00000000-0000-4000-8000-{next(self._numbers):012x}", "Content-Type": _TYPE}
        try:
            text = await self._call(request.headers.get(_TARGET, ""), body)
            return web.Response(body=text.encode(), headers=headers)
        except LostError:
            if request.transport is not None:
                request.transport.close()
            return web.Response(status=500)  # goes nowhere
        except ApiError as error:
            if error.plain:
                return web.Response(status=error.status, text=_HTML.format(error), content_type="text/html")
            headers["x-amzn-ErrorType"] = error.code
            return web.Response(status=error.status, body=json.dumps(error.document()).encode(), headers=headers)

    async def _call(self, target: str, body: bytes) -> str:
        """Process an API call and count it. Raises ApiError or LostError."""
        operation = target[len(_PREFIX) :] if target.startswith(_PREFIX) else ""
        if operation not in OPERATIONS:
            raise ApiError("UnknownOperationException", f"The operation {target or 'of an empty target'} is not here.")
        calls = self._world.calls.setdefault(operation, Calls())
        calls.times.append(time.time())
        calls.in_flight += 1
        calls.max_in_flight = max(calls.max_in_flight, calls.in_flight)
        try:
            return await self._processed(operation, body)
        except (ApiError, LostError) as error:
            calls.errors += 1
            if isinstance(error, ApiError) and is_throttling(error):
                calls.throttled += 1
            raise
        except Exception:  # noqa: BLE001 - a defect of the emulator is answered as a server error
            calls.errors += 1
            traceback.print_exc(file=sys.stderr)
            raise ApiError("ServerException", "The local ECS API failed; its own output says why.", 500) from None
        finally:
            calls.in_flight -= 1

    async def _processed(self, operation: str, body: bytes) -> str:
        """Apply quotas and faults to a call, check it, and carry it out."""
        world = self._world
        bucket = world.account.settings.buckets.get(operation)
        if bucket is not None and not bucket.take():
            raise refusal("throttle")
        params = _parsed(body)
        effects = world.faults.effects(Call(operation, params, world.account))
        if effects is None:
            request_check(operation)(params, "")
            return world.operations.carry_out(operation, params, len(body))
        return await _with_faults(world, operation, params, len(body), effects)

    async def _control(self, request: web.BaseRequest) -> web.Response:
        """Carry out a command of ``local.ecs.control``."""
        body = await request.content.read()
        try:
            arguments = json.loads(body) if body else {}
            result = await command(self._world, request.path[len(_CONTROL) :], arguments)
        except (EmulatorError, TypeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"result": result})


def _parsed(body: bytes) -> dict[str, Any]:
    """Return the request's JSON object."""
    try:
        params = json.loads(body) if body else {}
    except ValueError:
        raise ApiError("SerializationException", "The request is not JSON") from None
    if not isinstance(params, dict):
        raise ApiError("SerializationException", "The request must be a structure")
    return params


async def _with_faults(world: World, operation: str, params: Mapping[str, Any], size: int, effects: Effects) -> str:
    """Carry out a call that faults affect, and return its answer."""
    operations = world.operations
    if effects.delay:
        await asyncio.sleep(effects.delay)
        if world.operations is not operations:  # reset meanwhile: whoever waits for this is gone
            raise LostError
    answer, refused = "", None
    if effects.carried_out or not effects.decided:
        try:
            request_check(operation)(params, "")
            answer = operations.carry_out(operation, params, size, effects.hidden)
        except ApiError as error:
            refused = error
    if effects.late:
        await asyncio.sleep(effects.late)
    if effects.lost:
        raise LostError
    if effects.error is not None:
        raise effects.error
    if refused is not None:
        raise refused
    if effects.failures is not None:
        cluster = str(params.get("cluster") or "default").rpartition("/")[2]
        failed = failures(world.account, cluster, effects.failures, params.get("count", 1))
        return json.dumps({"tasks": [], "failures": failed})
    if effects.empty:
        return "{}" if operation == "ListTasks" else '{"tasks": [], "failures": []}'
    return answer

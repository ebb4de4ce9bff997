"""A statsd server: what the schedulers say of themselves, such as their open slots and how long their loops take."""

from __future__ import annotations

import socket
import threading
from collections import defaultdict
from types import TracebackType


class Metrics:
    """Listens until the block ends. Names begin with the sender's prefix."""

    port: int

    def __init__(self) -> None:
        """Nothing was heard yet."""
        self.gauges: dict[str, float] = {}
        """The last value of each."""
        self.timings: defaultdict[str, list[float]] = defaultdict(list)
        """Milliseconds."""
        self.counts: defaultdict[str, float] = defaultdict(float)

    def __enter__(self) -> Metrics:
        """Listen on a free port."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while True:
            packet = self._socket.recv(65536)
            if not packet:
                return
            for line in packet.decode(errors="replace").splitlines():
                name, _, rest = line.partition(":")
                text, _, kind = rest.partition("|")
                try:
                    value = float(text)
                except ValueError:
                    continue
                if kind.startswith("g"):
                    self.gauges[name] = value
                elif kind.startswith("ms"):
                    self.timings[name].append(value)
                else:
                    self.counts[name] += value

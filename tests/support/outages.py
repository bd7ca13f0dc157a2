"""A way to a server of this machine that can be cut, and joined again on the same port."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Way:
    """A port that leads to another one; while it `is_cut`, what connects is hung up on and counted."""

    port: int
    target: int
    is_cut: bool = False
    refused: int = 0
    _open: list[socket.socket] = field(default_factory=list)
    _carriers: list[threading.Thread] = field(default_factory=list)

    def cut(self) -> None:
        """From now on; what is under way ends as well."""
        self.is_cut = True
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        self.is_cut = False

    def lead(self, caller: socket.socket) -> None:
        if self.is_cut:
            self.refused += 1
            caller.close()
            return
        server = socket.create_connection(("127.0.0.1", self.target))
        self._open += [caller, server]
        for source, sink in ((caller, server), (server, caller)):
            carrier = threading.Thread(target=_carry, args=(source, sink), daemon=True)
            carrier.start()
            self._carriers.append(carrier)

    def end(self) -> None:
        self.cut()
        for carrier in self._carriers:
            carrier.join()
        for end in self._open:
            end.close()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(1 << 16):
            sink.sendall(block)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def way_to(target: int) -> Iterator[Way]:
    """A way to the server on port `target`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        way = Way(listener.getsockname()[1], target)

        def listen() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                way.lead(caller)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield way
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            way.end()

"""A way to a server of this machine that can be cut, and joined again on the same port."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Way:
    """A port that leads to another one; while it `is_cut`, what connects is hung up on and counted.

    lose_answers: that many answers are still to be lost: the server's work is done, and the caller's
        connection ends in place of its answer, with a reset where it is `abrupt`.
    """

    port: int
    target: int
    is_cut: bool = False
    refused: int = 0
    lose_answers: int = 0
    abrupt: bool = True
    lost: int = 0
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
        for work in (self._carry_questions, self._carry_answers):
            carrier = threading.Thread(target=work, args=(caller, server), daemon=True)
            carrier.start()
            self._carriers.append(carrier)

    def _carry_questions(self, caller: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while block := caller.recv(1 << 16):
                server.sendall(block)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _carry_answers(self, caller: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while block := server.recv(1 << 16):
                if self.lose_answers:
                    self._lose(caller)
                    break
                caller.sendall(block)
        with suppress(OSError):
            caller.shutdown(socket.SHUT_WR)

    def _lose(self, caller: socket.socket) -> None:
        self.lose_answers -= 1
        self.lost += 1
        caller.shutdown(socket.SHUT_RD)
        if self.abrupt:
            # Without lingering a close is a reset.
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            caller.close()

    def end(self) -> None:
        self.cut()
        for carrier in self._carriers:
            carrier.join()
        for end in self._open:
            end.close()


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

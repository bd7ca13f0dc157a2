"""A proxy in front of a service, which strips a prefix or keeps it."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from patience import PATIENCE_SECONDS

_OF_A_HOP = ("connection", "transfer-encoding", "content-length")


@contextmanager
def proxied(address: str, prefix: str, strips: bool) -> Iterator[str]:
    """The address of the proxy, with the prefix; what is not under it is 404 from the proxy itself."""
    service = urlsplit(address)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.partition("?")[0]
            if path != prefix and not path.startswith(f"{prefix}/"):
                self.send_error(404, "not behind this proxy")
                return
            asked = self.path
            if strips:
                asked = asked.removeprefix(prefix) or "/"
            upstream = http.client.HTTPConnection(service.netloc, timeout=PATIENCE_SECONDS)
            headers = {name: value for name, value in self.headers.items() if name != "Connection"}
            upstream.request(self.command, asked, body or None, headers)
            answer = upstream.getresponse()
            text = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _OF_A_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            upstream.close()

        do_GET = do_POST = answer

        def log_message(self, *parts: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

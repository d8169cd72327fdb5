"""Services of our own for the tests of the remote providers: strict about the protocol, and rough on request.

A stub is a threading HTTP server on loopback. Before a request reaches its handler the schedule of faults may answer
503, or drop the connection before the effect, or after it: that is what retries and lost answers are tested with.
Every fault is decided by the number of the request, so a run can be repeated.
"""
import http.server
import socket
import socketserver
import threading
import time
import urllib.parse


class Faults:
    """unavailable=7: every 7th request is answered 503. lost=11: every 11th has its effect, and no answer. dropped=13:
    every 13th is not looked at and gets no answer. short=17: every 17th answer ends before its end. delay: seconds."""

    def __init__(self, unavailable=0, lost=0, dropped=0, short=0, delay=0.0):
        self.unavailable, self.lost, self.dropped, self.short, self.delay = unavailable, lost, dropped, short, delay
        self.down = False  # answers nothing but 503
        self.paused = threading.Event()
        self.paused.set()  # clear() to hold every answer
        self.count = 0
        self.done = {"unavailable": 0, "lost": 0, "dropped": 0, "short": 0}
        self.lock = threading.Lock()

    def next(self):
        with self.lock:
            self.count += 1
            for kind in ("dropped", "unavailable", "lost", "short"):
                every = getattr(self, kind)
                if every and self.count % every == 0:
                    self.done[kind] += 1
                    return kind
        return "unavailable" if self.down else ""


class Answer(Exception):
    """What a handler answers with; raised or returned."""

    def __init__(self, status, body=b"", headers=None):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, dict(headers or {})


class Request:
    def __init__(self, handler):
        self.method = handler.command
        self.target = handler.path
        path, _, query = handler.path.partition("?")
        self.raw_path, self.raw_query = path, query
        self.path = urllib.parse.unquote(path)
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.headers = {k.lower(): v for k, v in handler.headers.items()}
        self.body = handler.rfile.read(int(self.headers.get("content-length", 0)))


class Stub:
    """A service: subclasses say `answer(request) -> Answer`. `with Stub() as s: s.url`."""

    def __init__(self, faults=None, tls=None):
        self.faults = faults or Faults()
        self.requests = []  # (method, target, status), for tests that look
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def setup(self):
                super().setup()
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def log_message(self, *_):
                pass

            def drop(self):
                self.close_connection = True
                self.request.shutdown(socket.SHUT_RDWR)

            def handle_one(self):
                fault = stub.faults.next()
                request = Request(self)
                if stub.faults.delay:
                    time.sleep(stub.faults.delay)
                stub.faults.paused.wait()
                if fault == "dropped":
                    return self.drop()
                if fault == "unavailable":
                    answer = Answer(503, b"busy", {"Retry-After": "0"})
                else:
                    try:
                        answer = stub.answer(request)
                    except Answer as refusal:
                        answer = refusal
                stub.requests.append((request.method, request.target, answer.status))
                if fault == "lost":
                    return self.drop()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                body = b"" if request.method == "HEAD" else answer.body
                if answer.status != 204:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if fault == "short" and body:
                    self.wfile.write(body[:len(body) // 2])
                    return self.drop()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = do_MERGE = handle_one

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass  # a peer that went away

        self.server = Server(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"
        self.port = self.server.server_address[1]
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.faults.paused.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

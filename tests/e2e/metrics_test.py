#!/usr/bin/python3
"""Numbers over HTTP, from a real server: all of them, only them, also when the core does not answer."""
import base64
import contextlib
import gzip
import http.client
import os
import pathlib
import re
import signal
import socket
import time
import unittest
import urllib.parse

import rig

TABLES = ("src/seam/metrics.def", "src/host/metrics/host_metrics.def")
ROW = re.compile(r'HF_METRIC\(\s*(k\w+),\s*"(\w+)",\s*((?:"(?:[^"\\]|\\.)*"|HF_VERSION|\s)+),\s*k(Counter|Gauge),', re.S)
HELP = re.compile(r"# HELP (holdfast_[a-z_]+) (\S.*)")
TYPE = re.compile(r"# TYPE (holdfast_[a-z_]+) (counter|gauge)")
SAMPLE = re.compile(r'((holdfast_[a-z_]+)(?:\{[a-z_]+="[a-z0-9_.]+"\})?) ([0-9]+(?:\.[0-9]{9})?)')
SCRAPE_S = 10  # how long scrapers wait by default
GROW = ('holdfast_handshakes_total{result="ok"}', 'holdfast_peer_bytes_total{direction="in"}',
        'holdfast_peer_bytes_total{direction="out"}', 'holdfast_channel_messages_total{direction="in"}',
        'holdfast_channel_messages_total{direction="out"}', "holdfast_host_storage_requests_total",
        "holdfast_host_cpu_seconds_total")
MARKERS = {"table": "markertable-Kj38fh", "key": "markerkey-Qp57dk", "value": "markervalue-Zr91ms",
           "client": "markerclient-Vb20xt", "passphrase": rig.PASSPHRASE}


def declared():
    """{series: type} of the two tables, read from their text."""
    series = {}
    for table in TABLES:
        text = "\n".join(l for l in (rig.SOURCE / table).read_text().splitlines() if not l.startswith("//"))
        rows = ROW.findall(text)
        assert len(rows) == text.count("HF_METRIC("), table
        for _, name, label, kind in rows:
            label = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', label.replace("HF_VERSION", '"VERSION"'))).replace('\\"', '"')
            series[f"{name}{{{label}}}" if label else name] = kind.lower()
    return series


def read_back(text):
    """{series: number}, {name: type}; raises at anything that the format does not allow."""
    values, types, helped = {}, {}, set()
    assert text.endswith("\n"), "the last line does not end"
    for line in text.splitlines():
        if m := HELP.fullmatch(line):
            assert m[1] not in helped, f"HELP twice: {line}"
            helped.add(m[1])
        elif m := TYPE.fullmatch(line):
            assert m[1] in helped and m[1] not in types, line
            types[m[1]] = m[2]
        else:
            m = SAMPLE.fullmatch(line)
            assert m, f"not of the format: {line!r}"
            assert m[2] == list(types)[-1], f"below another's TYPE: {line}"
            assert m[1] not in values, f"twice: {line}"
            values[m[1]] = float(m[3])
    return values, types


def child_named(parent, name):
    """The one child of `parent` whose program has that name, or None."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, _, rest = stat.read_text().partition(" (")
            comm, _, fields = rest.rpartition(") ")
            if comm == name and int(fields.split()[1]) == parent:
                return int(pid)
    return None


class Metrics(rig.TestCase):
    def get(self, d, path, method="GET", headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", d.port("metrics"), timeout=SCRAPE_S)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def scrape(self, d):
        status, headers, body = self.get(d, "/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"), headers)
        return read_back(body.decode("ascii"))

    def eventually(self, what, condition):
        end = time.monotonic() + rig.DEADLINE_S
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.02)

    def test_every_metric_of_the_tables_is_there_once_with_help_and_type_and_none_else(self):
        d = self.deployment().start()
        values, types = self.scrape(d)
        version = rig.run("--version").stdout.decode().split()[-1]
        expected = {s.replace("VERSION", version): kind for s, kind in declared().items()}
        self.assertEqual(set(values), set(expected))
        self.assertEqual({s: types[s.partition("{")[0]] for s in values}, expected)
        self.assertEqual(values["holdfast_core_up"], 1)
        self.assertGreater(values["holdfast_host_resident_bytes"], 1 << 20)
        self.assertEqual(self.get(d, "/healthz")[::2], (200, b"ok\n"))
        d.stop()
        self.assertFalse((d.directory / "temp/server-metrics.port").exists())

    def test_counters_grow_with_the_work_and_never_shrink(self):
        d = self.deployment().start()
        self.ok(d.kv("table", "create", "t"))
        before, types = self.scrape(d)
        for i in range(3):
            self.ok(d.kv("put", "t", f"k{i}", "v" * 10_000))
        after, _ = self.scrape(d)
        for name in GROW:
            self.assertGreater(after[name], before[name], name)
        self.assertGreater(after['holdfast_peer_bytes_total{direction="in"}'],
                           before['holdfast_peer_bytes_total{direction="in"}'] + 30_000)
        for name, value in before.items():
            if types[name.partition("{")[0]] == "counter":
                self.assertGreaterEqual(after[name], value, name)
        self.assertEqual(after["holdfast_host_storage_errors_total"], 0)
        self.eventually("no client is connected any more", lambda: self.scrape(d)[0]["holdfast_host_connections"] == 0)
        d.stop()

    def test_no_name_and_no_content_is_ever_in_it(self):
        d = self.deployment().start()
        m = MARKERS
        self.ok(d.kv("table", "create", m["table"]))
        self.ok(d.kv("put", m["table"], m["key"], m["value"]))
        self.ok(d.kv("get", m["table"], m["key"]))
        self.ok(d.admin("client", "add", m["client"], "--out", self.root / "out"))
        self.ok(d.admin("save-state"))
        self.assertEqual(d.kv("get", m["table"] + "x", m["key"]).returncode, 1)
        # What a peer of this port says does not come back either.
        asked = "markerrequest-Tw44pd"
        pages = [self.get(d, "/metrics")[2], self.get(d, f"/metrics?{asked}", headers={"User-Agent": asked})[2],
                 self.get(d, f"/{asked}")[2], self.get(d, "/healthz")[2]]
        self.assertIn(b"holdfast_core_up 1", pages[0])
        store = re.search(r"StoreId: '?([0-9a-fA-F]{32})", d.client_yaml.read_text())[1]
        for text in [*m.values(), asked, store, store.lower(), str(self.root), "admin"]:
            plain = text.encode()
            for form in (plain, plain.hex().encode(), base64.b64encode(plain)[:-4], urllib.parse.quote(text).encode()):
                for page in pages:
                    self.assertNotIn(form, page)
        d.stop()

    def test_a_core_that_hangs_is_reported_within_the_time_of_a_scrape(self):
        d = self.deployment().start()
        core = child_named(d.process.pid, "holdfast-core")
        if core is None:
            self.skipTest("this server has no holdfast-core process to stop")
        os.kill(core, signal.SIGSTOP)
        try:
            begin = time.monotonic()
            values, _ = self.scrape(d)
            self.assertLess(time.monotonic() - begin, SCRAPE_S / 2)
            self.assertEqual(values["holdfast_core_up"], 0)
            self.assertNotIn("holdfast_connections", values, "a number that nobody knows")
            self.assertIn("holdfast_host_connections", values)
            self.assertEqual(self.get(d, "/healthz")[0], 503)
        finally:
            os.kill(core, signal.SIGCONT)
        self.eventually("the core is back", lambda: self.scrape(d)[0]["holdfast_core_up"] == 1)
        self.assertEqual(self.get(d, "/healthz")[0], 200)
        d.stop()

    def test_what_the_port_does_not_do(self):
        d = self.deployment().start()
        for path in ("/", "/metrics/", "/server.yaml", "/../server.yaml", "/client/admin.pem"):
            self.assertEqual(self.get(d, path)[0], 404, path)
        for method in ("POST", "PUT", "DELETE", "HEAD"):
            self.assertEqual(self.get(d, "/metrics", method)[0], 405, method)
        status, headers, body = self.get(d, "/metrics", headers={"Accept-Encoding": "gzip"})
        self.assertEqual((status, headers["Content-Encoding"]), (200, "gzip"))
        read_back(gzip.decompress(body).decode("ascii"))
        with socket.create_connection(("127.0.0.1", d.port("metrics")), SCRAPE_S) as s:
            with contextlib.suppress(OSError):  # it hangs up while we still send
                s.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 1_000_000)
            with contextlib.suppress(OSError):
                self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 431"))
        self.assertEqual(self.get(d, "/healthz")[0], 200)
        d.stop()

    def test_peers_that_hang_hold_up_neither_the_store_nor_its_stop(self):
        d = self.deployment().start()
        with contextlib.ExitStack() as stack:
            for _ in range(8):
                s = stack.enter_context(socket.create_connection(("127.0.0.1", d.port("metrics")), SCRAPE_S))
                s.sendall(b"GET /metr")
            self.ok(d.kv("table", "create", "t"))
            self.ok(d.kv("put", "t", "k", "v"))
            begin = time.monotonic()
            d.stop()
            self.assertLess(time.monotonic() - begin, 4.5, "it waited for a peer")

    def test_two_deployments_serve_side_by_side_as_they_were_made(self):
        first, second = self.deployment("a").start(), self.deployment("b").start()
        self.assertNotEqual(first.port("metrics"), second.port("metrics"))
        for d in (first, second):
            self.assertEqual(self.scrape(d)[0]["holdfast_core_up"], 1)
        first.stop()
        self.assertEqual(self.scrape(second)[0]["holdfast_core_up"], 1)
        second.stop()

    def write_metrics_section(self, d, section):
        text = d.server_yaml.read_text()
        changed = re.sub(r"^Metrics:\n(?:  .*\n)+", section, text, flags=re.M)
        self.assertNotEqual(changed, text)
        d.server_yaml.write_text(changed)

    def test_without_the_section_there_is_no_listener(self):
        d = self.deployment()
        self.write_metrics_section(d, "")
        d.start()
        self.assertFalse((d.directory / "temp/server-metrics.port").exists())
        self.assertNotIn("metrics on", d.log())
        d.stop()

    def test_a_port_in_use_is_an_error_before_anybody_is_told_that_it_serves(self):
        d = self.deployment()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.write_metrics_section(d, f"Metrics: {{Address: 127.0.0.1, Port: {port}}}\n")
            d.spawn()
            self.assertEqual(d.process.wait(rig.DEADLINE_S), 1)
        self.assertIn(f"metrics on 127.0.0.1:{port}", d.log())
        self.assertFalse((d.directory / "temp/server-user.port").exists())
        d.start()  # nothing of it is left
        self.assertEqual(d.port("metrics"), port)
        d.stop()


class TheReader(unittest.TestCase):
    """The checks above must be able to fail."""

    def test_refuses_what_the_format_does_not_allow(self):
        head = "# HELP holdfast_a_total h\n# TYPE holdfast_a_total counter\n"
        read_back(head + "holdfast_a_total 1\n")
        for bad in (head + "holdfast_a_total 1", head + "holdfast_a_total 1\nholdfast_a_total 1\n", head + head,
                    head + "holdfast_b 1\n", "# TYPE holdfast_a_total counter\n", head + "holdfast_a_total -1\n",
                    head + 'holdfast_a_total{k="Client"} 1\n', head + "holdfast_a_total 1.5\n", head + "\n"):
            with self.assertRaises(AssertionError, msg=bad):
                read_back(bad)

    def test_reads_both_tables(self):
        self.assertIn('holdfast_refused_total{what="waits"}', declared())
        self.assertIn('holdfast_build_info{version="VERSION"}', declared())


if __name__ == "__main__":
    rig.main()

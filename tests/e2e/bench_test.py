"""bench server: every figure has its line and its peers, and nothing is left behind, however it ends."""
import json
import os
import pathlib
import signal
import subprocess
import time

import rig

# As little of everything as still is a measurement.
SHRUNK = ["--quick", "--seconds", "0.1", "--rows", "300", "--stream-mib", "3"]
FIELDS = {"case": str, "unit": str, "ours": float, "peers": dict, "ratio": dict, "durability": str, "rows": int,
          "value_bytes": int, "threads": int, "commit": str}
BOTH = {"etcd", "redis"}
PEERS = {"get_o1": BOTH, "get_unary_o1": BOTH, "get_o64": BOTH, "put_o1": BOTH, "put_unary_o1": BOTH, "put_o64": BOTH,
         "handshake": {"openssl"}, "stream_in": BOTH, "sandbox_cost.get_unary_o1": {"in-process"},
         "sandbox_cost.get_o64": {"in-process"}, "sandbox_cost.put_o64": {"in-process"},
         "sandbox_cost.stream_in": {"in-process"}}
LESS_IS_BETTER = {"us"}


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def folder(pid):
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


class BenchServer(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.data = self.root / "data"
        self.data.mkdir()

    def servers(self):
        """Command lines of the processes that were told of our directory or work in it, and of what they started."""
        found, parents = {}, {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state == "Z":
                continue
            parents[int(entry.name)] = int(parent)
            line = command_line(entry.name)
            if str(self.data) in line + folder(entry.name) and "bench server" not in line:
                found[int(entry.name)] = line
        for pid, parent in parents.items():
            if parent in found:
                found.setdefault(pid, command_line(pid))
        return found

    def wait_until(self, what, condition):
        end = time.monotonic() + rig.DEADLINE_S
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.02)

    def bench(self, *arguments, env=None):
        return rig.run("bench", "server", "--dir", self.data, *SHRUNK, *arguments, env=env, timeout=180)

    def nothing_left(self):
        self.assertEqual(self.servers(), {})
        self.assertEqual(list(self.data.iterdir()), [])

    def check_line(self, line):
        for field, kind in FIELDS.items():
            self.assertIn(field, line)
            self.assertIsInstance(line[field], (int, float) if kind is float else kind, f"{field} of {line}")
        self.assertGreater(line["ours"], 0, line)
        self.assertEqual(set(line["ratio"]), set(line["peers"]), line)
        for name, value in line["peers"].items():
            self.assertGreater(value, 0, line)
            better = value / line["ours"] if line["unit"] in LESS_IS_BETTER else line["ours"] / value
            self.assertAlmostEqual(line["ratio"][name] / better, 1, delta=0.01)
        self.assertGreater(line["server_cores"]["ours"], 0, line)
        self.assertGreater(line["client_cores"]["ours"], 0, line)

    def test_every_figure_stands_beside_its_peers(self):
        result = self.bench("--peers", "--json")
        lines = [json.loads(l) for l in self.ok(result).splitlines()]
        for line in lines:
            self.check_line(line)
            self.assertEqual(set(line["peers"]), PEERS[line["case"]], line)
        self.assertEqual([l["case"] for l in lines], list(PEERS))
        for line in lines:
            if line["case"].startswith(("put", "get")):
                self.assertGreater(line["p99_us"]["ours"], 0)
                self.assertGreaterEqual(line["p99_us"]["etcd"], line["p50_us"]["etcd"])
                self.assertGreaterEqual(line["p99_us"]["redis"], line["p50_us"]["redis"])
        self.nothing_left()

    def test_alone_it_needs_no_other_program(self):
        env = rig.environment() | {"PATH": str(self.root)}
        lines = [json.loads(l) for l in self.ok(self.bench("--json", "--case", "put_o64", env=env)).splitlines()]
        self.assertEqual([l["case"] for l in lines], ["put_o64"])
        self.check_line(lines[0])
        self.assertEqual(lines[0]["peers"], {})
        self.nothing_left()

    def test_a_peer_that_is_not_installed_is_named_with_its_package(self):
        path = self.root / "path"
        path.mkdir()
        env = rig.environment() | {"PATH": str(path)}
        self.refused(self.bench("--peers", env=env), 1, "no program etcd ", "etcd-server")
        (path / "etcd").write_text("#!/bin/sh\n")
        (path / "etcd").chmod(0o755)
        self.refused(self.bench("--peers", env=env), 1, "no program redis-server ", "package redis-server")
        self.nothing_left()

    def test_a_peer_that_does_not_start_ends_the_run_with_what_it_said(self):
        path = self.root / "path"
        path.mkdir()
        (path / "etcd").write_text("#!/bin/sh\necho the disk is upside down\nexit 3\n")
        (path / "etcd").chmod(0o755)
        env = rig.environment() | {"PATH": f"{path}:{os.environ['PATH']}"}
        self.refused(self.bench("--peers", "--case", "get_o1", env=env), 1, "the disk is upside down")
        self.nothing_left()

    def start(self):
        """A run that would take long, once all its servers are there."""
        process = subprocess.Popen(
            [str(rig.binary), "bench", "server", "--dir", str(self.data), "--peers", "--seconds", "60", "--rows", "300"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=rig.environment(),
            start_new_session=True)
        self.addCleanup(process.kill)
        seen = []
        def all_there():
            self.assertIsNone(process.poll(), "it ended by itself")
            seen[:] = self.servers().values()
            return all(any(name in line for line in seen) for name in ("holdfast serve", "etcd --name", "redis-server "))
        self.wait_until("the servers run", all_there)
        return process

    def test_ctrl_c_ends_every_server_and_removes_the_data(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start()
            process.send_signal(number)
            out, said = process.communicate(timeout=rig.DEADLINE_S)
            self.assertEqual(process.returncode, 1, said)
            self.assertEqual(said, b"holdfast: bench: interrupted\n")
            self.nothing_left()

    def test_servers_do_not_outlive_a_run_that_is_killed(self):
        process = self.start()
        process.kill()
        process.communicate(timeout=rig.DEADLINE_S)
        self.wait_until("the servers are gone", lambda: not self.servers())

    def test_fewer_than_three_repetitions_are_no_figure(self):
        self.refused(rig.run("bench", "server", "--repeat", "2"), 2, "--repeat")


if __name__ == "__main__":
    rig.main()

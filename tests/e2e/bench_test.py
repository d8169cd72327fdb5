"""bench: every figure has its line and its peers, and nothing is left behind, however it ends."""
import json
import os
import pathlib
import shutil
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
LESS_IS_BETTER = {"us", "ms"}
LSM = {"leveldb", "rocksdb"}
ENGINES = LSM | {"lmdb", "sqlite"}
ENGINE_PEERS = {"bulk_load": ENGINES, "put_batch1000": ENGINES, "put_t64": ENGINES, "put_t1": ENGINES,
                "get_leaf_miss": LSM, "get_cached": ENGINES, "scan": ENGINES, "verify": {"one_core_hashing"},
                "open_after_crash": ENGINES}


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


class BenchCase(rig.TestCase):
    """A run in a directory of its own, and what it may have left there."""

    def setUp(self):
        super().setUp()
        self.data = self.root / "data"
        self.data.mkdir()

    def processes(self, but):
        """Command lines of the processes that were told of our directory or work in it, and of what they started; but
        for those that hold these words."""
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
            if str(self.data) in line + folder(entry.name) and but not in line:
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

    def spawn(self, *arguments):
        process = subprocess.Popen(
            [str(rig.binary), "bench", *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=rig.environment(), start_new_session=True)
        self.addCleanup(process.kill)
        return process

    def ends_when_told(self, process, number):
        process.send_signal(number)
        out, said = process.communicate(timeout=rig.DEADLINE_S)
        self.assertEqual(process.returncode, 1, said)
        self.assertEqual(said.splitlines()[-1], b"holdfast: bench: interrupted")

    def check_figure(self, line):
        for field, kind in FIELDS.items():
            self.assertIn(field, line)
            self.assertIsInstance(line[field], (int, float) if kind is float else kind, f"{field} of {line}")
        self.assertGreater(line["ours"], 0, line)
        self.assertEqual(set(line["ratio"]), set(line["peers"]), line)
        for name, value in line["peers"].items():
            self.assertGreater(value, 0, line)
            better = value / line["ours"] if line["unit"] in LESS_IS_BETTER else line["ours"] / value
            self.assertAlmostEqual(line["ratio"][name] / better, 1, delta=0.01)


class BenchEngine(BenchCase):
    def bench(self, *arguments, directory=None):
        return rig.run("bench", "engine", "--dir", directory or self.data, *arguments, timeout=180)

    def lines(self, *arguments):
        return [json.loads(l) for l in self.ok(self.bench("--json", *arguments)).splitlines()]

    def nothing_left(self):
        self.assertEqual(self.processes(but="bench engine "), {})
        self.assertEqual(list(self.data.iterdir()), [])

    def test_every_case_stands_beside_the_other_engines(self):
        lines = self.lines("--quick", "--peers")
        self.assertEqual([l["case"] for l in lines], list(ENGINE_PEERS))
        for line in lines:
            self.check_figure(line)
            self.assertEqual(set(line["peers"]), ENGINE_PEERS[line["case"]], line)
            self.assertEqual(set(line.get("versions", {})), ENGINE_PEERS[line["case"]] & ENGINES, line)
            if LSM <= set(line["peers"]):
                self.assertEqual(line["ratio_better_lsm"], min(line["ratio"][name] for name in LSM), line)
            if line["case"].startswith("put"):
                for system in ENGINES | {"ours"}:
                    self.assertGreater(line["cpu_us_per_put"][system], 0, line)
                    self.assertGreaterEqual(line["p99_us"][system], line["p50_us"][system], line)
                    self.assertGreaterEqual(line["max_us"][system], line["p99_us"][system], line)
        batches = lines[1]
        for system in ENGINES | {"ours"}:
            self.assertGreater(batches["written_bytes_per_put"][system], 100, "less than what was put")
            self.assertLessEqual(batches["per_s_debt_paid"][system], batches["per_s_to_last_answer"][system] * 1.001)
        self.nothing_left()

    def test_alone_it_takes_one_size_after_the_other(self):
        lines = self.lines("--quick", "--rows", "10000,12000", "--case", "scan")
        self.assertEqual([(l["case"], l["rows"], l["peers"]) for l in lines], [("scan", 10000, {}), ("scan", 12000, {})])
        self.nothing_left()

    def test_ctrl_c_removes_the_stores(self):
        process = self.spawn("engine", "--dir", self.data, "--peers", "--rows", "1000000")
        self.wait_until("a store is there", lambda: list(self.data.glob("*/ours/*")))
        self.ends_when_told(process, signal.SIGINT)
        self.nothing_left()

    def test_a_writer_that_is_to_crash_does_not_outlive_the_run(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            process = self.spawn("engine", "--dir", self.data, "--quick", "--case", "open_after_crash", "--repeat", "99")
            self.wait_until("the writer runs", lambda: self.processes(but="bench engine "))
            if number == signal.SIGKILL:
                process.kill()
                process.communicate(timeout=rig.DEADLINE_S)
                self.wait_until("the writer is gone", lambda: not self.processes(but="bench engine "))
            else:
                self.ends_when_told(process, number)
                self.nothing_left()

    def test_too_small_a_disk_is_told_before_anything_is_written(self):
        small = pathlib.Path("/dev/shm")
        if not small.is_dir() or shutil.disk_usage(small).free > 150e9:
            self.skipTest("no small file system at hand")
        before = set(small.iterdir())
        self.refused(self.bench("--peers", "--rows", "100000000", directory=small), 1, "GB of disk", "--dir")
        self.assertEqual({p for p in small.iterdir() if p.name.startswith("holdfast-bench")} - before, set())

    def test_odd_sizes_and_cases_are_wrong_usage(self):
        for odd in (["--rows", "5"], ["--rows", "10000,x"], ["--case", "teleport"], ["--repeat", "2"]):
            self.refused(self.bench(*odd), 2, odd[0])


class BenchServer(BenchCase):
    def servers(self):
        return self.processes(but="bench server")

    def bench(self, *arguments, env=None):
        return rig.run("bench", "server", "--dir", self.data, *SHRUNK, *arguments, env=env, timeout=180)

    def nothing_left(self):
        self.assertEqual(self.servers(), {})
        self.assertEqual(list(self.data.iterdir()), [])

    def check_line(self, line):
        self.check_figure(line)
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
        process = self.spawn("server", "--dir", self.data, "--peers", "--seconds", "60", "--rows", "300")
        seen = []
        def all_there():
            self.assertIsNone(process.poll(), "it ended by itself")
            seen[:] = self.servers().values()
            return all(any(name in line for line in seen) for name in ("holdfast serve", "etcd --name", "redis-server "))
        self.wait_until("the servers run", all_there)
        return process

    def test_ctrl_c_ends_every_server_and_removes_the_data(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self.ends_when_told(self.start(), number)
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

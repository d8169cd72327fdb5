"""Many tags over many rows, dropped in random order while rows are written and the server is killed: nothing that is
live is lost, the space is that of a fresh load, the recount is exact.

    HF_ROWS=10000000 python3 tests/crash/tags_at_scale_test.py --binary build/release/bin/holdfast

Prints what space there was, and how long single durable puts took while garbage was collected and while not.
"""
import array
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import rig  # noqa: E402

ROWS = int(os.environ.get("HF_ROWS", "60000"))
TAGS, KILLS = 20, 6
TIMEOUT_S = 60 + ROWS // 2_000


def key(i):
    return f"{i * 0x9E3779B97F4A7C15 % 2**64:016x}"  # an odd factor: each once, in no order


def value(i, version):
    return f"{i:012d}.{version:05d}." + f"{(i * 0x2545F4914F6CDD1D + version * 0x9E3779B1) % 2**64:016x}" * 5


class TagsAtScale(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.random = random.Random(20)
        self.versions = array.array("H", bytes(2 * ROWS))
        self.d = self.deployment()
        self.changes = self.root / "changes.tsv"

    def tell(self, text):
        print(f"  {time.monotonic() - self.begin:7.1f} s  {text}", flush=True)

    def command(self, *arguments, d=None):
        r = rig.run(arguments[0], "-c", (d or self.d).server_yaml, *arguments[1:], timeout=TIMEOUT_S)
        self.ok(r)
        return r.stdout.decode()

    def write(self, rows):
        """A file with these rows as they are now."""
        with open(self.changes, "w", encoding="ascii") as f:
            f.writelines(f"{key(i)}\t{value(i, self.versions[i])}\n" for i in rows)

    def change(self, count):
        rows = self.random.sample(range(ROWS), count)
        for i in rows:
            self.versions[i] += 1
        self.write(rows)

    def load(self, d=None):
        self.ok(rig.run("kv", "-c", (d or self.d).client_yaml, "load", "t", self.changes, timeout=TIMEOUT_S))

    def load_and_kill(self):
        """Somewhere in the load the server dies; the same rows are loaded again afterwards."""
        load = subprocess.Popen([str(rig.binary), "kv", "-c", str(self.d.client_yaml), "load", "t", str(self.changes)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=rig.environment())
        try:
            load.wait(self.random.uniform(0.05, 0.5 + ROWS / 2_000_000))
        except subprocess.TimeoutExpired:
            pass
        self.d.kill()
        load.wait(TIMEOUT_S)
        self.d.start()
        self.load()

    def puts(self, stop, took):
        import grpc_client  # its stubs are made when it is imported
        stub = grpc_client.kv_grpc.KvStub(grpc_client.open_channel(self.d))
        number = 0
        while not stop.is_set():
            number += 1
            begin = time.monotonic()
            stub.Put(grpc_client.kv.PutRequest(table="probe", key=b"%06d" % (number % 1000), value=b"x" * 100), timeout=60)
            took.append((time.monotonic() - begin) * 1000)
            time.sleep(0.002)

    def probed(self, what, work):
        stop, took = threading.Event(), []
        prober = threading.Thread(target=self.puts, args=(stop, took))
        prober.start()
        try:
            begin = time.monotonic()
            work()
            seconds = time.monotonic() - begin
        finally:
            stop.set()
            prober.join()
        took.sort()
        self.assertGreater(len(took), 10)
        self.tell(f"{what}: {seconds:.1f} s; {len(took)} durable puts meanwhile, ms: median {statistics.median(took):.2f}, "
                  f"99 % {took[len(took) * 99 // 100]:.2f}, longest {took[-1]:.2f}")

    def segment_bytes(self, d):
        return sum(p.stat().st_size for p in (d.store / "segments").iterdir())

    def settle(self, d):
        for _ in range(4):
            self.command("gc", d=d)
            self.ok(d.admin("save-state"))

    def expect_rows(self):
        out = self.root / "dump.tsv"
        dumped = rig.run("kv", "-c", self.d.client_yaml, "dump", "t", "--out", out, timeout=TIMEOUT_S)
        self.assertEqual(dumped.returncode, 0, dumped.stderr)
        seen = 0
        with open(out, encoding="ascii") as f:
            for line in f:
                k, v = line.rstrip("\n").split("\t")
                i = int(v[:12])
                if k != key(i) or v != value(i, self.versions[i]):
                    self.fail(f"row {i}, version {self.versions[i]}: {line!r}")
                seen += 1
        out.unlink()
        self.assertEqual(seen, ROWS)

    def test_tags_are_dropped_under_writes_and_kills(self):
        self.begin = time.monotonic()
        print(flush=True)
        self.d.start()
        for table in ("t", "probe"):
            self.ok(self.d.kv("table", "create", table))
        self.write(range(ROWS))
        self.load()
        self.tell(f"{ROWS:,} rows loaded")
        names = []
        for t in range(TAGS):
            self.change(ROWS // 20)
            self.load()
            names.append(f"tag-{t}")
            self.command("tag", "create", names[-1])
        self.tell(f"{TAGS} tags, {ROWS // 20:,} rows changed before each: {self.segment_bytes(self.d) / 1e6:,.0f} MB of segments")
        self.random.shuffle(names)
        for n, name in enumerate(names):
            self.command("tag", "drop", name)
            self.change(ROWS // 100)
            if n % (TAGS // KILLS) == 0:
                self.load_and_kill()
            else:
                self.load()
        self.tell(f"dropped in random order, {ROWS // 100:,} rows changed after each, {len(range(0, TAGS, TAGS // KILLS))} kills")
        self.probed("gc", lambda: self.settle(self.d))
        self.probed("two seconds without", lambda: time.sleep(2))
        self.expect_rows()
        self.tell("every row is there as it was last written")
        self.settle(self.d)
        self.d.stop()
        ours = self.segment_bytes(self.d)
        r = self.d.verify()
        self.assertEqual(r.returncode, 0, (r.stdout + r.stderr).decode())
        self.tell(r.stdout.decode().splitlines()[0])
        fresh = self.deployment("fresh").start()
        self.ok(fresh.kv("table", "create", "t"))
        self.write(range(ROWS))
        self.load(fresh)
        self.settle(fresh)
        fresh.stop()
        theirs = self.segment_bytes(fresh)
        self.tell(f"segments {ours / 1e6:,.1f} MB, of a fresh load {theirs / 1e6:,.1f} MB: {ours / theirs:.3f}")
        self.assertLessEqual(ours, theirs * 1.10)
        shutil.rmtree(fresh.directory)


if __name__ == "__main__":
    rig.main()

#!/usr/bin/python3
"""A disk that is really full (a small tmpfs): the server stops acknowledging, stays readable, goes on by itself when space
returns, and has lost nothing that it acknowledged (rule I1). Its reserve lets it be left by deleting rows, too.

Not covered: quotas (EDQUOT), and file systems that run out of something else than blocks.
"""
import hashlib
import json
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import mount_namespace  # noqa: E402
import rig  # noqa: E402
from grpc_client import FULL, code_of, grpc, kv, kv_grpc, open_channel  # noqa: E402

DISK_BYTES = 224 << 20       # journal files are preallocated: two, what is saved from them, and the ballast
LEFT_BYTES = 6 << 20         # what the ballast leaves
VALUE_BYTES = 200_000
FULL_WITHIN_S = 120
RECOVERS_WITHIN_S = 20       # asked again each second
LEAVES_WITHIN_S = 60         # some saves, a second apart


def value_of(key):
    return (hashlib.sha256(key).digest() * (VALUE_BYTES // 32 + 1))[:VALUE_BYTES]


class Puts:
    """Threads that put until they are stopped. Each key is put once; its fate is known, or it was still waiting."""

    def __init__(self, channel, name, threads=3):
        self.stub = kv_grpc.KvStub(channel)
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.acked, self.asked, self.unexpected = set(), set(), []
        self.threads = [threading.Thread(target=self.work, args=(f"{name}/{i}",)) for i in range(threads)]
        for t in self.threads:
            t.start()

    def work(self, name):
        for i in range(100_000):
            if self.stop.is_set():
                return
            key = f"{name}/{i:06}".encode()
            self.asked.add(key)
            try:
                # No deadline of its own: what was accepted before the disk was full waits for space.
                self.stub.Put(kv.PutRequest(table="t", key=key, value=value_of(key)), timeout=300)
                with self.lock:
                    self.acked.add(key)
            except grpc.RpcError as e:
                if code_of(e) != FULL:
                    self.unexpected.append(e.details())
                    return
                time.sleep(0.05)

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(rig.DEADLINE_S)


class DiskFull(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.disk = self.root / "disk"
        self.disk.mkdir()
        mount_namespace.mount("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", self.disk)
        self.ballast = self.disk / "ballast"
        self.channel = self.puts = None

    def tearDown(self):
        if self.puts:
            self.puts.stop.set()
        for d in self.deployments:
            d.kill()
        if self.puts:
            self.puts.end()
        if self.channel:
            self.channel.close()
        mount_namespace.unmount(self.disk)
        super().tearDown()

    def served(self, whole_deployment_on_disk):
        d = self.deployment("disk/d" if whole_deployment_on_disk else "d", init=False)
        d.log_path = self.root / "log"
        self.d = d.init(*([] if whole_deployment_on_disk else ["--store", f"dir:{self.disk}/store"]))
        self.d.store = self.disk / ("d/store" if whole_deployment_on_disk else "store")
        text = d.server_yaml.read_text()
        d.server_yaml.write_text(text.replace("StateSavePeriod: 60s", "StateSavePeriod: 1s"))
        d.start()
        self.channel = open_channel(d)
        kv_grpc.KvStub(self.channel).CreateTable(kv.CreateTableRequest(table="t"), timeout=20)

    def status(self):
        r = self.d.admin("status", "--json")
        self.assertEqual(r.returncode, 0, (r.stderr, self.d.process.poll(), self.d.log()[-1000:]))
        return json.loads(self.ok(r))

    def fill(self, leave=0):
        with open(self.ballast, "ab") as f:
            while True:
                room = self.free() - leave
                if room < 4096:
                    return
                try:
                    f.write(b"\xff" * min(room, 1 << 20))
                    f.flush()
                except OSError:
                    return

    def free(self):
        st = os.statvfs(self.disk)
        return st.f_bavail * st.f_frsize

    def until_full(self, leave=LEFT_BYTES):
        self.fill(leave)
        self.puts = Puts(self.channel, f"p{time.monotonic_ns()}")
        # What was accepted waits for space; so it is the state that tells, not a refusal.
        end = time.monotonic() + FULL_WITHIN_S
        while not self.status()["full"]:
            self.assertLess(time.monotonic(), end,
                            f"{len(self.puts.acked)} puts, {self.free()} bytes left: {self.d.log()[-1000:]}")
            time.sleep(0.1)
        self.assertEqual(self.puts.unexpected, [])
        if leave == LEFT_BYTES:
            self.fill()  # what an abandoned object gave back, and the reserve

    def check(self, acked, asked, channel=None):
        """Every acknowledged row is there; nothing has a wrong value; nothing is there that was never asked for."""
        stub, found = kv_grpc.KvStub(channel or self.channel), set()
        for reply in stub.Scan(kv.ScanRequest(table="t"), timeout=60):
            for row in reply.rows:
                self.assertEqual(row.value, value_of(row.key), row.key)
                found.add(row.key)
        self.assertEqual(acked - found, set(), "acknowledged and gone")
        self.assertEqual(found - asked, set(), "never asked for")

    def restart(self):
        self.channel.close()
        self.d.start()
        self.channel = open_channel(self.d)

    def is_full_and_readable(self):
        self.check(set(self.puts.acked), self.puts.asked)
        self.refused(self.d.kv("put", "t", "one more", "x"), 1, "no space left")
        a_row = sorted(self.puts.acked)[0]
        self.ok(self.d.kv("get", "t", a_row.decode()), value_of(a_row))
        # Nothing is acknowledged before space returns.
        with self.puts.lock:
            before = len(self.puts.acked)
        time.sleep(2.5)
        with self.puts.lock:
            self.assertEqual(len(self.puts.acked), before)
        self.assertIsNone(self.d.process.poll())

    def recovers(self):
        before = len(self.puts.acked)
        self.ballast.unlink()
        end = time.monotonic() + RECOVERS_WITHIN_S
        while len(self.puts.acked) < before + 6:
            self.assertLess(time.monotonic(), end, f"does not go on: {self.d.log()[-1000:]}")
            self.assertIsNone(self.d.process.poll(), self.d.log()[-1000:])
            time.sleep(0.05)
        self.puts.end()
        self.assertEqual(self.puts.unexpected, [])

    def full_and_back(self, whole_deployment_on_disk):
        self.served(whole_deployment_on_disk)
        self.until_full()
        self.is_full_and_readable()
        self.recovers()
        self.check(self.puts.acked, self.puts.asked)
        self.ok(self.d.admin("save-state"))
        self.assertFalse(self.status()["full"])
        self.d.kill()
        self.restart()
        self.check(self.puts.acked, self.puts.asked)
        self.d.stop()
        self.ok(self.d.verify("--require-fresh"))

    def test_RuleI1_a_full_store_stops_acknowledging_stays_readable_and_goes_on_when_space_returns(self):
        self.full_and_back(whole_deployment_on_disk=False)

    def test_RuleI1_the_same_when_anchor_and_temporary_files_have_no_space_either(self):
        self.full_and_back(whole_deployment_on_disk=True)

    def test_RuleI1_a_full_store_is_left_by_deleting_rows(self):
        self.served(whole_deployment_on_disk=True)
        self.assertTrue((self.d.store / "reserve").exists())
        self.until_full(leave=96 << 20)
        self.puts.end()
        self.assertEqual(self.puts.unexpected, [])
        acked, asked = set(self.puts.acked), set(self.puts.asked)
        self.assertGreater(len(acked), 200)
        self.refused(self.d.kv("put", "t", "one more", "x"), 1, "no space left")
        self.assertFalse((self.d.store / "reserve").exists(), "given up")
        # The older ones of each thread, one by one; nobody makes room outside.
        stub = kv_grpc.KvStub(self.channel)
        for key in sorted(acked, key=lambda k: k.rsplit(b"/", 1)[1])[:len(acked) * 2 // 3]:
            stub.Delete(kv.DeleteRequest(table="t", key=key), timeout=60)
            acked.discard(key)
        self.d.admin("save-state")
        end = time.monotonic() + LEAVES_WITHIN_S
        while self.status()["full"]:
            self.assertLess(time.monotonic(), end, f"{self.free()} bytes left: {self.d.log()[-2000:]}")
            time.sleep(0.1)
        self.assertTrue((self.d.store / "reserve").exists(), "put aside again")
        self.check(acked, asked)
        self.ok(self.d.kv("put", "t", "goes on", "x"))
        self.ok(self.d.kv("del", "t", "goes on"))
        self.d.kill()
        self.restart()
        self.check(acked, asked)
        self.d.stop()
        self.ok(self.d.verify("--require-fresh"))

    def test_RuleI1_killed_while_full_and_started_while_full_it_refuses_and_loses_nothing(self):
        self.served(whole_deployment_on_disk=False)
        self.until_full()
        acked, asked = set(self.puts.acked), set(self.puts.asked)
        self.puts.stop.set()
        self.d.kill()
        self.puts.end()
        acked |= self.puts.acked
        self.fill()
        for _ in range(2):  # whoever tries again must not eat what is left
            r = rig.run("serve", "-c", self.d.server_yaml, "--passphrase-file", self.d.passphrase)
            self.refused(r, 1, "no space left")
            self.fill()
        self.ok(self.d.verify())  # reading needs no space
        self.ballast.unlink()
        self.restart()
        self.check(acked, asked)
        self.d.stop()
        self.ok(self.d.verify("--require-fresh"))

    def test_RuleI2_a_clean_stop_while_full_ends_soon_and_loses_nothing(self):
        self.served(whole_deployment_on_disk=False)
        self.until_full()
        self.puts.stop.set()
        self.d.process.terminate()
        code = self.d.process.wait(rig.DEADLINE_S)
        self.d.process = None
        self.puts.end()
        # Its closing frame may have found no space: then it says so.
        self.assertIn(code, (0, 1), self.d.log()[-1000:])
        if code == 1:
            self.assertIn("no space left", self.d.log().splitlines()[-1])
        acked, asked = set(self.puts.acked), set(self.puts.asked)
        self.ok(self.d.verify())
        self.ballast.unlink()
        self.restart()
        self.check(acked, asked)
        self.d.stop()
        self.ok(self.d.verify("--require-fresh"))

    def test_init_on_a_full_disk_is_refused_and_leaves_nothing_that_serves(self):
        self.fill()
        d = self.deployment("disk/new", init=False)
        r = rig.run("init", "--dir", d.directory, "--passphrase-file", d.passphrase, *rig.CHEAP_KDF)
        self.refused(r, 1, "no space left")
        self.assertFalse(d.server_yaml.exists())
        store = self.root / "elsewhere"
        r = rig.run("init", "--dir", store, "--store", f"dir:{self.disk}/s", "--passphrase-file", d.passphrase, *rig.CHEAP_KDF)
        self.refused(r, 1, "no space left")
        self.assertFalse((store / "server.yaml").exists())


if __name__ == "__main__":
    mount_namespace.enter()
    rig.main()

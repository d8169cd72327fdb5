#!/usr/bin/python3
"""Two machines, one store, the real binary: on every kind of provider exactly one writes. Where there is a lock the second is refused; where
conditions hold it wins, and who wrote before is fenced: also one that was stopped (SIGSTOP) while the other opened, worked, saved and cut
its journal, and then wakes up. What was acknowledged is there, and nothing else."""
import os
import pathlib
import shutil
import signal
import sys
import threading
import time

import rig

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "providers"))
import firestore_stub  # noqa: E402
import s3_stub  # noqa: E402
import servers  # noqa: E402
import webhdfs_stub  # noqa: E402

STUB_ENV = {"AWS_ACCESS_KEY_ID": "STUBKEY", "AWS_SECRET_ACCESS_KEY": s3_stub.KEYS["STUBKEY"]}
ALONE = "&single-writer=true"


class Fencing(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.forget_accounts()

    def machines(self, url, environment):
        """Two deployments of one store: the second is a copy of the first, as on another machine, and a client trusts both."""
        os.environ.update(environment)
        a = self.deployment("a", init=False)
        a.init("--store", url)
        b = self.deployment("b", init=False)
        shutil.copytree(a.directory, b.directory)
        for path in (b.server_yaml, b.client_yaml):
            path.write_text(path.read_text().replace(str(a.directory), str(b.directory)))
        return a, b

    def put(self, d, key, acknowledged):
        r = d.kv("put", "t", key, "v")
        if r.returncode == 0:
            acknowledged.add(key)
        return r

    def ended(self, d):
        """Exit code of a server that ends by itself, and what it said last."""
        code = d.process.wait(rig.DEADLINE_S)
        d.process = None
        return code, d.log()

    def keys(self, d):
        return {line.split("\t")[0] for line in self.ok(d.kv("scan", "t")).decode().splitlines()}

    def fenced_by_the_second(self, url, environment, exact=True):
        a, b = self.machines(url, environment)
        acknowledged = set()
        a.start()
        self.ok(a.kv("table", "create", "t"))
        for i in range(5):
            self.ok(self.put(a, f"a{i}", acknowledged))

        # A writer that sleeps: the other opens, works, saves twice (and so cuts the journal), and works on.
        os.kill(a.process.pid, signal.SIGSTOP)
        core = self.children(a.process.pid)
        for pid in core:
            os.kill(pid, signal.SIGSTOP)
        b.start()
        self.assertTrue({f"a{i}" for i in range(5)} <= self.keys(b))
        for i in range(4):
            self.ok(self.put(b, f"b{i}", acknowledged))
            self.ok(b.admin("save-state"))
        for pid in [*core, a.process.pid]:
            os.kill(pid, signal.SIGCONT)
        r = self.put(a, "late", acknowledged)
        self.assertEqual(r.returncode, 1, r.stderr)
        self.assertIn(b"fenced", r.stderr)
        code, said = self.ended(a)
        self.assertEqual(code, 1, said)
        self.assertIn("another opener took over: fenced", said)
        self.ok(self.put(b, "b-after", acknowledged))

        # A writer amid its work, all the time: what it was told is there, and it is told the truth.
        stop = threading.Event()
        said = []

        def work():
            i = 0
            while not stop.is_set():
                r = self.put(b, f"w{i:05}", acknowledged)
                i += 1
                if r.returncode != 0:
                    said.append(r.stderr)
                    return

        writer = threading.Thread(target=work)
        writer.start()
        try:
            end = time.monotonic() + rig.DEADLINE_S
            while not any(k.startswith("w") for k in set(acknowledged)) and time.monotonic() < end:
                time.sleep(0.01)
            a.start()
            writer.join(rig.DEADLINE_S)
        finally:
            stop.set()
            writer.join(rig.DEADLINE_S)
        self.assertEqual(len(said), 1, "the writer before ends with an error")
        code, log = self.ended(b)
        self.assertEqual(code, 1, log)
        self.assertIn("fenced", log)
        self.ok(self.put(a, "a-again", acknowledged))
        present = self.keys(a)
        if exact:
            self.assertEqual(present, acknowledged)
        self.assertTrue(acknowledged <= present)
        self.assertLessEqual(len(present), len(acknowledged) + 2)
        a.stop()
        self.ok(a.verify())
        return a, b

    def children(self, pid):
        return [int(p) for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]

    def refused_to_the_second(self, url, environment, *texts):
        a, b = self.machines(url, environment)
        a.start()
        self.ok(a.kv("table", "create", "t"))
        self.refused(rig.run("serve", "-c", b.server_yaml, "--passphrase-file", b.passphrase), 1, *texts)
        self.ok(a.kv("put", "t", "k", "v"))
        a.stop()

    def test_s3_with_conditions(self):
        with s3_stub.S3Stub() as s:
            a, _ = self.fenced_by_the_second(f"s3://hf/one?endpoint={s.url}", STUB_ENV)
            self.assertFalse([k for k in s.objects if ".holdfast" in k], "the probe leaves nothing")

    def test_dynamodb(self):
        with servers.Dynalite() as s:
            self.fenced_by_the_second(f"dynamodb://one?endpoint={s.url}", s.environment)

    def test_azure_table(self):
        with servers.Azurite() as s:
            self.fenced_by_the_second(f"azure-table://{s.account}/one?endpoint={s.url}", s.environment)

    def test_firestore(self):
        with firestore_stub.FirestoreStub() as s:
            self.fenced_by_the_second(f"firestore://project/one?endpoint={s.url}", {"FIRESTORE_ACCESS_TOKEN": firestore_stub.TOKEN})

    # No condition holds there. With the operator's word frames are told apart by their names; without it nobody writes.
    def test_s3_without_conditions(self):
        with servers.S3rver() as s:
            self.fenced_by_the_second(f"s3://hf/one?endpoint={s.url}{ALONE}", s.environment, exact=False)

    def test_webhdfs(self):
        with webhdfs_stub.WebhdfsStub(user="hf") as s:
            self.fenced_by_the_second(f"webhdfs://127.0.0.1:{s.port}/one?user=hf{ALONE}", {}, exact=False)

    def test_without_conditions_and_without_a_word_nobody_writes(self):
        with servers.S3rver() as s:
            os.environ.update(s.environment)
            a = self.deployment("a", init=False)
            r = rig.run("init", "--dir", a.directory, "--passphrase-file", a.passphrase, *rig.CHEAP_KDF, "--store", f"s3://hf/one?endpoint={s.url}")
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertIn(b"single-writer=true", r.stderr)
            self.refused(rig.run("serve", "-c", a.server_yaml, "--passphrase-file", a.passphrase), 1, "single-writer=true")

    def test_init_says_whether_the_provider_fences(self):
        with s3_stub.S3Stub() as s:
            os.environ.update(STUB_ENV)
            a = self.deployment("a", init=False)
            r = rig.run("init", "--dir", a.directory, "--passphrase-file", a.passphrase, *rig.CHEAP_KDF, "--store", f"s3://hf/one?endpoint={s.url}")
            self.assertEqual((r.returncode, r.stderr), (0, b""))
            self.assertIn(b"fences", r.stdout)

    def test_postgres_has_a_lock(self):
        with servers.Postgres() as s:
            self.refused_to_the_second(f"{s.url}?table=one", {}, "in use")

    def test_sqlite_has_a_lock(self):
        self.refused_to_the_second(f"sqlite:{self.root}/store.sqlite", {}, "in use")

    def test_dir_has_a_lock(self):
        self.refused_to_the_second(f"dir:{self.root}/store", {}, "in use")


if __name__ == "__main__":
    rig.main()

#!/usr/bin/python3
"""sqlite:, rocksdb: and leveldb: with the real binary: served, killed, verified, copied to and from dir:, damaged."""
import base64
import json
import os
import pathlib
import shutil
import sys
import tempfile

import rig

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "crash"))
import kill9_test  # noqa: E402

kill9_test.ROUNDS = 4
if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 2 << 30:
    tempfile.tempdir = "/dev/shm"  # a kill leaves there what it leaves on a disk, and a sync costs nothing
SCHEMES = ("sqlite", "rocksdb", "leveldb")
BIG = base64.b64encode(bytes(range(256)) * 3000)  # a value of a megabyte: segments of several parts
FLIPS = 5


def deployment_at(case, scheme, name="d"):
    d = case.deployment(name, init=False)
    d.url = f"{scheme}:{case.root}/{name}-{scheme}/store"
    return d.init("--store", d.url)


def files_of(d):
    top = pathlib.Path(d.url.split(":", 1)[1]).parent
    return sorted(p for p in top.rglob("*") if p.is_file() and p.stat().st_size > 0)


class Providers(rig.TestCase):
    def filled(self, scheme):
        d = deployment_at(self, scheme).start()
        self.ok(d.kv("table", "create", "t"))
        self.ok(d.kv("batch", "-", stdin="".join(f"put\tt\tkey {i}\tvalue {i}\n" for i in range(3000)).encode()))
        self.ok(d.kv("put", "t", "big", "-", stdin=BIG))
        self.ok(d.admin("save-state"))
        self.ok(d.kv("put", "t", "last", "one"))
        return d

    def passphrase(self, d):
        return ["--passphrase-file", d.passphrase]

    def test_what_was_acknowledged_is_there_after_a_kill_and_verifies(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                d = self.filled(scheme)
                rows = self.ok(d.kv("dump"))
                self.refused(rig.run("serve", "-c", d.server_yaml, *self.passphrase(d)), 1, "in use", scheme)
                self.refused(rig.run("verify", "--store", d.url, *self.passphrase(d)), 1, "in use", scheme)
                d.kill()
                self.assertIn(b"fresh to index", self.ok(d.verify("--require-fresh")))
                d.start()
                self.ok(d.kv("get", "t", "last"), b"one")
                self.ok(d.kv("get", "t", "big"), BIG)
                self.assertEqual(self.ok(d.kv("dump")), rows)
                self.ok(d.verify())  # served
                d.stop()
                self.assertIn(b"fresh to index", self.ok(d.verify("--require-fresh")))
                self.refused(rig.run("init", "--dir", self.root / "other", "--store", d.url, *self.passphrase(d),
                                     *rig.CHEAP_KDF), 1, "not empty")
                shutil.rmtree(self.root / "d", ignore_errors=True)
                shutil.rmtree(self.root / "other", ignore_errors=True)

    def test_a_store_moves_between_providers_as_ciphertext(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                d = self.filled(scheme)
                rows = self.ok(d.kv("dump"))
                d.stop()
                there, back = f"dir:{self.root}/there-{scheme}", f"{scheme}:{self.root}/back-{scheme}"
                self.ok(rig.run("restore", "--from", d.url, "--to", there, *self.passphrase(d)))
                self.ok(rig.run("restore", "--from", there, "--to", back, "--anchor", d.directory / "anchor",
                                "--require-fresh", *self.passphrase(d)))
                self.refused(rig.run("restore", "--from", there, "--to", back, *self.passphrase(d)), 1, "not empty")
                n = self.deployment(f"n-{scheme}", init=False)
                self.ok(rig.run("init", "--adopt", "--dir", n.directory, "--store", back, *self.passphrase(d)))
                n.start()
                self.assertEqual(self.ok(n.kv("dump")), rows)
                n.stop()
                shutil.rmtree(self.root / "d", ignore_errors=True)

    def test_a_flipped_byte_is_an_error_and_never_a_wrong_value(self):
        for scheme in SCHEMES:
            d = self.filled(scheme)
            rows = self.ok(d.kv("dump"))
            d.stop()
            named = 0
            for path in files_of(d):
                whole = path.read_bytes()
                for i in range(FLIPS):
                    at = i * (len(whole) - 1) // (FLIPS - 1)
                    with self.subTest(scheme, file=path.name, at=at):
                        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:])
                        r = d.verify("--json", "--require-fresh")
                        self.assertIn(r.returncode, (0, 1, 3), r.stderr)
                        if r.returncode != 0:
                            named += 1
                            self.assertTrue(r.stderr.startswith(b"holdfast: "), r.stderr)
                        else:  # nobody's byte: then everything is as it was
                            self.assertEqual(json.loads(r.stdout)["verdict"], "ok")
                path.write_bytes(whole)
            self.assertGreater(named, FLIPS // 2, scheme)
            d.start()
            self.assertEqual(self.ok(d.kv("dump")), rows)
            d.stop()
            shutil.rmtree(self.root / "d", ignore_errors=True)

    def test_urls_are_checked_and_relative_paths_start_at_the_file(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                self.refused(rig.run("verify", "--store", f"{scheme}:{self.root}/none", *self.passphrase(self.deployment(init=False))),
                             1, "no store here")
                self.refused(rig.run("verify", "--store", f"{scheme}:{self.root}/none?sync=off",
                                     *self.passphrase(self.deployment(init=False))), 2, "URL")
                d = self.deployment(f"rel-{scheme}", init=False)
                d.init("--store", f"{scheme}:{d.directory}/inside")
                self.assertIn(f"DataStore: '{scheme}:inside'", d.server_yaml.read_text())
                d.start()
                d.stop()


class Kill9OnSqlite(kill9_test.Kill9):
    scheme = "sqlite"

    def deployment(self, name="d", init=True):
        if not init:
            return super().deployment(name, init=False)
        return deployment_at(self, self.scheme, name)


class Kill9OnRocksdb(Kill9OnSqlite):
    scheme = "rocksdb"


class Kill9OnLeveldb(Kill9OnSqlite):
    scheme = "leveldb"


if __name__ == "__main__":
    rig.main()

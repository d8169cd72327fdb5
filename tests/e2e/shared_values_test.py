#!/usr/bin/python3
"""Tables that share values, from the command line: what a hundred rows with one value take on disk, what reads them, what frees them."""
import json
import os

import rig

MEBIBYTE = 1 << 20


class SharedValues(rig.TestCase):
    def size(self, d):
        return sum(f.stat().st_size for f in (d.store / "segments").iterdir())

    def settle(self, d):
        for _ in range(3):
            self.ok(d.admin("save-state"))

    def test_equal_values_are_stored_once(self):
        d = self.deployment().start()
        self.ok(d.kv("table", "create", "t", "--share-values"))
        self.ok(d.kv("table", "create", "plain"))
        self.refused(d.kv("table", "create", "p", "--share-values", "--layout", "patricia"), 1, "can share values")
        self.refused(d.kv("table", "create", "p", "--share-values", "--transient"), 1, "can share values")
        listed = [json.loads(line) for line in self.ok(d.kv("table", "list", "--json")).splitlines()]
        self.assertEqual({t["table"]: t["share_values"] for t in listed}, {"t": True, "plain": False})
        self.assertIn(b"t\t0\tbytes\tbytes\tshares values\n", self.ok(d.kv("table", "list")))
        self.settle(d)
        empty, value = self.size(d), os.urandom(MEBIBYTE)
        for n in range(100):
            self.ok(d.kv("put", "t", f"k{n:03}", "-", stdin=value))
        self.settle(d)
        self.assertGreater(self.size(d) - empty, MEBIBYTE)
        self.assertLess(self.size(d) - empty, MEBIBYTE * 5 // 4)
        for n in range(3):
            self.ok(d.kv("put", "plain", f"k{n:03}", "-", stdin=value))
        self.settle(d)
        self.assertGreater(self.size(d) - empty, 4 * MEBIBYTE, "a plain table has a copy for each row")
        self.ok(d.kv("table", "drop", "plain"))

        self.assertEqual(self.ok(d.kv("get", "t", "k042")), value)
        self.assertEqual(len(self.ok(d.kv("scan", "t")).splitlines()), 100)
        self.ok(d.kv("put", "t", "other", "-", stdin=value[:-1] + b"x"))
        self.ok(d.kv("put", "t", "short", "v"))
        self.assertEqual(d.kv("dump", "t", "--out", str(d.root / "dump")).returncode, 0)
        self.ok(d.kv("table", "create", "again", "--share-values"))
        self.assertEqual(d.kv("load", "again", str(d.root / "dump")).returncode, 0)
        self.settle(d)
        self.assertEqual(self.ok(d.kv("get", "again", "k099")), value)
        self.assertLess(self.size(d) - empty, 5 * MEBIBYTE, "two values in each table")
        self.ok(d.kv("table", "drop", "again"))
        self.ok(d.kv("del", "t", "other"))

        self.ok(rig.run("tag", "create", "full", "-c", d.server_yaml))
        self.ok(d.kv("batch", "-", stdin=b"".join(b"del\tt\tk%03d\n" % n for n in range(99))))
        self.ok(rig.run("gc", "-c", d.server_yaml))
        self.assertEqual(self.ok(d.kv("get", "t", "k099")), value, "one row is left")
        diff = self.ok(rig.run("diff", "full", "now", "-c", d.server_yaml)).splitlines()
        self.assertEqual(len(diff), 99)
        self.ok(d.kv("del", "t", "k099"))
        self.settle(d)
        self.assertEqual(self.ok(d.kv("get", "--tag", "full", "t", "k000")), value)
        self.assertGreater(self.size(d) - empty, MEBIBYTE, "the tag keeps it")
        self.ok(rig.run("tag", "drop", "full", "-c", d.server_yaml))
        self.ok(rig.run("gc", "-c", d.server_yaml))
        self.assertEqual(self.ok(d.kv("get", "t", "short")), b"v")
        self.assertLess(self.size(d) - empty, MEBIBYTE // 4, "nobody has it any more")
        d.stop()
        self.ok(d.verify())

    def test_a_killed_server_and_a_restored_store_have_them(self):
        d = self.deployment().start()
        self.ok(d.kv("table", "create", "t", "--share-values", "--never-inline"))
        value = os.urandom(200_000)
        for n in range(4):
            self.ok(d.kv("put", "t", f"k{n}", "-", stdin=value))
        self.ok(d.admin("save-state"))
        self.ok(d.kv("put", "t", "k4", "-", stdin=value))
        self.ok(d.kv("del", "t", "k0"))
        d.kill()
        self.ok(d.verify())
        d.start()
        self.assertEqual(self.ok(d.kv("get", "t", "k4")), value)
        self.assertEqual(d.kv("get", "t", "k0").returncode, 1, "deleted")
        d.stop()
        self.ok(d.verify())
        to = "dir:" + str(d.root / "copy")
        for command in (["restore", "--from", f"dir:{d.store}", "--to", to], ["verify", "--store", to]):
            done = rig.run(*command, "--passphrase-file", d.passphrase)
            self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    rig.main()

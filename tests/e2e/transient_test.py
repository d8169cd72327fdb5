#!/usr/bin/python3
"""Transient tables from the command line: read at once, in no save, empty after a restart of any kind."""
import json

import rig


class Transient(rig.TestCase):
    def test_rows_last_as_long_as_the_server(self):
        d = self.deployment().start()
        self.ok(d.kv("table", "create", "t", "--transient", "--key-type", "int64"))
        self.ok(d.kv("table", "create", "plain"))
        self.refused(d.kv("table", "create", "p", "--transient", "--layout", "patricia"), 2, "invalid argument")
        self.ok(d.kv("batch", "-", stdin=b"".join(b"put\tt\t%d\tv%d\n" % (n, n) for n in range(5000))))
        self.assertEqual(self.ok(d.kv("get", "t", "4711")), b"v4711")
        self.assertEqual(len(self.ok(d.kv("scan", "t")).splitlines()), 5000)
        self.refused(d.kv("batch", "-", stdin=b"put\tt\t1\tx\nput\tplain\t1\tx\n"), 1, "transient")
        self.refused(d.kv("put", "t", "one", "x"), 1, "key type")
        self.ok(d.kv("cas", "t", "1", "w", "--old", "v1"))
        self.refused(d.kv("cas", "t", "1", "w", "--old", "v1"), 1, "did not hold")
        listed = [json.loads(line) for line in self.ok(d.kv("table", "list", "--json")).splitlines()]
        self.assertEqual({t["table"]: (t["transient"], t.get("rows")) for t in listed}, {"t": (True, 5000), "plain": (False, None)})
        self.assertIn(b"t\t5000\tint64\tbytes\ttransient", self.ok(d.kv("table", "list")))
        self.ok(d.admin("save-state"))
        self.assertIn("transient", self.ok(d.admin("status")).decode())
        d.kill()
        self.ok(d.verify())
        d.start()
        self.assertEqual(self.ok(d.kv("scan", "t")), b"")
        self.ok(d.kv("put", "t", "1", "again"))
        self.assertEqual(self.ok(d.kv("get", "t", "1")), b"again")
        d.stop()
        self.ok(d.verify())


if __name__ == "__main__":
    rig.main()

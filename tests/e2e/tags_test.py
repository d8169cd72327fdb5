#!/usr/bin/python3
"""`holdfast tag`, `diff` and `gc`: on a running server and on a store that nobody serves."""
import json

import rig


class Tags(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.d = self.deployment()

    def where(self):
        return ["-c", self.d.server_yaml] + ([] if self.d.process else ["--passphrase-file", self.d.passphrase])

    def tag(self, *arguments):
        return rig.run("tag", *self.where(), *arguments)

    def diff(self, *arguments):
        return rig.run("diff", *self.where(), *arguments)

    def gc(self, *arguments):
        return rig.run("gc", *self.where(), *arguments)

    def load(self, rows):
        for at in range(0, len(rows), 2000):
            piece = rows[at:at + 2000]
            self.ok(self.d.kv("batch", "-", stdin=b"".join(b"put\tt\t%s\t%s\n" % row for row in piece)))

    def segment_bytes(self):
        return sum(p.stat().st_size for p in (self.d.store / "segments").iterdir())

    def test_a_tag_is_read_while_the_tables_go_on(self):
        d = self.d.start()
        self.ok(d.kv("table", "create", "t"))
        self.load([(b"a", b"1"), (b"b", b"2")])
        self.ok(self.tag("create", "first"))
        self.load([(b"a", b"changed"), (b"c", b"3")])
        self.ok(d.kv("get", "t", "a"), b"changed")
        self.ok(d.kv("get", "t", "a", "--tag", "first"), b"1")
        self.ok(d.kv("get", "t@first", "a"), b"1")
        self.ok(d.kv("scan", "t", "--tag", "first"), b"a\t1\nb\t2\n")
        self.ok(d.kv("scan", "t@first", "--prefix", "b"), b"b\t2\n")
        self.ok(d.kv("dump", "t@first"), b"a\t1\nb\t2\n")
        self.assertEqual(d.kv("get", "t", "c", "--tag", "first").returncode, 1)
        self.ok(self.tag("mount", "first"), b"t@first\t2 rows\n")
        for write in (("put", "t@first", "a", "x"), ("del", "t@first", "a"), ("table", "drop", "t@first")):
            self.refused(d.kv(*write), 1, "read-only")
        self.refused(d.kv("get", "t", "a", "--tag", "second"), 1, "no such tag")
        self.refused(d.kv("get", "u", "a", "--tag", "first"), 1, "no such table")
        self.refused(self.tag("mount", "second"), 1, "no such tag")
        self.ok(d.kv("table", "drop", "t"))
        self.ok(d.kv("scan", "t", "--tag", "first"), b"a\t1\nb\t2\n")
        d.stop()
        d.start()
        self.ok(d.kv("scan", "t@first"), b"a\t1\nb\t2\n")
        self.ok(self.tag("drop", "first"))
        self.refused(d.kv("scan", "t@first"), 1, "no such table")
        d.stop()
        self.ok(d.verify())

    def test_refusals_are_one_line_and_change_nothing(self):
        d = self.d.start()
        self.ok(self.tag("create", "x"))
        self.refused(self.tag("create", "x"), 1, "tag exists already")
        self.refused(self.tag("drop", "y"), 1, "no such tag")
        for bad in ("", "now", "n" * 129):
            self.refused(self.tag("create", bad), 1, "tag names have 1 to 128 bytes of UTF-8")
        self.ok(self.tag("create", "n" * 128))
        self.refused(self.diff("x", "y"), 1, "no such tag")
        self.refused(self.diff("x", "now", "--table", "none"), 1, "no such table")
        self.refused(rig.run("tag", "list"), 2, "needs --store or -c")
        d.stop()
        self.refused(self.tag("create", "x"), 1, "tag exists already")
        self.refused(self.tag("mount", "x"), 1, "server is unreachable")
        names = [json.loads(line)["tag"] for line in self.ok(self.tag("list", "--json")).splitlines()]
        self.assertEqual(names, ["n" * 128, "x"])

    def differences(self):
        self.ok(self.diff("one", "two"), b"~\tt\ta\t1\tnew\n-\tt\tb\t2\n+\tt\td\t4\n+\tu\tk\tv\n")
        self.ok(self.diff("two", "one", "--table", "t"), b"~\tt\ta\tnew\t1\n+\tt\tb\t2\n-\tt\td\t4\n")
        self.ok(self.diff("two", "now"), b"")
        self.ok(self.diff("two", "two"), b"")
        rows = [json.loads(line) for line in self.ok(self.diff("one", "now", "--json")).splitlines()]
        self.assertEqual([(r["change"], r["table"]) for r in rows],
                         [("changed", "t"), ("removed", "t"), ("added", "t"), ("added", "u")])
        self.assertEqual(rows[0]["before"], rig.b64(b"1"))
        self.assertNotIn("after", rows[1])

    def test_diff_names_what_was_added_removed_and_changed(self):
        d = self.d.start()
        self.ok(d.kv("table", "create", "t"))
        self.load([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])
        self.ok(self.tag("create", "one"))
        self.ok(d.kv("table", "create", "u"))
        self.ok(d.kv("batch", "-", stdin=b"put\tt\ta\tnew\ndel\tt\tb\nput\tt\td\t4\nput\tu\tk\tv\n"))
        self.ok(self.tag("create", "two"))
        self.differences()
        d.stop()
        self.differences()

    def test_two_values_of_16_mib_come_through_a_diff(self):
        d = self.d.start()
        self.ok(d.kv("table", "create", "t"))
        self.ok(d.kv("put", "t", "k", "-", stdin=b"a" * (16 << 20)))
        self.ok(self.tag("create", "one"))
        self.ok(d.kv("put", "t", "k", "-", stdin=b"b" * (16 << 20)))
        self.ok(self.tag("create", "two"))
        line = self.ok(self.diff("one", "two"))
        self.assertEqual(line, b"~\tt\tk\t" + b"a" * (16 << 20) + b"\t" + b"b" * (16 << 20) + b"\n")

    def test_dropped_in_any_order_the_space_comes_back(self):
        d = self.d.start()
        self.ok(d.kv("table", "create", "t"))
        rows = {b"row %05d" % i: b"%05d" % i * 40 for i in range(6000)}
        self.load(sorted(rows.items()))
        self.ok(d.admin("save-state"))
        self.ok(self.gc())
        fresh = self.segment_bytes()
        for t in range(8):
            self.ok(self.tag("create", f"tag {t}"))
            change = {b"row %05d" % i: b"%05d" % (i + t) * 40 for i in range(t, 6000, 7)}
            self.load(sorted(change.items()))
            rows.update(change)
        self.ok(d.admin("save-state"))
        report = json.loads(self.ok(self.gc("--dry-run", "--json")))
        self.assertTrue(report["dry_run"])
        self.assertGreater(report["tagged_bytes"], fresh)
        self.assertEqual(len(report["tags"]), 8)
        self.assertEqual(sum(t["deadlist_bytes"] for t in report["tags"]), report["tagged_bytes"])
        listed = {s["segment"]: s["bytes"] for s in report["list"]}
        self.assertEqual(sum(listed.values()), report["bytes"])
        self.assertGreater(self.segment_bytes(), 3 * fresh)
        self.ok(self.gc("--dry-run"))
        for t in (3, 0, 7, 5):
            self.ok(self.tag("drop", f"tag {t}"))
        d.kill()  # and after a crash it goes on
        d.start()
        self.ok(self.tag("drop", "tag 4"))
        d.stop()
        for t in (1, 6, 2):
            self.ok(self.tag("drop", f"tag {t}"))
        report = json.loads(self.ok(self.gc("--json")))
        self.assertEqual(report["tagged_bytes"], 0)
        self.assertEqual(report["cleanings_owed"], 0)
        self.assertLess(self.segment_bytes(), fresh * 1.1)
        self.ok(d.verify())
        d.start()
        self.ok(d.admin("gc", "--dry-run"))
        self.ok(d.kv("scan", "t"), b"".join(b"%s\t%s\n" % row for row in sorted(rows.items())))

    def test_restore_keeps_tags(self):
        d = self.d.start()
        self.ok(d.kv("table", "create", "t"))
        self.load([(b"a", b"1")])
        self.ok(self.tag("create", "x"))
        self.load([(b"a", b"2")])
        d.stop()
        copy = self.root / "copy"
        self.ok(rig.run("restore", "--from", f"dir:{d.store}", "--to", f"dir:{copy}", "--passphrase-file", d.passphrase))
        listed = self.ok(rig.run("tag", "list", "--store", f"dir:{copy}", "--passphrase-file", d.passphrase, "--json"))
        self.assertEqual(json.loads(listed)["tag"], "x")
        self.ok(rig.run("diff", "x", "now", "--store", f"dir:{copy}", "--passphrase-file", d.passphrase))


if __name__ == "__main__":
    rig.main()

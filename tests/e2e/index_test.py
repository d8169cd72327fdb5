#!/usr/bin/python3
"""Secondary indexes from the command line: made with a table and later, scanned, unique, in tags, after a crash, verified."""
import json

import rig

CITIES = ["Aachen", "Bonn", "Jena", "Ulm"]


def person(n):
    return json.dumps({"address": {"city": CITIES[n % 4]}, "age": n % 90, "mail": f"p{n}@example.org"})


class Index(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.d = self.deployment().start()

    def keys(self, *arguments):
        return [line.split("\t")[0] for line in self.ok(self.d.kv("scan", *arguments)).decode().splitlines()]

    def test_an_index_of_json_follows_the_rows_and_survives(self):
        d = self.d
        self.ok(d.kv("table", "create", "people", "--value-type", "json", "--key-type", "uint64", "--index", "city=/address/city",
                     "--unique-index", "mail=/mail"))
        self.ok(d.kv("batch", "-", stdin="".join(f"put\tpeople\t{n}\t{person(n)}\n" for n in range(1000)).encode()))
        ulm = [str(n) for n in range(3, 1000, 4)]
        self.assertEqual(self.keys("people", "--index", "city", "--equals", "Ulm"), ulm)
        self.assertEqual(self.keys("people", "--index", "city", "--prefix", "U", "--limit", "3"), ulm[:3])
        self.assertEqual(self.keys("people", "--index", "city", "--from", "Jena", "--reverse", "--limit", "2"), ["999", "995"])
        self.assertEqual(self.keys("people", "--index", "mail", "--equals", "p77@example.org"), ["77"])
        self.refused(d.kv("put", "people", "5000", person(77)), 1, "unique")
        self.refused(d.kv("scan", "people", "--index", "none"), 1, "no such index")
        self.refused(d.kv("scan", "people", "--equals", "x"), 2, "--index")
        self.ok(rig.run("tag", "-c", d.server_yaml, "create", "before"))
        self.ok(d.kv("index", "create", "people", "age", "/age"))
        self.assertEqual(self.keys("people", "--index", "age", "--from", "88", "--until", "89"), [str(n) for n in range(88, 1000, 90)])
        self.refused(d.kv("index", "create", "people", "age", "/age"), 1, "exists")
        self.refused(d.kv("index", "create", "people", "once", "/age", "--unique"), 1, "unique")
        self.ok(d.kv("put", "people", "3", '{"address": {"city": "Bonn"}, "age": "old"}'))
        self.ok(d.kv("del", "people", "7"))
        self.assertEqual(self.keys("people", "--index", "city", "--equals", "Ulm"), ulm[2:])
        self.assertEqual(self.keys("people", "--index", "age", "--prefix", "o"), ["3"])
        listed = [json.loads(line) for line in self.ok(d.kv("index", "list", "people", "--json")).splitlines()]
        self.assertEqual(sorted((i["index"], i["pointer"], i["unique"]) for i in listed),
                         [("age", "/age", False), ("city", "/address/city", False), ("mail", "/mail", True)])
        self.assertEqual([json.loads(line)["table"] for line in self.ok(d.kv("table", "list", "--json")).splitlines()], ["people"])
        d.kill()
        self.ok(d.verify())
        d.start()
        self.assertEqual(self.keys("people", "--index", "city", "--equals", "Ulm"), ulm[2:])
        self.assertEqual(self.keys("people", "--tag", "before", "--index", "city", "--equals", "Ulm"), ulm)
        self.refused(d.kv("scan", "people", "--tag", "before", "--index", "age"), 1, "no such index")
        self.ok(d.kv("index", "drop", "people", "mail"))
        self.ok(d.kv("put", "people", "5000", person(77)))
        self.ok(d.admin("save-state"))
        diff = self.ok(rig.run("diff", "-c", d.server_yaml, "before", "now")).decode().splitlines()
        self.assertEqual(len(diff), 3, "rows of tables, and none of indexes")
        d.stop()
        self.ok(d.verify())

    def test_whole_values_of_other_types(self):
        d = self.d
        self.ok(d.kv("table", "create", "times", "--value-type", "timestamp"))
        for key, value in (("a", "2026-01-01T00:00:00Z"), ("b", "1969-01-01T00:00:00Z"), ("c", "2025-01-01T00:00:00Z")):
            self.ok(d.kv("put", "times", key, value))
        self.refused(d.kv("index", "create", "times", "when", "/a"), 1, "pointer")
        self.ok(d.kv("index", "create", "times", "when"))
        self.assertEqual(self.keys("times", "--index", "when"), ["b", "c", "a"])
        self.assertEqual(self.keys("times", "--index", "when", "--from", "2000-01-01T00:00:00Z", "--until", "2026-01-01T00:00:00Z"), ["c"])
        self.refused(d.kv("scan", "times", "--index", "when", "--from", "soon"), 1, "value type")
        self.ok(d.kv("table", "create", "gone", "--transient"))
        self.refused(d.kv("index", "create", "gone", "i"), 2, "invalid argument")


if __name__ == "__main__":
    rig.main()

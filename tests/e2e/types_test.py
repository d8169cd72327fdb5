#!/usr/bin/python3
"""Typed tables from the command line: every type there and back and over a restart; what is not of the type is refused by name."""
import json

import rig

UUIDS = ["00000000-0000-0000-0000-000000000000", "00112233-4455-6677-8899-aabbccddeeff", "ffffffff-ffff-ffff-ffff-ffffffffffff"]
TIMES = ["0000-01-01T00:00:00.000000Z", "1969-12-31T23:59:59.999999Z", "2024-02-29T12:34:56.000007Z", "9999-12-31T23:59:59.999999Z"]
INT64 = ["-9223372036854775808", "-256", "-1", "0", "7", "256", "9223372036854775807"]
# In the order in which a scan must give them, as keys.
GOOD = {"bytes": ["a", "b"], "text": ["A", "zwölf", "ünïcode"], "int64": INT64,
        "uint64": ["0", "9", "10", "18446744073709551615"], "uuid": UUIDS, "timestamp": TIMES}
JSON = ["0", '{"a":[1,null,"ü"]}', " true "]
BAD = {"text": [b"\xff"], "int64": ["", "9223372036854775808"], "uint64": ["-1"], "uuid": ["00112233445566778899aabbccddeeff"],
       "timestamp": ["2026-02-29T00:00:00Z", "2026-11-22T06:52:51+01:00"], "json": ["{a:1}", "[" * 65 + "]" * 65]}


class Types(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.d = self.deployment().start()

    def create(self, table, key="bytes", value="bytes", *more):
        self.ok(self.d.kv("table", "create", table, "--key-type", key, "--value-type", value, *more))

    def put(self, *words, value=None):
        """`value`: what no argument can be, from standard input."""
        if value is None:
            return self.d.kv("put", *words[:-2], "--", *words[-2:])
        return self.d.kv("put", *words, "-", stdin=value)

    def scan(self, table, *more):
        return self.ok(self.d.kv("scan", table, *more)).decode().splitlines()

    def test_every_type_comes_back_as_it_was_written_in_its_order_and_after_a_restart(self):
        values = {**GOOD, "json": JSON}
        for kind, texts in GOOD.items():
            self.create("by " + kind, kind, "json")
            self.ok(self.put("by " + kind, texts[-1], json.dumps({"was": texts[-1]}, ensure_ascii=False)))
            batch = "".join(f"put\tby {kind}\t{text}\t{json.dumps({'was': text}, ensure_ascii=False)}\n" for text in texts[-2::-1])
            self.ok(self.d.kv("batch", "-", stdin=batch.encode()))
        for kind, texts in values.items():
            self.create("of " + kind, "uint64", kind)
            batch = "".join(f"put\tof {kind}\t{n}\t{text}\n" for n, text in enumerate(texts))
            self.ok(self.d.kv("batch", "-", stdin=batch.encode()))
        def look():
            for kind, texts in GOOD.items():
                self.assertEqual([r.split("\t")[0] for r in self.scan("by " + kind)], texts)
                self.assertEqual(json.loads(self.ok(self.d.kv("get", "by " + kind, "--", texts[-1])))["was"], texts[-1])
                bound = [r.split("\t")[0] for r in self.scan("by " + kind, f"--from={texts[1]}", f"--until={texts[-1]}")]
                self.assertEqual(bound, texts[1:-1])
            for kind, texts in values.items():
                self.assertEqual(self.scan("of " + kind), [f"{n}\t{text}" for n, text in enumerate(texts)])
                self.ok(self.d.kv("get", "of " + kind, "1"), texts[1].encode())
        look()
        self.ok(self.d.admin("save-state"))
        self.d.stop()
        self.d.start()
        look()
        listed = dict(line.split("\t", 1) for line in self.ok(self.d.kv("table", "list")).decode().splitlines())
        self.assertEqual(listed["by timestamp"], "4\ttimestamp\tjson")
        self.assertEqual(listed["of uuid"], "3\tuint64\tuuid")
        as_json = {t["table"]: t for t in map(json.loads, self.ok(self.d.kv("table", "list", "--json")).splitlines())}
        self.assertEqual((as_json["of json"]["key_type"], as_json["of json"]["value_type"]), ("uint64", "json"))
        row = json.loads(self.scan("by int64", "--json", "--from=-1", "--limit", "1")[0])
        self.assertEqual(row["key"], rig.b64(bytes([0x7F] + [0xFF] * 7)))

    def test_what_is_not_of_the_type_is_refused_by_name_and_changes_nothing(self):
        for kind, bad in BAD.items():
            self.create("of " + kind, "uint64", kind)
            for text in bad:
                value = text if isinstance(text, bytes) else text.encode()
                self.refused(self.put("of " + kind, "1", value=value), 1, "not of the table's value type", kind)
            self.assertEqual(self.scan("of " + kind), [])
        for kind in ("int64", "uint64", "uuid", "timestamp"):
            self.create("by " + kind, kind)
            for text in BAD[kind]:
                self.refused(self.put("by " + kind, text, "v"), 1, "not of the table's key type", kind)
            for command in ("get", "del"):
                self.refused(self.d.kv(command, "by " + kind, "--", BAD[kind][-1]), 1, "not of the table's key type", kind)
            self.assertEqual(self.scan("by " + kind), [])
        self.refused(self.d.kv("scan", "by int64", "--prefix", "1"), 2, "--prefix")
        self.refused(self.d.kv("scan", "by uuid", "--from", "zwölf"), 1, "key type")
        self.assertEqual(self.d.kv("table", "create", "t", "--key-type", "json").returncode, 2)
        self.assertEqual(self.d.kv("table", "create", "t", "--value-type", "number").returncode, 2)

    def test_the_server_refuses_what_a_client_did_not_look_at(self):
        self.create("of json", "int64", "json")
        self.create("plain")
        key = rig.b64(bytes(8))
        for row, text in (({"key": key, "value": rig.b64(b"{")}, "value type"), ({"key": rig.b64(b"1"), "value": rig.b64(b"{}")}, "key type")):
            self.refused(self.d.kv("load", "of json", "-", stdin=json.dumps(row).encode() + b"\n"), 1, text)
        self.ok(self.d.kv("load", "of json", "-", stdin=json.dumps({"key": key, "value": rig.b64(b"{}")}).encode() + b"\n"))
        self.assertEqual(self.scan("of json"), ["-9223372036854775808\t{}"])
        self.refused(self.d.kv("batch", "-", stdin=b"put\tplain\tk\tv\nput\tof json\t1\t{\n"), 1, "value type")
        self.assertEqual(self.scan("plain"), [])

    def test_cas_watch_proofs_and_tags_speak_of_values_as_people_write_them(self):
        self.create("t", "int64", "timestamp", "--layout", "patricia")
        index = json.loads(self.ok(self.put("t", "--json", "-5", "2026-11-22T06:52:51Z")))["index"]
        self.ok(self.d.kv("get", "t", "--proof", self.root / "proof", "--", "-5"), b"2026-11-22T06:52:51.000000Z")
        self.ok(self.d.kv("cas", "t", "--old", "2026-11-22T06:52:51Z", "--", "-5", TIMES[2]))
        self.refused(self.d.kv("cas", "t", "--old", TIMES[0], "--", "-5", TIMES[1]), 1, "did not hold")
        self.refused(self.d.kv("cas", "t", "--old", "never", "--", "-5", TIMES[1]), 1, "value type")
        seen = self.ok(self.d.kv("watch", "t", "--from", index, "--limit", "2")).decode().splitlines()
        self.assertEqual([line.split("\t")[1:] for line in seen], [["put", "-5", "2026-11-22T06:52:51.000000Z"], ["put", "-5", TIMES[2]]])
        self.ok(rig.run("tag", "create", "-c", self.d.server_yaml, "v1"))
        self.ok(self.d.kv("table", "drop", "t"))
        self.create("t", "uuid", "text")  # the name is another table's now: the tag's has the types it had
        self.assertEqual(self.scan("t@v1"), [f"-5\t{TIMES[2]}"])
        self.ok(self.d.kv("get", "t", "--tag", "v1", "--", "-5"), TIMES[2].encode())
        self.refused(self.d.kv("get", "t", "--", "-5"), 1, "key type", "uuid")


if __name__ == "__main__":
    rig.main()

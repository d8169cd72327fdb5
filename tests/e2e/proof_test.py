#!/usr/bin/python3
"""Tables of the patricia layout: equal rows have equal roots, and `verify-proof` says what a proof proves, offline."""
import hashlib
import json
import struct

import rig


def bits(key):
    return "".join("1" + format(b, "08b") for b in key) + "0"


def prefix(text):
    pieces = [text[i + 1:i + 9].ljust(8, "0") for i in range(0, len(text), 9) if text[i] == "1"]
    return bytes(int(p, 2) for p in pieces)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def blob16(b):
    return struct.pack("<H", len(b)) + b


def root_of_inclusion(file):
    """(key, value, root) as docs/format.md 12 has it, by other code than ours."""
    at = 8 + 2 + 16 + 16 + 8
    rows, said, size = struct.unpack_from("<Q32sH", file, at)
    at += 42
    key, at = file[at:at + size], at + size
    n, = struct.unpack_from("<H", file, at)
    path = [struct.unpack_from("<H32s", file, at + 2 + 34 * i) for i in range(n)]
    at += 2 + 34 * n
    kind, salt, length = struct.unpack_from("<B32sI", file, at)
    assert kind == 1
    value = file[at + 37:at + 37 + length]
    digest = sha(b"holdfast row\0", blob16(key), sha(b"holdfast value\0", salt, sha(value)))
    text = bits(key)
    for bit, other in reversed(path):
        left, right = (other, digest) if text[bit] == "1" else (digest, other)
        digest = sha(b"holdfast branch\0", struct.pack("<H", bit), blob16(prefix(text[:bit])), left, right)
    root = sha(b"holdfast table\0", file[10:42], struct.pack("<Q", rows), digest)
    assert root == said
    return key, value, root.hex().upper()


class Proofs(rig.TestCase):
    def setUp(self):
        super().setUp()
        self.d = self.deployment().start()
        self.ok(self.d.kv("table", "create", "t", "--layout", "patricia"))

    def load(self, table, rows):
        lines = b"".join(b"%s\t%s\n" % (k.encode(), v.encode()) for k, v in rows)
        self.ok(self.d.kv("load", table, "-", stdin=lines))

    def rows(self):
        return [(f"user:{i * i}", f"value {i}") for i in range(300)]

    def proof(self, key, name, code=0):
        path = self.root / name
        r = self.d.kv("get", "t", key, "--proof", path)
        self.assertEqual((r.returncode, r.stderr), (code, b""))
        return path

    def root_now(self, table="t"):
        return self.ok(self.d.kv("root", table)).decode().strip()

    def check(self, path, *more, json_=True):
        return rig.run("verify-proof", path, *(["--json"] if json_ else []), *more)

    def test_a_row_is_proven_and_its_absence_too_without_server_or_key(self):
        self.load("t", self.rows())
        got = self.d.kv("get", "t", "user:2500", "--proof", self.root / "there")
        self.ok(got, b"value 50")
        self.proof("user:2501", "absent", code=1)
        root, state = self.root_now(), json.loads(self.ok(self.d.kv("root", "t", "--json")))
        self.assertEqual(state["root"], root)
        self.assertEqual(state["rows"], 300)
        self.d.stop()
        claim = json.loads(self.ok(self.check(self.root / "there", "--root", root)))
        self.assertEqual(claim, {"included": True, "key": rig.b64(b"user:2500"), "value": rig.b64(b"value 50"),
                                 "root": root, "root_compared": True, "store": claim["store"], "table": state["id"],
                                 "rows": 300, "index": state["root_index"]})
        claim = json.loads(self.ok(self.check(self.root / "absent", "--root", "0" * 64, "--root", root.lower())))
        self.assertEqual((claim["included"], claim["key"]), (False, rig.b64(b"user:2501")))
        self.assertNotIn("value", claim)
        text = self.ok(self.check(self.root / "there", json_=False)).decode().splitlines()
        self.assertEqual(text[0], "included\tuser:2500\tvalue 50")
        self.assertTrue(text[1].startswith(f"root\t{root}\tnot compared"))
        self.assertEqual(root_of_inclusion((self.root / "there").read_bytes()), (b"user:2500", b"value 50", root))
        self.refused(self.check(self.root / "there", "--root", "0" * 64), 3, "none of those given")

    def test_what_is_no_proof_or_does_not_hold_is_refused(self):
        self.load("t", self.rows())
        path = self.proof("user:4", "p")
        file = path.read_bytes()
        for at in range(10, len(file), 37):
            path.write_bytes(file[:at] + bytes([file[at] ^ 0x20]) + file[at + 1:])
            self.refused(self.check(path), 3, "does not hold")
        path.write_bytes(file[:-1])
        self.refused(self.check(path), 3, "does not hold")
        path.write_bytes(b"another file")
        self.refused(self.check(path), 1, "is not a proof")
        self.refused(self.check(self.root / "none"), 1, "not found")
        path.write_bytes(file)
        self.refused(self.check(path, "--root", "12"), 2, "64 hex digits")
        self.assertEqual(rig.run("verify-proof").returncode, 2)
        self.ok(rig.run("verify-proof", "-", stdin=file))
        self.assertEqual(self.ok(self.d.kv("get", "t", "user:4", "--proof", "-")), file)

    def test_equal_rows_have_equal_roots_whatever_happened_and_proofs_are_of_the_newest_write(self):
        self.load("t", self.rows())
        self.ok(self.d.admin("save-state"))
        first = self.root_now()
        self.ok(self.d.kv("put", "t", "user:2500", "other"))
        old = self.proof("user:2500", "other")  # saves, since the row is newer than the last save
        index = json.loads(self.ok(self.check(old)))["index"]
        late = self.root / "late"
        self.ok(self.d.kv("get", "t", "user:2500", "--proof", late, "--at-least", str(index)), b"other")
        self.assertEqual(json.loads(self.ok(self.check(old)))["value"], rig.b64(b"other"))
        changed = self.root_now()
        self.assertNotEqual(changed, first)
        self.ok(self.d.kv("put", "t", "passing", "by"))
        self.ok(self.d.kv("put", "t", "user:2500", "value 50"))
        self.ok(self.d.admin("save-state"))
        self.d.stop()
        self.d.start()
        self.ok(self.d.kv("del", "t", "passing"))
        self.proof("passing", "gone", code=1)
        self.assertEqual(self.root_now(), first)
        self.refused(self.check(old, "--root", first), 3)
        self.ok(self.check(old, "--root", changed))
        self.ok(self.check(self.root / "gone", "--root", first))
        self.d.stop()
        self.ok(self.d.verify("--require-fresh"))

    def test_other_tables_have_no_proofs(self):
        self.ok(self.d.kv("table", "create", "plain"))
        self.ok(self.d.kv("put", "plain", "k", "v"))
        self.refused(self.d.kv("get", "plain", "k", "--proof", self.root / "p"), 1, "patricia")
        self.refused(self.d.kv("root", "plain"), 1, "patricia")
        self.refused(self.d.kv("root", "nowhere"), 1, "no such table")
        self.refused(self.d.kv("get", "nowhere", "k", "--proof", self.root / "p"), 1, "no such table")
        self.refused(self.d.kv("table", "create", "u", "--layout", "patricia", "--order", "64"), 2, "invalid argument")
        self.refused(self.d.kv("table", "create", "u", "--layout", "heap"), 2, "--layout")
        self.ok(self.d.kv("table", "create", "u", "--layout", "patricia", "--no-inline", "--order", "8"))
        tables = {t["table"]: t for t in map(json.loads, self.ok(self.d.kv("table", "list", "--json")).splitlines())}
        self.assertEqual({n: (t["layout"], t["never_inline"]) for n, t in tables.items()},
                         {"t": ("patricia", False), "plain": ("btree", False), "u": ("patricia", True)})
        # An empty table proves that it is.
        r = self.d.kv("get", "u", "k", "--proof", self.root / "empty")
        self.assertEqual((r.returncode, r.stdout, r.stderr), (1, b"", b""))
        claim = json.loads(self.ok(self.check(self.root / "empty", "--root", self.root_now("u"))))
        self.assertEqual((claim["included"], claim["rows"]), (False, 0))
        large = bytes(range(256)) * 1000
        self.ok(self.d.kv("put", "u", "large", "-", stdin=large))
        self.ok(self.d.kv("get", "u", "large", "--proof", self.root / "large"), large)
        self.assertEqual(root_of_inclusion((self.root / "large").read_bytes())[1], large)


if __name__ == "__main__":
    rig.main()

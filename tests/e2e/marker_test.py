#!/usr/bin/python3
"""Planted keys, values, table names and the passphrase occur in no byte on disk or in logs, in no common encoding."""
import base64
import re

import rig

TABLE = "markertablename-Kj38fh"
KEY = "markerkeybytes-Qp57dk"
VALUE = "markervaluebytes-Zr91ms"
LONG = VALUE * 20_000  # chunked: 460 KB
CLIENT = "markerclient-Vb20xt"
PASSPHRASE = "markerpassphrase-Lw64ge never on disk"
TEXTS = (TABLE, KEY, VALUE, CLIENT, PASSPHRASE)


def encodings(text):
    plain = text.encode()
    yield plain
    yield text.encode("utf-16-le")
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    for skip in range(3):  # base64 depends on where the text begins; the middle of each alignment is looked for
        yield base64.b64encode(b"x" * skip + plain)[4:-4]
    yield plain[::-1]


def found(path, patterns):
    data = path.read_bytes()
    return [name for name, pattern in patterns if pattern in data]


class Marker(rig.TestCase):
    def files(self):
        for top in (self.d.store, self.d.directory / "temp"):
            yield from (p for p in top.rglob("*") if p.is_file())
        yield from (self.d.log_path, self.d.directory / "anchor", self.d.server_yaml, self.d.client_yaml)

    def look(self, when):
        patterns = [(f"{text} as {pattern[:20]!r}", pattern) for text in TEXTS for pattern in encodings(text)]
        hits = {str(p): hit for p in self.files() if (hit := found(p, patterns))}
        self.assertEqual(hits, {}, when)

    def test_nothing_that_was_planted_is_ever_in_the_clear(self):
        self.d = self.deployment(init=False)
        self.d.passphrase.write_text(PASSPHRASE)
        self.d.init("--json")
        self.d.start()
        self.ok(self.d.kv("table", "create", TABLE))
        self.ok(self.d.kv("put", TABLE, KEY, VALUE))
        self.ok(self.d.kv("put", TABLE, KEY + "long", "-", stdin=LONG.encode()))
        self.ok(self.d.kv("batch", "-", stdin="".join(f"put\t{TABLE}\t{KEY}{i}\t{VALUE}{i}\n" for i in range(500)).encode()))
        self.ok(self.d.admin("client", "add", CLIENT, "--out", self.root / "out"))
        self.look("in the journal, while it is served")
        self.ok(self.d.admin("save-state"))
        self.look("in the tree, while it is served")
        # What goes wrong must not talk either.
        self.assertEqual(self.d.kv("get", TABLE + "x", KEY).returncode, 1)
        self.assertEqual(self.d.kv("put", TABLE, KEY * 60, VALUE).returncode, 1)
        self.assertEqual(self.d.kv("cas", TABLE, KEY, VALUE, "--absent").returncode, 1)
        self.d.kill()
        self.look("after kill -9")
        self.d.start()
        self.ok(self.d.kv("del", TABLE, KEY))
        self.d.stop()
        self.look("after a clean stop")
        self.assertTrue(list(self.d.store.glob("segments/*")), "nothing was saved: the search proves nothing")

    def test_the_search_finds_what_is_there(self):
        planted = self.root / "planted"
        for text in TEXTS:
            for pattern in encodings(text):
                planted.write_bytes(b"\x00" * 100 + pattern + b"\x00")
                patterns = [("", p) for p in encodings(text)]
                self.assertTrue(found(planted, patterns), pattern)

    def test_names_in_the_store_are_the_documented_ones(self):
        self.d = self.deployment().start()
        self.ok(self.d.kv("table", "create", TABLE))
        self.ok(self.d.admin("save-state"))
        self.d.stop()
        slot = "(core|key)-enclave(\\.recovery-key-shares)?|server-state|state-save-number"
        name = re.compile(f"unlockers|reserve|enclave-state/[01]/({slot})|members/[0-9A-F]{{32}}/journal/[0-9]{{20}}|(segments|manifest)/[0-9A-F]{{32}}")
        for path in self.d.store.rglob("*"):
            if path.is_file():
                self.assertRegex(str(path.relative_to(self.d.store)), f"^({name.pattern})$")
        self.assertEqual((self.d.store / "enclave-state/0/server-state").stat().st_size, 52)
        self.assertEqual((self.d.store / "enclave-state/0/state-save-number").stat().st_size, 72)
        self.assertTrue((self.d.directory / "temp/enclave-state-saving.LCK").exists())


if __name__ == "__main__":
    rig.main()

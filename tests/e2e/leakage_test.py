#!/usr/bin/python3
"""What a provider sees (docs/leakage.md), seen as a provider: names, sizes, headers, and nothing that depends on content.

Two deployments do the same work with other tables, keys and values of the same lengths. What is at rest must be the same
but for random bytes; every name and every size in clear must be of a kind that the document lists.
"""
import os
import random
import re
import struct

import rig

HEX = "[0-9A-F]{32}"
NAMES = {  # docs/leakage.md, first table
    "segment": rf"segments/({HEX})",
    "group": rf"manifest/({HEX})",
    "journal": rf"members/{HEX}/journal/\d{{20}}",
    "slot": r"enclave-state/[01]/(core-enclave|core-enclave\.recovery-key-shares|key-enclave|key-enclave\.recovery-key-shares"
            r"|server-state|state-save-number)",
    "unlockers": r"unlockers",
    "reserve": r"reserve",
}
SECTOR = 512
KINDS = {1: "wave", 2: "barrier", 3: "closing"}


def size_classes(most):
    """Sectors: 2^k and 3 x 2^(k-1) up to 16, eight for each doubling above."""
    out, power = set(), 1
    while power <= 16:
        out |= {power, power * 3 // 2}
        power *= 2
    out = {c for c in out if c <= 16}
    power = 16
    while power <= most:
        out |= {power + power // 8 * i for i in range(9)}
        power *= 2
    return out


def kind_of(name):
    kinds = [kind for kind, pattern in NAMES.items() if re.fullmatch(pattern, name)]
    assert len(kinds) == 1, name
    return kinds[0]


def frames(data):
    """(kind, sectors) of each frame of a journal file."""
    out, at = [], 0
    while at < len(data) and data[at:at + 8] == b"HFFRAME1":
        kind, = struct.unpack_from("<H", data, at + 14)
        sectors, = struct.unpack_from("<I", data, at + 24)
        out.append((KINDS[kind], sectors))
        at += sectors * SECTOR
    assert not any(data[at:]), "behind the last frame"
    return out


class Leakage(rig.TestCase):
    def work(self, name, seed):
        """The same lengths in the same order, whatever the seed; everything else is drawn from it."""
        source = random.Random(seed)

        def text(length):
            return "".join(source.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(length))

        d = self.deployment(name).start()
        tables = [text(9), text(14)]
        for table in tables:
            self.ok(d.kv("table", "create", table))
        # In both, the keys sort alike: the shape of a tree follows the order of keys, which is content too, but of
        # keys that come in order it follows the number alone.
        lengths = (3, 40, 223, 224, 225, 4_000, 70_000, 300_000)
        for turn in range(3):
            for i, length in enumerate(lengths):
                row = f"put\t{tables[i % 2]}\t{turn}{i}{text(10)}\t{text(length)}\n"
                self.ok(d.kv("batch", "-", stdin=row.encode()))
            self.ok(d.admin("save-state"))
        self.ok(d.kv("batch", "-", stdin="".join(
            f"put\t{tables[0]}\t9{i:03}{text(6)}\t{text(100)}\n" for i in range(400)).encode()))
        self.ok(d.admin("save-state"))
        d.stop()
        return d

    def seen(self, d):
        """{kind: [what a provider sees of each object]}, ids left out."""
        out = {}
        for path in sorted(p for p in d.store.rglob("*") if p.is_file()):
            name = path.relative_to(d.store).as_posix()
            kind = kind_of(name)
            data = path.read_bytes() if kind != "reserve" else b""
            if kind == "journal":
                out.setdefault(kind, []).append(frames(data))
            elif kind in ("segment", "group"):
                save = int(re.fullmatch(NAMES[kind], name).group(1)[:16], 16)
                out.setdefault(kind, []).append((save, len(data)))
            elif kind == "slot":
                out.setdefault(kind, []).append((name, len(data)))
            else:
                out.setdefault(kind, []).append(len(data))
        return {kind: sorted(objects) for kind, objects in out.items()}

    def test_what_is_seen_does_not_depend_on_content(self):
        one, other = self.work("one", 1), self.work("other", 2)
        first, second = self.seen(one), self.seen(other)
        self.assertEqual(set(first), set(NAMES) - ({"reserve"} - set(first)))
        for kind in first:
            self.assertEqual(first[kind], second[kind], kind)
        waves = [sectors for journal in first["journal"] for kind, sectors in journal if kind == "wave"]
        self.assertGreater(len(waves), 3)
        self.assertLessEqual(set(waves), size_classes(max(waves)))

        # No sixteen bytes of what is sealed come twice, in one store or in both: each object has a key of its own.
        met = {}
        for d in (one, other):
            for path in sorted((d.store / "segments").iterdir()):
                data = path.read_bytes()[80:]
                for at in range(0, len(data) - 15, 16):
                    block = data[at:at + 16]
                    self.assertNotIn(block, met, f"{path} at {at} and {met.get(block)}")
                    met[block] = (path, at)
        self.assertGreater(len(met), 10_000)

    def test_a_wave_shows_its_size_within_its_class_alone(self):
        d = self.deployment().start()
        self.ok(d.kv("table", "create", "t"))
        journal = d.store / "members"

        def sectors_of(length):
            """Of the frame that a put of so many bytes makes."""
            before = sum((frames(p.read_bytes()) for p in sorted(journal.rglob("*")) if p.is_file()), [])
            self.ok(d.kv("put", "t", "k", os.urandom(length // 2).hex()))
            after = sum((frames(p.read_bytes()) for p in sorted(journal.rglob("*")) if p.is_file()), [])
            self.assertEqual(len(after), len(before) + 1)
            return after[-1][1]

        self.assertEqual(len({sectors_of(n) for n in (2, 20, 60, 100)}), 1)
        large = [sectors_of(n) for n in (20_600, 20_800, 21_000)]
        self.assertEqual(len(set(large)), 1, large)
        self.assertGreater(sectors_of(60_000), large[0])
        d.stop()


if __name__ == "__main__":
    rig.main()

"""How much memory the server takes while it is loaded, against Service.MemoryBytes.

    HF_ROWS=50000000 python3 tests/e2e/memory_test.py --binary build/release/bin/holdfast
"""
import os
import pathlib
import random
import threading
import time

import rig

ROWS = int(os.environ.get("HF_ROWS", "600000"))
MEMORY = 256 << 20
# The plan is for what is asked for (base/memory_plan.h); how much of the heap is holes differs from run to run.
HOLES = 64 << 20


def children(pid):
    out = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        out += [int(p) for p in (task / "children").read_text().split()]
    return out


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class MemoryTest(rig.TestCase):
    def write_rows(self, path):
        """Keys of 16 random bytes in hexadecimal halves, values of 100 that do not compress."""
        source = random.Random(5)
        with open(path, "w", encoding="ascii") as f:
            for begin in range(0, ROWS, 10_000):
                lines = []
                for _ in range(min(10_000, ROWS - begin)):
                    bits = source.getrandbits(64 + 400)
                    lines.append(f"{bits & (2**64 - 1):016x}\t{bits >> 64:0100x}")
                f.write("\n".join(lines) + "\n")

    def test_the_server_stays_within_its_memory_while_it_is_loaded(self):
        d = self.deployment()
        text = d.server_yaml.read_text()
        self.assertIn("Service:\n", text)
        d.server_yaml.write_text(text.replace("Service:\n", f"Service:\n  MemoryBytes: {MEMORY}\n"))
        rows = self.root / "rows.tsv"
        self.write_rows(rows)
        d.start()
        core = children(d.process.pid)
        self.assertEqual(len(core), 1)
        seen, done = [], threading.Event()

        def watch():
            while not done.wait(0.05):
                seen.append(resident(core[0]))

        before = resident(core[0])
        watcher = threading.Thread(target=watch)
        watcher.start()
        begin = time.monotonic()
        try:
            r = rig.run("kv", "-c", d.client_yaml, "load", "t", rows, "--create", timeout=60 + ROWS // 5_000)
        finally:
            done.set()
            watcher.join()
        self.ok(r)
        print(f"\n{ROWS:,} rows in {time.monotonic() - begin:.1f} s; the core's resident memory: {before >> 20} MiB before, "
              f"at most {max(seen) >> 20}, {resident(core[0]) >> 20} at the end, of {MEMORY >> 20}", flush=True)
        self.ok(d.admin("save-state"))
        self.assertLessEqual(max(seen), MEMORY + HOLES)
        d.stop()


if __name__ == "__main__":
    rig.main()

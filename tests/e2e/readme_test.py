#!/usr/bin/python3
"""README.md is executed: every ```sh block, in order, in one shell, except `make test` (which runs this) and `make demo`
(which has a test of its own)."""
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

import rig


def blocks(text):
    found = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.M | re.S)
    return [b for b in found if not re.fullmatch(r"(make (test|demo)\n)+", b)]


class Readme(unittest.TestCase):
    def test_every_command_does_what_it_says(self):
        parts = blocks((rig.SOURCE / "README.md").read_text())
        self.assertGreaterEqual(len(parts), 4)
        script = "set -euo pipefail\n" + "\n".join(parts)
        # The reader's build is where the README says; ours may lie elsewhere.
        script = script.replace("$PWD/build/release/bin", str(rig.binary.parent))
        with tempfile.TemporaryDirectory(prefix="holdfast-readme-") as temp:
            env = rig.environment() | {"TMPDIR": temp}
            # Files, not pipes: a server that outlives a failed script would keep a pipe open.
            with open(f"{temp}/out", "wb") as out, open(f"{temp}/err", "wb") as err:
                shell = subprocess.Popen(["bash", "-c", script], cwd=rig.SOURCE, env=env, stdin=subprocess.DEVNULL,
                                         stdout=out, stderr=err, start_new_session=True)
                try:
                    code = shell.wait(120)
                finally:
                    try:  # the server it started, if it failed half-way: the group is this test's own
                        os.killpg(shell.pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            said = pathlib.Path(f"{temp}/out").read_text()
            self.assertEqual(code, 0, pathlib.Path(f"{temp}/err").read_text()[-3000:] + said[-2000:])
            for text in ("120", "apple\t120", "loaded 2 records", "saved up to index", "verified", "fresh to index"):
                self.assertIn(text, said)

    def test_the_only_prerequisite_is_one_line(self):
        text = (rig.SOURCE / "README.md").read_text()
        self.assertEqual(re.findall(r"apt-get.*", text), ["apt-get install -y git make"])


if __name__ == "__main__":
    rig.main()

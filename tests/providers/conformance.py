"""Runs the one suite of all providers (src/host/kv/conformance.h) against a service that a test has started."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
program = SOURCE / "build/release/bin/remote_conformance"


def main():
    global program
    if "--conformance" in sys.argv:
        at = sys.argv.index("--conformance")
        program = pathlib.Path(sys.argv[at + 1]).resolve()
        del sys.argv[at:at + 2]
    if not program.exists():
        sys.exit(f"{program} is not built")
    unittest.main(verbosity=2)


# The whole suite as it is; inside the wrappers what does not take minutes on a slow service.
MOST = ("--gtest_filter=-*APageIsNeverLonger*/NoFault:*APageIsNeverLonger*/Buffered:*AReaderNeverSees*/NoFault:*AReaderNeverSees*/Buffered:"
        "*ManyUnsynced*/NoFault:*ThreadsWith*/Buffered:*EveryOtherWrite*/NoFault:*OfMany*/NoFault:*OnlyOneOfMany*/NoFault")

ROUGH = "--gtest_filter=*/Plain:RemoteOpening.*:-*AReaderNeverSees*:*APageIsNeverLonger*"

SLOW = ROUGH + ":*ManyUnsynced*"


class TestCase(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-remote-"))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)

    def file(self, text, mode):
        path = self.root / f"file-{mode:o}"
        path.write_text(text)
        path.chmod(mode)
        return path

    def run_suite(self, url, environment, *arguments):
        clean = {k: v for k, v in os.environ.items()
                 if not k.startswith(("AWS_", "AZURE_", "FIRESTORE_", "PG", "HF_", "HOLDFAST_")) and not k.lower().endswith("_proxy")}
        return subprocess.run([program, *arguments], env={**clean, **environment, "HF_REMOTE_URL": str(url)}, capture_output=True,
                              text=True, errors="replace", timeout=300, check=False)

    def suite(self, url, environment, *arguments):
        r = self.run_suite(url, environment, *arguments)
        lines = r.stdout.splitlines()
        first = next((i for i, l in enumerate(lines) if "Failure" in l or l.startswith("[  FAILED")), max(0, len(lines) - 9))
        failed = "\n".join(lines[first:first + 12] + [l for l in lines if l.startswith("[  FAILED")]) + "\n"
        self.assertEqual(r.returncode, 0, failed + r.stderr)
        self.assertNotIn("[  PASSED  ] 0 tests", r.stdout)
        return r.stdout

    def opening(self, url, environment):
        """What an attempt to make a store there says: a code."""
        r = self.run_suite(url, environment, "--gtest_filter=Remote/StorageConformance.AnEmptyObjectIsThere/Plain")
        self.assertNotEqual(r.returncode, 0, "it opened")
        return r.stdout + r.stderr

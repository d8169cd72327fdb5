"""A deployment of its own for a test: the real binary, a temporary directory, ports chosen by the kernel.

    python3 tests/e2e/<name>_test.py --binary build/release/bin/holdfast [unittest arguments]

Servers are ended by the process that this test started, never by name. Everything waits with a deadline.
"""
import base64
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
DEADLINE_S = 60
PASSPHRASE = "a passphrase for tests only"
CHEAP_KDF = ["--kdf-memory-kib", "64"]

binary = SOURCE / "build/release/bin/holdfast"


def main():
    global binary
    if "--binary" in sys.argv:
        at = sys.argv.index("--binary")
        binary = pathlib.Path(sys.argv[at + 1]).resolve()
        del sys.argv[at:at + 2]
    if not binary.exists():
        sys.exit(f"{binary} is not built")
    unittest.main(verbosity=2)


def environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
    env["LC_ALL"] = "C.UTF-8"
    return env


def run(*arguments, stdin=b"", env=None, timeout=DEADLINE_S, cwd=None):
    """Runs holdfast with the arguments; a CompletedProcess with bytes."""
    return subprocess.run([str(binary), *map(str, arguments)], input=stdin, capture_output=True, timeout=timeout,
                          env=env or environment(), cwd=cwd, start_new_session=True, check=False)


class Deployment:
    def __init__(self, root, name="d"):
        self.root = pathlib.Path(root)
        self.directory = self.root / name
        self.passphrase = self.root / "passphrase"
        if not self.passphrase.exists():
            self.passphrase.touch(mode=0o600)
            self.passphrase.write_text(PASSPHRASE + "\n")
        self.server_yaml = self.directory / "server.yaml"
        self.client_yaml = self.directory / "client.yaml"
        self.store = self.directory / "store"
        self.log_path = self.root / f"{name}.log"
        self.process = None

    def init(self, *more):
        r = run("init", "--dir", self.directory, "--passphrase-file", self.passphrase, *CHEAP_KDF, *more)
        assert r.returncode == 0, r.stderr
        return self

    def port(self, name="user"):
        return int((self.directory / f"temp/server-{name}.port").read_text())

    def spawn(self, *more):
        """Starts serve and waits for nothing."""
        for name in ("user", "admin"):
            (self.directory / f"temp/server-{name}.port").unlink(missing_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [str(binary), "serve", "-c", str(self.server_yaml), "--passphrase-file", str(self.passphrase), *more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(), start_new_session=True)
        return self

    def wait_ready(self):
        end = time.monotonic() + DEADLINE_S
        while not (self.directory / "temp/server-user.port").exists():
            if self.process.poll() is not None:
                raise AssertionError(f"serve ended with {self.process.returncode}: {self.log()}")
            if time.monotonic() > end:
                self.kill()
                raise AssertionError(f"serve is not ready: {self.log()}")
            time.sleep(0.02)
        return self

    def start(self, *more):
        return self.spawn(*more).wait_ready()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE_S)
        self.process = None
        assert code == 0, f"serve ended with {code}: {self.log()}"

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait(DEADLINE_S)
            self.process = None

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def kv(self, *arguments, stdin=b""):
        return run("kv", "-c", self.client_yaml, *arguments, stdin=stdin)

    def admin(self, *arguments):
        return run("admin", "-c", self.server_yaml, *arguments)

    def verify(self, *arguments):
        return run("verify", "-c", self.server_yaml, "--passphrase-file", self.passphrase, *arguments)


class TestCase(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-e2e-"))
        self.deployments = []

    def forget_accounts(self):
        """What the environment says of remote providers, until the test is over."""
        before = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(before)))
        for name in list(os.environ):
            if name.startswith(("AWS_", "AZURE_", "FIRESTORE_", "PG")) or name.lower().endswith("_proxy"):
                del os.environ[name]

    def tearDown(self):
        for d in self.deployments:
            d.kill()
        for path in self.root.rglob("*"):  # a test may have taken rights away
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(self.root, ignore_errors=True)

    def deployment(self, name="d", init=True):
        d = Deployment(self.root, name)
        self.deployments.append(d)
        return d.init() if init else d

    def ok(self, result, stdout=None):
        self.assertEqual(result.returncode, 0, result.stderr.decode(errors="replace") + result.stdout.decode(errors="replace"))
        self.assertEqual(result.stderr, b"")
        if stdout is not None:
            self.assertEqual(result.stdout, stdout)
        return result.stdout

    def refused(self, result, code, *texts):
        """Exit `code`, one line on stderr that contains each of `texts`, in front of it nothing that we did not expect."""
        said = result.stderr.decode(errors="replace")
        self.assertEqual(result.returncode, code, said + result.stdout.decode(errors="replace"))
        lines = [l for l in said.splitlines() if not l.startswith(("holdfast: note: ", "holdfast: warning: "))]
        self.assertEqual(len(lines), 1, said)
        self.assertTrue(lines[0].startswith("holdfast: "), said)
        for text in texts:
            self.assertIn(text, lines[0])


def b64(data):
    return base64.b64encode(data).decode()

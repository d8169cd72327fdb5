"""Foreign servers for the tests of the remote providers, each started by the test that uses it, on a port of 127.0.0.1
that was free, and ended by its own process. `scripts/emulators --install` (part of scripts/setup) brings those of npm."""
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
DEADLINE_S = 60


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def emulator(package):
    """The installed package's directory and the node that runs it; the test is skipped by name without them."""
    node = shutil.which("node") or shutil.which("nodejs")
    place = pathlib.Path(subprocess.run([SOURCE / "scripts/emulators"], capture_output=True, text=True, check=True).stdout.strip())
    found = place / "node_modules" / package
    if node is None or not (place / "complete").exists() or not found.exists():
        raise unittest.SkipTest(f"{package} is not installed: scripts/setup")
    return node, found


class Server:
    """A child process that listens on self.port; ended, whole group, by __exit__."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-provider-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def command(self):
        raise NotImplementedError

    def __enter__(self):
        self.log = open(self.root / "log", "ab")
        try:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                            start_new_session=True, cwd=self.root)
        except BaseException:
            shutil.rmtree(self.root, ignore_errors=True)
            raise
        end = time.monotonic() + DEADLINE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    said = (self.root / "log").read_text(errors="replace")
                    self.__exit__()
                    raise AssertionError(f"{self.command()[0]} does not listen: {said}")
                time.sleep(0.02)

    def __exit__(self, *_):
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGTERM)
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
            except ProcessLookupError:
                self.process.wait(10)
        self.log.close()
        shutil.rmtree(self.root, ignore_errors=True)


class S3rver(Server):
    """s3rver keeps files below root/objects; it knows no conditions and checks no SigV4 signature."""
    environment = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER"}

    def command(self):
        node, package = emulator("s3rver")
        # Its listings go on by a cipher that OpenSSL 3 counts as old.
        return [node, "--openssl-legacy-provider", str(package / "bin/s3rver.js"), "-d", str(self.root / "objects"), "-a", "127.0.0.1", "-p", str(self.port),
                "--silent", "--configure-bucket", "hf"]


class Dynalite(Server):
    environment = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "thing"}

    def command(self):
        node, package = emulator("dynalite")
        return [node, str(package / "cli.js"), "--host", "127.0.0.1", "--port", str(self.port), "--path", str(self.root / "tables"),
                "--createTableMs", "5", "--deleteTableMs", "5"]


class Azurite(Server):
    """azurite's table service; it verifies SharedKeyLite. Its account and key are published by Microsoft."""
    account = "devstoreaccount1"
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    environment = {"AZURE_STORAGE_KEY": key}

    def command(self):
        node, package = emulator("azurite")
        return [node, str(package / "dist/src/table/main.js"), "--silent", "--disableTelemetry", "--location", str(self.root / "tables"),
                "--tableHost", "127.0.0.1", "--tablePort", str(self.port)]


class Postgres(Server):
    """A cluster of its own, on a socket and on loopback, as the user that Debian's package makes: initdb refuses root."""
    user = "hf"
    environment = {}

    def as_owner(self, *command):
        if os.geteuid() != 0:
            return [str(c) for c in command]
        return ["setpriv", f"--reuid={self.owner.pw_uid}", f"--regid={self.owner.pw_gid}", "--clear-groups", *map(str, command)]

    def command(self):
        return self.as_owner(self.bin / "postgres", "-D", self.root / "data", "-h", "127.0.0.1", "-p", self.port, "-k", self.root,
                             "-c", "max_connections=50", "-c", "unix_socket_permissions=0777", *self.options)

    def __init__(self, *options):
        super().__init__()
        self.options = options
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not found:
            raise unittest.SkipTest("PostgreSQL is not installed: scripts/setup")
        self.bin = found[-1].parent
        if os.geteuid() == 0:
            try:
                self.owner = pwd.getpwnam("postgres")
            except KeyError:
                raise unittest.SkipTest("no system user postgres")
            os.chown(self.root, self.owner.pw_uid, self.owner.pw_gid)
            self.root.chmod(0o755)
        made = subprocess.run(self.as_owner(self.bin / "initdb", "-D", self.root / "data", "-A", "trust", "-U", self.user, "-N",
                                            "--locale=C", "-E", "UTF8"), capture_output=True, text=True, cwd=self.root)
        if made.returncode != 0:
            shutil.rmtree(self.root, ignore_errors=True)
            raise AssertionError(made.stderr)
        self.url = f"postgres://{self.user}@127.0.0.1:{self.port}/postgres"

    def restart(self):
        """Every connection breaks; what was committed is there."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(20)
        self.log.close()
        self.__enter__()

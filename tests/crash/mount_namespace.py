"""Mounts that only this test and its children see. Needs root, or user namespaces for everybody."""
import os
import subprocess
import sys

SKIPPED = 77  # SKIP_RETURN_CODE in CMakeLists.txt
_INSIDE = "HOLDFAST_TEST_IN_MOUNT_NAMESPACE"


def enter():
    """Runs this program again inside a mount namespace of its own; returns there. Says so and ends if that is forbidden."""
    if os.environ.pop(_INSIDE, None):
        return
    ways = [["unshare", "-m", "--propagation", "private"], ["unshare", "-r", "-m", "--propagation", "private"]]
    probe = "mount -t tmpfs -o size=64k none /mnt"
    for way in ways if os.geteuid() == 0 else ways[1:]:
        if subprocess.run([*way, "sh", "-c", probe], capture_output=True, check=False).returncode == 0:
            os.environ[_INSIDE] = "1"
            os.execvp(way[0], [*way, sys.executable, *sys.argv])
    print(f"SKIPPED {os.path.basename(sys.argv[0])}: this machine allows neither `unshare -m` nor `unshare -rm` with a mount inside")
    sys.exit(SKIPPED)


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


def unmount(path):
    subprocess.run(["umount", "-l", str(path)], check=True, capture_output=True)

#!/usr/bin/python3
"""dir:…?whole-objects=true on a real mount of an object store: s3fs (Debian) over s3rver. Needs /dev/fuse and the right to mount;
without them it is skipped and says so.

    python3 tests/providers/fuse_test.py --conformance build/release/bin/remote_conformance [unittest arguments]
"""
import os
import re
import shutil
import subprocess
import time
import unittest

import conformance
import servers

# What an object store cannot do; s3fs hides it behind a copy of the whole object, others refuse.
FORBIDDEN = re.compile(r"^\d+\s+(lseek|pwrite64|pwritev2?|ftruncate|truncate|fallocate|rename\w*|link\w*|symlink\w*)\(")
# Deep trees and thousands of names take minutes through FUSE; s3rver ends at the longest names and tears what is read meanwhile.
FEW = ":".join(f"*{name}*/Plain" for name in (
    "GivesBackWhatWasPut", "PutReplacesTheWholeObject", "AnEmptyObjectIsThere", "ARangeEnds", "PutIfAbsentNeverReplaces",
    "DeletingWhatIsAbsent", "ListsSizes", "WhatIsBehindABarrier", "WithoutTheCapability"))


class Mounted:
    def __init__(self, case, server):
        self.case, self.server = case, server
        self.point = case.root / "mount"

    def __enter__(self):
        if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("s3fs") is None:
            raise unittest.SkipTest("no /dev/fuse, or no s3fs: scripts/setup")
        self.point.mkdir()
        keys = self.case.file("S3RVER:S3RVER\n", 0o600)
        self.process = subprocess.Popen(
            ["s3fs", "hf", self.point, "-f", "-o", f"passwd_file={keys}", "-o", f"url={self.server.url}", "-o", "use_path_request_style",
             "-o", f"tmpdir={self.case.root}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        end = time.monotonic() + 20
        while not os.path.ismount(self.point):
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise unittest.SkipTest("s3fs may not mount here")
            time.sleep(0.05)
        return self.point

    def __exit__(self, *_):
        subprocess.run(["fusermount3", "-u", "-z", self.point], capture_output=True, check=False)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


class Fuse(conformance.TestCase):
    def test_the_suite_holds_on_a_mount_and_no_call_goes_beyond_whole_objects(self):
        with servers.S3rver() as server, Mounted(self, server) as point:
            log = self.root / "calls"
            url = f"dir:{point}/{{}}?whole-objects=true"
            strace = shutil.which("strace")
            program = conformance.program
            if strace is not None:
                wrapper = self.file(f'#!/bin/sh\nexec {strace} -f -y -o {log} {program} "$@"\n', 0o700)
                conformance.program = wrapper
            try:
                self.suite(url, {}, f"--gtest_filter={FEW}")
            finally:
                conformance.program = program
            if strace is None:
                self.skipTest("no strace: calls are not looked at")
            lines = [l for l in log.read_text(errors="replace").splitlines() if str(point) in l]
            self.assertTrue(any("O_CREAT" in l for l in lines), "the trace does show the store")
            for line in lines:
                self.assertIsNone(FORBIDDEN.search(line), line)
                self.assertNotIn("O_APPEND", line)
                self.assertNotIn("O_RDWR", line)
            self.assertTrue(list((server.root / "objects/hf").rglob("*")), "the objects are in the bucket")


if __name__ == "__main__":
    conformance.main()

#!/usr/bin/python3
"""What a lock guards is not touched without it.

Every source of the folders below is compiled by clang with its thread-safety analysis, for the syntax alone and with
the include paths of the build: a mutex names its data (HF_GUARDED_BY), a function names what its caller holds
(HF_REQUIRES), and a touch without the lock is an error. So that nothing escapes, the locks of the standard library are
refused there: src/sync wraps them. Exceptions, with reasons: locks.allow.

    check_thread_safety.py --build build/release [--compiler clang++-14] [--only src/core/runtime/engine.cc]
"""
import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from source_tree import report

ALLOW = "tests/arch/locks.allow"
FOLDERS = ("src/sync", "src/channel", "src/core/replica", "src/core/session", "src/core/runtime", "src/host/net", "src/host/runtime")
WRAPPER = "src/sync"  # may name what it wraps
FLAGS = ["-std=c++20", "-fsyntax-only", "-Wno-everything", "-Wthread-safety", "-Wthread-safety-beta", "-Werror=thread-safety",
         "-Werror=thread-safety-beta"]
BARE_LOCK = re.compile(
    r"std::(?:recursive_|timed_|recursive_timed_|shared_|shared_timed_)?mutex\b|std::condition_variable\w*|"
    r"std::(?:lock_guard|unique_lock|scoped_lock|shared_lock)\b|#\s*include\s*<(?:mutex|shared_mutex|condition_variable)>")
AT_ONCE = 2


def parse_allow(text):
    """{file}, problems."""
    names, problems = set(), []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        m = re.fullmatch(r"(\S+)\s+# (\S.*)", line.rstrip())
        if m:
            names.add(m.group(1))
        else:
            problems.append(f"{ALLOW}:{number}: an entry is 'file  # reason': {line}")
    return names, problems


def sources(root, folders=FOLDERS):
    """Every source and header below the folders that a library is made of: no tests, no fuzzers."""
    for folder in folders:
        for where, dirs, files in os.walk(os.path.join(root, folder)):
            dirs.sort()
            for f in sorted(files):
                if f.endswith((".cc", ".h")) and not re.search(r"_(test|fuzz)\.cc$", f):
                    yield os.path.relpath(os.path.join(where, f), root)


def without_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S)


def bare_locks(root, names, allowed):
    problems, used = [], set()
    for name in names:
        if name.startswith(WRAPPER + "/"):
            continue
        with open(os.path.join(root, name), encoding="utf-8") as f:
            lines = without_comments(f.read()).splitlines()
        for number, line in enumerate(lines, 1):
            m = BARE_LOCK.search(line)
            if not m:
                continue
            used.add(name)
            if name not in allowed:
                problems.append(f"{name}:{number}: {m.group(0)}: a lock that says neither what it guards nor how long it "
                                f"was waited for\n  fix: sync/mutex.h; or, for review, add to {ALLOW}:\n    {name}  # <why>")
                break
    for name in sorted(allowed - used):
        problems.append(f"{ALLOW}: {name} names no lock of the standard library (any more)\n  fix: delete the line")
    return problems


def flags_of(entry):
    """What decides how a name in the source is understood: include paths and definitions."""
    words = shlex.split(entry["command"]) if "command" in entry else entry["arguments"]
    flags, take = [], False
    for word in words[1:]:
        if take or re.match(r"-(I|D|U|isystem).+", word):
            flags.append(word)
            take = False
        elif word in ("-I", "-D", "-U", "-isystem", "-include"):
            flags.append(word)
            take = True
    return flags


def commands(build):
    """{real path of the source: compile command}"""
    path = os.path.join(build, "compile_commands.json")
    if not os.path.exists(path):
        sys.exit(f"{path} is missing: configure first (cmake --preset release)")
    with open(path, encoding="utf-8") as f:
        return {os.path.realpath(os.path.join(e["directory"], e["file"])): e for e in json.load(f)}


def analyse(compiler, root, name, entry):
    done = subprocess.run([compiler, *FLAGS, *flags_of(entry), os.path.join(root, name)], cwd=entry["directory"],
                          capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False)
    if done.returncode == 0:
        return []
    said = (done.stdout + done.stderr).replace(os.path.realpath(root) + "/", "").strip()
    return [f"{name}: {said[:4000]}\n  fix: take the lock, or say with HF_REQUIRES that the caller has it"]


def check(root, build, compiler, allowed, only=None, folders=FOLDERS):
    names = list(sources(root, folders))
    problems = bare_locks(root, names, allowed)
    known, todo = commands(build), []
    for name in names:
        if not name.endswith(".cc") or (only and name != only):
            continue
        entry = known.get(os.path.realpath(os.path.join(root, name)))
        if entry is None:
            problems.append(f"{name}: this build does not compile it, so nobody knows\n  fix: configure again")
        else:
            todo.append((name, entry))
    since = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for found in pool.map(lambda item: analyse(compiler, root, *item), todo):
            problems += found
    print(f"{len(names)} files looked at, {len(todo)} sources compiled in {time.monotonic() - since:.0f} s")
    return problems


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", required=True)
    p.add_argument("--compiler", default="clang++-14")
    p.add_argument("--only", help="one source")
    p.add_argument("--root", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    args = p.parse_args()
    root = os.path.normpath(args.root)
    with open(os.path.join(root, ALLOW), encoding="utf-8") as f:
        allowed, problems = parse_allow(f.read())
    problems += check(root, args.build, args.compiler, allowed, args.only)
    return report(problems, "what locks guard is touched under them alone")


if __name__ == "__main__":
    sys.exit(main())

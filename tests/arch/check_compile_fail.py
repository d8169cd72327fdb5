#!/usr/bin/python3
"""Mistakes that the types must make impossible.

Each file in compile_fail/ compiles as it stands and must not compile with -DHF_MISUSE. Its line
`// expect: <regular expression>` is searched in what the compiler says, so that a file cannot fail for another reason.

    check_compile_fail.py --compiler g++ [--folder DIR]
"""
import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from source_tree import report

FLAGS = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion", "-Werror"]


def compile_one(compiler, include, path, misuse):
    args = [compiler, *FLAGS, "-I", include] + (["-DHF_MISUSE"] if misuse else []) + [path]
    done = subprocess.run(args, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False)
    return done.returncode, done.stdout + done.stderr


def check_one(compiler, include, path):
    name = os.path.basename(path)
    with open(path, encoding="utf-8") as f:
        expect = re.search(r"^// expect: (.+)$", f.read(), re.M)
    if not expect:
        return [f"{name}: no line '// expect: <regular expression>'"]
    problems = []
    code, said = compile_one(compiler, include, path, misuse=False)
    if code != 0:
        problems.append(f"{name}: does not compile without the misuse:\n{said[:2000]}")
    code, said = compile_one(compiler, include, path, misuse=True)
    if code == 0:
        problems.append(f"{name}: the misuse compiles")
    elif not re.search(expect.group(1), said):
        problems.append(f"{name}: fails, but not with /{expect.group(1)}/:\n{said[:2000]}")
    return problems


def check(compiler, include, folder):
    files = sorted(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith(".cc"))
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda path: check_one(compiler, include, path), files))
    print(f"{len(files)} misuses")
    return [p for r in results for p in r] or ([] if files else [f"{folder}: no files"])


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--compiler", default="g++")
    p.add_argument("--include", default=os.path.join(here, "..", "..", "src"))
    p.add_argument("--folder", default=os.path.join(here, "compile_fail"))
    args = p.parse_args()
    return report(check(args.compiler, args.include, args.folder), "each misuse is refused by the compiler")


if __name__ == "__main__":
    sys.exit(main())

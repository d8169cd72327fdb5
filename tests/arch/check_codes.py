#!/usr/bin/python3
"""Error numbers are for ever: scripts, logs and replies carry them.

tests/arch/codes.pin holds every number that was ever given. A number in it never changes its name, and a name that went
away keeps its number reserved ("retired"). `--add` pins new codes; it changes no line that is there.
"""
import argparse
import os
import re
import sys

from source_tree import report

DEF, PIN = "src/base/codes.def", "tests/arch/codes.pin"
ENTRY = re.compile(r'^HF_CODE\(\s*(k\w+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*"((?:[^"\\]|\\.)*)"\s*\)', re.M)
HEADER = "# number name, once given and never changed. Written by tests/arch/check_codes.py --add.\n"


def parse_def(text):
    return [(name, int(number), int(exit_code), line) for name, number, exit_code, line in ENTRY.findall(text)]


def parse_pin(text):
    """number -> (name, retired)"""
    pins = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            words = line.split()
            pins[int(words[0])] = (words[1], "retired" in words[2:])
    return pins


def check(codes, pins):
    problems, numbers, names = [], {}, {}
    for name, number, exit_code, line in codes:
        if number in numbers:
            problems.append(f"{DEF}: {name} and {numbers[number]} have the same number {number}")
        if name in names:
            problems.append(f"{DEF}: {name} is there twice")
        numbers[number], names[name] = name, number
        if exit_code not in (1, 2, 3):
            problems.append(f"{DEF}: {name}: exit code {exit_code} is none of 1, 2, 3")
        if not line or line.endswith(".") or "\n" in line:
            problems.append(f'{DEF}: {name}: "{line}" is not one line without a full stop')
    for number, (name, retired) in sorted(pins.items()):
        now = numbers.get(number)
        if retired and now is not None:
            problems.append(f"{DEF}: {number} belonged to {name}, retired; {now} needs a number of its own")
        elif not retired and now != name:
            moved = f"; {name} is now {names[name]}" if name in names else ""
            problems.append(f"{DEF}: {number} was {name} and is {now or 'gone'}{moved}\n"
                            f"  fix: give {name} its number back, or mark the line '{number} {name} retired' in {PIN}")
    new = [f"{name} {number}" for name, number, _, _ in codes if number not in pins]
    if new:
        problems.append(f"not pinned yet: {', '.join(new)}\n  fix: tests/arch/check_codes.py --add")
    return problems


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--root", default=os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")))
    p.add_argument("--add", action="store_true")
    args = p.parse_args()
    with open(os.path.join(args.root, DEF), encoding="utf-8") as f:
        codes = parse_def(f.read())
    pin_path, pins = os.path.join(args.root, PIN), {}
    if os.path.exists(pin_path):
        with open(pin_path, encoding="utf-8") as f:
            pins = parse_pin(f.read())
    if args.add:
        for name, number, _, _ in codes:
            pins.setdefault(number, (name, False))
        with open(pin_path, "w", encoding="utf-8") as f:
            f.write(HEADER)
            for number, (name, retired) in sorted(pins.items()):
                f.write(f"{number} {name}{' retired' if retired else ''}\n")
        print(f"{PIN}: {len(pins)} codes")
    return report(check(codes, pins), f"{len(codes)} error codes have the numbers they always had")


if __name__ == "__main__":
    sys.exit(main())

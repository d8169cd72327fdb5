#!/usr/bin/python3
"""Writes C that defines what a library of command declarations calls of ours and does not have: every such function
ends the program. So the command line can be parsed by a fuzzer without linking what the commands do. Weak: what the
fuzzer defines itself counts.

    commands_left_out.py OUTPUT.c ARCHIVE [ARCHIVE that is linked too ...]
"""
import subprocess
import sys


def symbols(archive, which):
    out = subprocess.run(["nm", "--" + which, "--format=just-symbols", archive], capture_output=True, text=True, check=True)
    return {line for line in out.stdout.split() if "8holdfast" in line}


def main():
    output, archive, *linked = sys.argv[1:]
    wanted = symbols(archive, "undefined-only")
    for a in [archive, *linked]:
        wanted -= symbols(a, "defined-only")
    with open(output, "w", encoding="utf-8") as f:
        for name in sorted(wanted):
            f.write(f"__attribute__((weak)) void {name}(void) {{ __builtin_trap(); }}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

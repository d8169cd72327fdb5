#!/usr/bin/python3
"""Which symbols an archive may leave undefined (rules J1 and J2).

An include test cannot see `extern "C" int open(const char*, int);`. The archive can: the name stands there as
undefined. Every undefined symbol of a shared, pure or trusted module must be defined by a module it declares, or stand
in cmake/core_symbols.allow with a reason. Host archives may name no cryptography and nothing of the core.

    check_symbols.py --build build/release [--zone host] [--module core.tree] [--skip-missing]
"""
import argparse
import os
import re
import subprocess
import sys

from source_tree import load_modules, reachable, report

ALLOW = "cmake/core_symbols.allow"
CHECKED_ZONES = ("shared", "joint", "pure", "trusted")
HINTS = (
    (r"(open|openat|creat|fopen|read|write|pread|pwrite|unlink|rename|stat|fstat|fsync|fdatasync|ftruncate|mkdir)(64)?$",
     "the core has no files: ask seam::Storage"),
    (r"(std::basic_[io]?fstream|std::basic_filebuf|std::filesystem)", "the core has no files: ask seam::Storage"),
    (r"(std::(cout|cerr|clog|cin)$|std::ios_base|std::basic_[io]?stream|printf|puts|putchar|v?fprintf)",
     "the core prints nothing: return a value or an Error"),
    (r"(socket|bind|listen|accept4?|connect|send|recv|sendmsg|recvmsg|poll|ppoll|select|epoll_\w+)$",
     "the core has no socket: all input and output are messages of the seam"),
    (r"(clock_gettime|gettimeofday|time|clock|nanosleep|usleep|sleep|std::chrono)",
     "the core has no clock: take the time as an event"),
    (r"(pthread_\w+|std::thread|std::condition_variable|std::mutex|std::__once|sem_\w+)",
     "pure modules have no threads: hand the work back as an effect"),
    (r"(getenv|secure_getenv|setenv)$", "the core has no environment: take a parameter"),
    (r"(rand|srand|random|drand48|getrandom|getentropy|std::random_device)", "take a crypto::Random&"),
    (r"(exit|_exit|quick_exit|abort|raise|kill)$", "our own bugs end in HF_CHECK; everything else is an Error"),
    (r"(__gxx_personality|_Unwind_|__cxa_(throw|begin_catch|end_catch|rethrow|allocate_exception))",
     "no exceptions here: return a Result"),
    (r"(__dynamic_cast|typeinfo for|vtable for __cxxabiv1)", "no run-time types here: use std::variant"),
    (r"(EVP_|SHA256_|HMAC|RAND_|SSL_|X509_|BIO_|crypto_|sodium_|randombytes)",
     "cryptography is called through module crypto only"),
)


def parse_allow(text):
    """{section: [(pattern, reason)]}, and the list of lines that are not understood."""
    sections, problems, current = {}, [], None
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.startswith("["):
            kind, _, rest = stripped.strip("[]").partition(" ")
            # "[zone shared pure]" opens the sections of both.
            current = [f"{kind} {word}" for word in rest.split()] if kind == "zone" else [stripped.strip("[]")]
            for section in current:
                sections.setdefault(section, [])
            continue
        # Two spaces and '#': a demangled name may hold single spaces, never that.
        name, hash_sign, reason = stripped.partition("  # ")
        if current is None or not hash_sign or not reason.strip():
            problems.append(f"{ALLOW}:{number}: an entry is 'name  # reason' below a [section]: {stripped}")
            continue
        for section in current:
            sections[section].append((name.strip(), reason.strip()))
    return sections, problems


def matches(symbol, entries):
    """A '*' at an end stands for anything; elsewhere it is part of a C++ name, as are '?' and '['."""
    for pattern, _ in entries:
        if pattern.startswith("*") and symbol.endswith(pattern[1:]):
            return True
        if pattern.endswith("*") and not pattern.startswith("*") and symbol.startswith(pattern[:-1]):
            return True
        if symbol == pattern:
            return True
    return False


def nm(archive, *flags):
    out = subprocess.run(["nm", "-C", *flags, archive], capture_output=True, text=True, check=True).stdout
    member = ""
    for line in out.splitlines():
        header = re.fullmatch(r"(\S+\.o):", line)
        if header:
            member = header.group(1)
            continue
        m = re.match(r"\s*[0-9a-f]*\s+([A-Za-z]) (.+)$", line)
        if m:
            yield member, m.group(1), m.group(2)


def defined_by(modules):
    """symbol -> the modules that define it."""
    table = {}
    for m in modules.values():
        if os.path.exists(m.archive):
            for _, _, symbol in nm(m.archive, "--defined-only", "-g"):
                table.setdefault(symbol, set()).add(m.name)
    return table


def hint(symbol):
    for pattern, text in HINTS:
        if re.match(pattern, symbol):
            return text
    return "remove the call, or let it be reviewed"


def check_module(module, modules, sections, table):
    problems = []
    below = reachable(modules, module.name) | {module.name}
    entries = [e for s in (f"zone {module.zone}", f"module {module.name}", "compiler") for e in sections.get(s, [])]
    users = {}
    for member, _, symbol in nm(module.archive, "-u"):
        users.setdefault(symbol, set()).add(f"{module.path}/{member.removesuffix('.o')}")
    for symbol, files in sorted(users.items()):
        owners, where = table.get(symbol, set()), ", ".join(sorted(files))
        if not owners and matches(symbol, sections.get("never core", [])):
            problems.append(f"{where}: calls '{symbol}', which the core never may ({ALLOW}, [never core])\n"
                            f"  fix: {hint(symbol)}")
            continue
        if owners & below or matches(symbol, entries):
            continue
        if owners:
            names = " or ".join(sorted(owners))
            problems.append(f"{where}: uses '{symbol}' of {names}, which {module.name} does not declare\n"
                            f"  fix: add it to DEPS in {module.path}/CMakeLists.txt, or do without")
        else:
            problems.append(f"{where}: calls '{symbol}', which is not on the reviewed list\n"
                            f"  fix: {hint(symbol)}\n"
                            f"  or, for review, add to {ALLOW} below [module {module.name}]:\n"
                            f"    {symbol}  # <why this module may call it>")
    return problems


def check_host(module, sections, table, modules):
    """J2: what serves the host knows neither keys nor the core. A module's own section may allow a digest by name."""
    problems, own = [], sections.get(f"module {module.name}", [])
    for member, _, symbol in sorted(set(nm(module.archive, "-u"))):
        owners = {o for o in table.get(symbol, set()) if modules[o].zone in ("pure", "trusted") or o == "crypto"}
        if not owners and matches(symbol, own):
            continue
        if owners or matches(symbol, sections.get("never host", [])):
            what = "of " + ", ".join(sorted(owners)) if owners else "cryptography"
            problems.append(f"{module.path}/{member.removesuffix('.o')}: the host names '{symbol}' ({what})\n"
                            f"  fix: the host moves ciphertext; do this behind the seam")
    return problems


def check(modules, sections, zones=CHECKED_ZONES, only=None, skip_missing=False, out=print):
    table, problems = defined_by(modules), []
    for m in modules.values():
        if m.zone not in zones or (only and m.name != only):
            continue
        if not os.path.exists(m.archive):
            if not skip_missing:
                problems.append(f"{m.archive} is not built\n  fix: ninja -C <build>")
            continue
        found = check_host(m, sections, table, modules) if m.zone == "host" else check_module(m, modules, sections, table)
        problems += found
        outside = sorted({s for _, _, s in nm(m.archive, "-u") if s not in table})
        own = [s for s in outside if matches(s, sections.get(f"module {m.name}", []))]
        out(f"{m.name:16} {m.zone:8} {len(outside):3} outside symbols, {len(found)} not allowed"
            + (f"; by its own reviewed list: {' '.join(own)}" if own and m.zone != "host" else ""))
    return problems


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", required=True)
    p.add_argument("--root", default=os.path.join(os.path.dirname(__file__), "..", ".."))
    p.add_argument("--zone", action="append", help="default: shared, joint, pure and trusted")
    p.add_argument("--module")
    p.add_argument("--skip-missing", action="store_true", help="archives that are not built are no problem")
    args = p.parse_args()
    with open(os.path.join(args.root, ALLOW), encoding="utf-8") as f:
        sections, problems = parse_allow(f.read())
    problems += check(load_modules(args.build), sections, args.zone or CHECKED_ZONES, args.module, args.skip_missing)
    return report(problems, "archives call nothing outside the reviewed list")


if __name__ == "__main__":
    sys.exit(main())

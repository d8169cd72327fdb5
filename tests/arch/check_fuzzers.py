#!/usr/bin/python3
"""Every parser of foreign bytes has a fuzzer, every fuzzer has seeds and is run, and docs/fuzzing.md says so.

    check_fuzzers.py

A file parses foreign bytes if it does one of the things in PARSES. It must stand on the page: in the table of parsers with its
fuzzer, or below with the reason why it has none.
"""
import argparse
import os
import re
import sys

from source_tree import report, tracked_files

PAGE, CORPUS, DICT = "docs/fuzzing.md", "tests/fuzz/corpus", "tests/fuzz/dict"
PRESET = "tests/fuzz/CMakeLists.txt"
SEEDS_MIN, SEED_BYTES_MAX = 5, 16 << 10
PARSES = re.compile(
    r"\bReader \w+[({]|\bReader\(|\bLoadLittle<|\b(?:Decode|Parse|Unescape)\w*\((?:ByteView|std::string_view|const std::string)|"
    r"\bRead(?:Inherited|PassphraseFile)\((?:std::span|int fd\) \{)|YAML::Load|json::parse|ParseFrom(?:Array|String)|Deserialize\(|"
    r"\bfrom_chars\(|\bd2i_\w+\(|PEM_read\w*\(|\bstrto(?:l|ul|ll|ull|d)\(|\bsto(?:i|l|ul|ll|ull|d)\(|\bgetline\(|\bs?f?scanf\(|"
    r"process_request\(|\.parse\(argc|\bSSL_read_ex\(|\binet_pton\(|AF_INET, ")
COMMENT = re.compile(r"//[^\n]*")
FILE = re.compile(r"`(src/[\w/.]+)`")
FUZZER = re.compile(r"`(\w+_fuzz)`")


def fuzzers_of(files):
    return {os.path.basename(f).removesuffix(".cc"): f for f in files if f.endswith("_fuzz.cc")}


def parsers_of(root, files):
    """Files below src that read foreign bytes; declarations count only where there is no .cc beside them."""
    found = []
    for name in files:
        if not name.startswith("src/") or not name.endswith((".cc", ".h")) or name.endswith(("_test.cc", "_fuzz.cc", "_main.cc")):
            continue
        if name.endswith(".h") and name.removesuffix(".h") + ".cc" in files:
            continue
        with open(os.path.join(root, name), encoding="utf-8") as f:
            text = COMMENT.sub("", f.read())
        if not name.endswith(".h") or "inline" in text or "template" in text:
            if PARSES.search(text):
                found.append(name)
    return found


def sections_of(text):
    """The two tables of the page: rows of parsers, rows without a fuzzer."""
    parts = re.split(r"^## ", text, flags=re.M)
    def rows(title):
        part = next((p for p in parts if p.startswith(title)), "")
        return [l for l in part.splitlines() if l.startswith("|") and not re.match(r"\|\s*(---|bytes |file )", l)]
    return rows("Parsers"), rows("Without")


def built_by_preset(root, source):
    """Whether the fuzz preset builds a fuzzer: its module is added, or tests/fuzz builds its folder's parsers."""
    folder = os.path.dirname(source)
    with open(os.path.join(root, "CMakeLists.txt"), encoding="utf-8") as f:
        top = re.sub(r"if\(NOT HF_FUZZ\).*?endif\(\)", "", f.read(), flags=re.S)
    with open(os.path.join(root, PRESET), encoding="utf-8") as f:
        preset = f.read()
    module = folder.removeprefix("src/").replace("/", ".")
    return (f"add_subdirectory({folder})" in top or f"hf_parsers({module} " in preset or f"/{os.path.basename(source)})" in preset)


def check_fuzzer(root, name, source):
    folder = os.path.join(root, CORPUS, name)
    seeds = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    if len(seeds) < SEEDS_MIN:
        yield f"{source}: {len(seeds)} seeds in {CORPUS}/{name}, at least {SEEDS_MIN}: tests/fuzz/make_seeds.py, or by hand"
    for seed in seeds:
        size = os.path.getsize(os.path.join(folder, seed))
        if size > SEED_BYTES_MAX:
            yield f"{CORPUS}/{name}/{seed}: {size} bytes; a seed has at most {SEED_BYTES_MAX}"
    if not built_by_preset(root, source):
        yield f"{source}: the fuzz preset does not build it, so nobody runs it\n  fix: hf_parsers(...) in {PRESET}"


def check_page(root, files, fuzzers):
    path = os.path.join(root, PAGE)
    if not os.path.exists(path):
        return [f"{PAGE} is missing"]
    with open(path, encoding="utf-8") as f:
        parsers, without = sections_of(f.read())
    problems, named = [], {"parsers": set(), "without": set(), "fuzzers": set()}
    for row in parsers:
        in_row = FUZZER.findall(row)
        named["parsers"].update(FILE.findall(row))
        named["fuzzers"].update(in_row)
        if len(in_row) != 1 or not FILE.search(row):
            problems.append(f"{PAGE}: a row names its files and one fuzzer: {row}")
    for row in without:
        named["without"].update(FILE.findall(row))
    for name in sorted(set(fuzzers) - named["fuzzers"]):
        problems.append(f"{PAGE} does not list {name} ({fuzzers[name]})")
    for name in sorted(named["fuzzers"] - set(fuzzers)):
        problems.append(f"{PAGE} lists {name}, which does not exist")
    for name in sorted((named["parsers"] | named["without"]) - set(files)):
        problems.append(f"{PAGE} names {name}, which does not exist")
    for name in parsers_of(root, files):
        if name not in named["parsers"] | named["without"]:
            problems.append(f"{name} reads foreign bytes and {PAGE} does not name it\n  fix: a row with its fuzzer, or with the reason why it has none")
    return problems


def check(root):
    files = tracked_files(root)
    fuzzers, problems = fuzzers_of(files), []
    for name, source in sorted(fuzzers.items()):
        problems += check_fuzzer(root, name, source)
    for folder, suffix in ((CORPUS, ""), (DICT, ".dict")):
        path = os.path.join(root, folder)
        for entry in sorted(os.listdir(path)) if os.path.isdir(path) else []:
            if entry.removesuffix(suffix) not in fuzzers:
                problems.append(f"{folder}/{entry}: no fuzzer of that name")
    problems += check_page(root, files, fuzzers)
    print(f"{len(fuzzers)} fuzzers")
    return problems


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--root", default=os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")))
    return report(check(p.parse_args().root), "every parser of foreign bytes has a fuzzer with seeds, and is on its page")


if __name__ == "__main__":
    sys.exit(main())

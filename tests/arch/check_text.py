#!/usr/bin/python3
"""Small promises about the text of the tree.

  - no reminders left in the code: a real gap is HF_NOT_YET("what")
  - a source fits in a head: length limits, with a list of reasoned exceptions (tests/arch/length.exceptions)
  - no path of somebody's machine
  - README.md stays short; every relative link and every heading it points at exists
"""
import argparse
import os
import re
import sys

from source_tree import is_text_name, read_text, report, tracked_files

EXCEPTIONS = "tests/arch/length.exceptions"
# Written in two parts so that this file passes its own test.
REMINDER = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|XX" + r"X)\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:" + "wo" + "rk|ho" + "me|ro" + r"ot)/[\w.-]*|/tmp/" + r"hf\b")
README_LINES_MAX = 150
# Suffix -> lines. A test may be longer than what it tests; nothing may be longer than a reader's patience.
LIMITS = (("_test.cc", 1000), (".cc", 600), (".h", 400), (".py", 600))
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)|!\[[^\]\n]*\]\(([^)\s]+)\)")
DOC_MENTION = re.compile(r"\bdocs/[\w./-]+\.md\b")


def reminders(name, text):
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r"`[^`]*`", "", line) if name.endswith(".md") else line
        if REMINDER.search(bare):
            yield f"{name}:{number}: {line.strip()[:100]}\n  fix: do it, or say HF_NOT_YET(\"what is missing\")"


def machine_paths(name, text):
    for number, line in enumerate(text.splitlines(), 1):
        m = MACHINE_PATH.search(line)
        if m:
            yield f"{name}:{number}: '{m.group(0)}' exists on one machine only\n  fix: a path relative to the tree"


def parse_exceptions(text):
    """{file: lines}, problems."""
    table, problems = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        m = re.fullmatch(r"(\S+)\s+(\d+)\s+# (\S.*)", line.rstrip())
        if m:
            table[m.group(1)] = int(m.group(2))
        else:
            problems.append(f"{EXCEPTIONS}:{number}: an entry is 'file lines  # reason': {line}")
    return table, problems


def lengths(name, text, exceptions):
    lines = text.count("\n")
    for suffix, limit in LIMITS:
        if name.endswith(suffix):
            if suffix == ".h" and "#include <gtest/" in text:
                limit = dict(LIMITS)["_test.cc"]  # a suite of tests that several sources include
            limit = max(limit, exceptions.get(name, 0))
            if lines > limit:
                yield (f"{name}: {lines} lines, at most {limit}\n  fix: split it by noun, or give a reason in {EXCEPTIONS}:\n"
                       f"    {name} {(lines // 100 + 1) * 100}  # <why one file>")
            return


def slug(heading):
    """The anchor that the common Markdown renderers give a heading."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", lambda m: m.group(1) or "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def prose(text):
    """Markdown without its code blocks: a link in an example is no link."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def anchors(text):
    return {slug(h) for h in re.findall(r"^#{1,6} +(.+?)\s*$", prose(text), flags=re.M)}


def links(root, name, text):
    for m in LINK.finditer(prose(text)):
        target = m.group(1) or m.group(2)
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        full = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
        if not os.path.exists(os.path.join(root, full)):
            yield f"{name}: the link '{target}' leads nowhere ({full})"
        elif anchor and full.endswith(".md") and anchor not in anchors(read_text(root, full) or ""):
            yield f"{name}: '{target}': {full} has no heading '#{anchor}'"


def mentions(root, name, text):
    """Code names documents ("docs/format.md 4.2"); they must be there."""
    for number, line in enumerate(text.splitlines(), 1):
        for m in DOC_MENTION.finditer(line):
            if not os.path.exists(os.path.join(root, m.group(0))):
                yield f"{name}:{number}: names {m.group(0)}, which does not exist"


def check(root):
    exceptions, problems = {}, []
    path = os.path.join(root, EXCEPTIONS)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            exceptions, problems = parse_exceptions(f.read())
    files = tracked_files(root)
    for name in sorted(set(exceptions) - set(files)):
        problems.append(f"{EXCEPTIONS}: {name} does not exist any more")
    for name in files:
        text = read_text(root, name) if is_text_name(name) else None
        if text is None or name.startswith("tests/fuzz/corpus/"):
            continue
        problems += reminders(name, text)
        problems += machine_paths(name, text)
        problems += lengths(name, text, exceptions)
        if name.endswith(".md"):
            problems += links(root, name, text)
        if name.endswith((".h", ".cc", ".md")):
            problems += mentions(root, name, text)
        if name == "README.md" and text.count("\n") > README_LINES_MAX:
            problems.append(f"README.md: {text.count(chr(10))} lines, at most {README_LINES_MAX}: move detail to docs/")
    print(f"{len(files)} files")
    return problems


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--root", default=os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")))
    return report(check(p.parse_args().root), "no reminders, no overlong files, no machine paths, no dead links")


if __name__ == "__main__":
    sys.exit(main())

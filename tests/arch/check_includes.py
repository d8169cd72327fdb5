#!/usr/bin/python3
"""Which headers a file may include (rule J1), and how it names them.

The compiler already refuses the header of a module that was not declared. This test adds what the compiler cannot see:
short names and `..`, private headers of other folders, headers of the operating system, and outside libraries that
happen to lie in /usr/include.

    check_includes.py --build build/release
"""
import argparse
import os
import re
import sys

from source_tree import load_modules, reachable, report

ALLOW = "tests/arch/includes.allow"

# Containers, memory, algorithms: nothing here can reach a file, a clock, a thread or the environment.
PURE_STD = set("""algorithm array atomic bit cassert charconv cinttypes climits compare concepts cstddef cstdint cstring
deque functional initializer_list iterator limits list map memory memory_resource new numeric optional queue ranges set
source_location span stack string string_view tuple type_traits unordered_map unordered_set utility variant vector
version""".split())
# What the trusted services may use beyond that: they are threads under locks, and gRPC throws.
TRUSTED_STD = PURE_STD | set("condition_variable exception mutex shared_mutex stdexcept thread system_error".split())
OS_HEADER = re.compile(
    r"(sys|linux|netinet|arpa|net|asm|bits)/.*|(unistd|fcntl|poll|dirent|signal|pthread|netdb|termios|pwd|grp|dlfcn|"
    r"errno|time|sched|spawn|ucontext|semaphore|syslog|ifaddrs|fts|glob|libgen|stdlib|stdio)\.h|"
    r"cerrno|csignal|ctime|cstdlib|cstdio")
# An outside library is included only where the module's CMakeLists names it.
LIBRARIES = (
    (re.compile(r"openssl/.*"), re.compile(r"OpenSSL::")),
    (re.compile(r"sodium(\.h|/.*)"), re.compile(r"SODIUM")),
    (re.compile(r"(grpc|grpcpp)/.*"), re.compile(r"gRPC|grpc|GRPC|hf_api|hf_proto|api")),
    (re.compile(r"google/protobuf/.*"), re.compile(r"protobuf|Protobuf|PROTOBUF|hf_api|hf_proto|api")),
    (re.compile(r"CLI/.*"), re.compile(r"CLI11")),
    (re.compile(r"yaml-cpp/.*"), re.compile(r"yaml-cpp|YAML")),
    (re.compile(r"spdlog/.*"), re.compile(r"spdlog")),
    (re.compile(r"nlohmann/.*"), re.compile(r"nlohmann|json")),
    (re.compile(r"httplib\.h"), re.compile(r"HTTPLIB")),
    (re.compile(r"curl/.*"), re.compile(r"CURL")),
    (re.compile(r"pugixml\.hpp"), re.compile(r"pugixml")),
    (re.compile(r"libpq.*\.h"), re.compile(r"PostgreSQL")),
)
LIBRARIES_NEVER_IN_HOST = re.compile(r"(openssl|sodium)(/|\.h).*")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
GENERATED = re.compile(r".*\.pb\.h$")


def parse_allow(text):
    """{file: {header}}, problems."""
    table, problems = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        m = re.fullmatch(r"(\S+)\s+<([^>]+)>\s+# (\S.*)", line.rstrip())
        if not m:
            problems.append(f"{ALLOW}:{number}: an entry is 'file <header>  # reason': {line}")
            continue
        table.setdefault(m.group(1), set()).add(m.group(2))
    return table, problems


def includes_of(text):
    for number, line in enumerate(text.splitlines(), 1):
        m = INCLUDE.match(line)
        if m:
            yield number, line.strip(), m.group(1), m.group(2)


def guard_of(name):
    """src/core/tree/node.h -> HOLDFAST_CORE_TREE_NODE_H_"""
    path = name.removeprefix("src/")
    return "HOLDFAST_" + re.sub(r"[^A-Za-z0-9]", "_", path.removesuffix(".h")).upper() + "_H_"


def guard_problem(name, text):
    guard = guard_of(name)
    lines = [l.strip() for l in text.splitlines() if l.strip().startswith("#")]
    if "#pragma once" in lines:
        return f"{name}: '#pragma once': two paths reach this file through links\n  fix: #ifndef {guard}"
    if lines[:2] != [f"#ifndef {guard}", f"#define {guard}"]:
        first = lines[0] if lines else "(nothing)"
        return f"{name}: begins with '{first}'\n  fix: #ifndef {guard} / #define {guard}"
    return None


def is_test_header(text):
    """A header that includes GoogleTest is test support: it may include what tests may, and only tests include it."""
    return any(mark == "<" and header.startswith("gtest/") for _, _, mark, header in includes_of(text))


class IncludeRules:
    def __init__(self, root, modules, allow):
        self.root, self.modules, self.allow = root, modules, allow
        self.test_headers = {}
        self.by_folder = {m.path.removeprefix("src/"): m for m in modules.values()}

    def owner(self, header):
        """The module whose folder a full path names; None for anything else."""
        folder = os.path.dirname(header)
        while folder:
            if folder in self.by_folder:
                return self.by_folder[folder]
            folder = os.path.dirname(folder)
        return None

    def test_support(self, header):
        """A header of tests/<folder>/, which a test may name in short: CMake adds that one folder."""
        tests = os.path.join(self.root, "tests")
        return "/" not in header and os.path.isdir(tests) and any(
            os.path.exists(os.path.join(tests, folder, header)) for folder in os.listdir(tests))

    def names_test_header(self, owner, header):
        if header not in self.test_headers:
            path = os.path.join(self.root, owner.path, os.path.relpath(header, owner.path.removeprefix("src/")))
            text = ""
            if os.path.exists(path):
                with open(path, encoding="utf-8") as f:
                    text = f.read()
            self.test_headers[header] = is_test_header(text)
        return self.test_headers[header]

    def ours(self, module, name, header, is_test):
        folder = os.path.dirname(name).removeprefix("src/")
        owner = self.owner(header)
        if GENERATED.match(header) or (is_test and self.test_support(header)):
            return None
        if owner is None:
            return f'name the full path below src/: "{folder}/{os.path.basename(header)}"'
        if header.endswith("_internal.h") and os.path.dirname(header) != folder:
            return f"{header} is private to its folder: use a public header of {owner.name}"
        if not is_test and self.names_test_header(owner, header):
            return f"{header} includes GoogleTest: it is for tests only"
        if module.zone == "host" and (owner.zone in ("pure", "trusted") or owner.name == "crypto"):
            return "the host knows neither keys nor the core: go through seam"
        if is_test or owner is module:
            return None  # what a test may include is decided by TEST_DEPS, and by the compiler
        direct = set(module.deps) | set(module.private_deps)
        public = direct.union(*(reachable(self.modules, d, include_private=False) for d in direct))
        if owner.name not in public:
            return f"add {owner.name} to DEPS in {module.path}/CMakeLists.txt, or do without"
        return None

    def outside(self, module, name, header, is_test):
        if header in self.allow.get(name, ()):
            return None
        review = f"or, for review, add to {ALLOW}:\n    {name} <{header}>  # <why>"
        if module.zone == "host" and LIBRARIES_NEVER_IN_HOST.fullmatch(header):
            return "the host moves ciphertext and links no cryptography"
        if is_test:
            return None
        for pattern, library in LIBRARIES:
            if pattern.fullmatch(header):
                declared = list(module.libs)
                if module.zone not in ("shared", "pure"):
                    for dep in reachable(self.modules, module.name) | {module.name}:
                        declared += self.modules[dep].libs + [dep]
                if any(library.search(lib) for lib in declared):
                    return None
                return f"declare the library in LIBS of {module.path}/CMakeLists.txt, or use the module that wraps it"
        if OS_HEADER.fullmatch(header):
            if module.zone == "host" or module.path.startswith(("src/cli", "src/box", "src/passphrase")):
                return None
            return "only src/host, src/box, src/passphrase and src/cli call the operating system; " + review
        is_std = re.fullmatch(r"[a-z_]+", header) is not None
        if module.zone in ("shared", "pure") and not (is_std and header in PURE_STD):
            return "not a header that pure code may use (tests/arch/check_includes.py, PURE_STD); " + review
        if module.zone in ("trusted", "joint") and is_std and header not in TRUSTED_STD:
            return "not a header that the core's services may use (TRUSTED_STD); " + review
        return None

    def check_file(self, module, name, text):
        is_test = name.endswith(("_test.cc", "_fuzz.cc")) or is_test_header(text)
        problems = []
        if name.endswith(".h"):
            p = guard_problem(name, text)
            if p:
                problems.append(p)
        for number, line, mark, header in includes_of(text):
            if ".." in header.split("/"):
                fix = "name the full path below src/"
            elif mark == '"':
                fix = self.ours(module, name, header, is_test)
            else:
                fix = self.outside(module, name, header, is_test)
            if fix:
                problems.append(f"{name}:{number}: {line}\n  fix: {fix}")
        return problems


def check(root, modules, allow):
    rules, problems, count = IncludeRules(root, modules, allow), [], 0
    folders = sorted({m.path for m in modules.values()})
    for m in modules.values():
        for folder, dirs, files in os.walk(os.path.join(root, m.path)):
            rel = os.path.relpath(folder, root)
            # A folder below another module's (src/core/x/y) belongs to the deeper one.
            dirs[:] = sorted(d for d in dirs if os.path.join(rel, d) not in folders)
            for f in sorted(files):
                if f.endswith((".h", ".cc", ".def")):
                    name = os.path.join(rel, f)
                    with open(os.path.join(root, name), encoding="utf-8") as source:
                        problems += rules.check_file(m, name, source.read())
                    count += 1
    for folder, _, files in os.walk(os.path.join(root, "tests")):
        for f in sorted(files):
            name = os.path.relpath(os.path.join(folder, f), root)
            if f.endswith(".h"):
                with open(os.path.join(root, name), encoding="utf-8") as source:
                    problem = guard_problem(name, source.read())
                problems += [problem] if problem else []
    for name in sorted(allow):
        if not os.path.exists(os.path.join(root, name)):
            problems.append(f"{ALLOW}: {name} does not exist any more\n  fix: delete the line")
            continue
        with open(os.path.join(root, name), encoding="utf-8") as source:
            used = {h for _, _, _, h in includes_of(source.read())}
        for header in sorted(allow[name] - used):
            problems.append(f"{ALLOW}: {name} no longer includes <{header}>\n  fix: delete the line")
    print(f"{count} files in {len(modules)} modules")
    return problems


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", required=True)
    p.add_argument("--root", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    args = p.parse_args()
    root = os.path.normpath(args.root)
    allow_path = os.path.join(root, ALLOW)
    with open(allow_path, encoding="utf-8") as f:
        allow, problems = parse_allow(f.read())
    problems += check(root, load_modules(args.build), allow)
    return report(problems, "includes name full paths and stay inside what their module may know")


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""Each architecture test fails on what it is there to refuse, and passes on what it allows."""
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, HERE)

import check_codes  # noqa: E402
import check_compile_fail  # noqa: E402
import check_fuzzers  # noqa: E402
import check_includes  # noqa: E402
import check_symbols  # noqa: E402
import check_text  # noqa: E402
import check_thread_safety  # noqa: E402
import list_not_yet  # noqa: E402
from source_tree import Module, compare_generated, load_modules, reachable  # noqa: E402


def load_script(name):
    loader = importlib.machinery.SourceFileLoader("script_" + name, os.path.join(ROOT, "scripts", name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class Tree(unittest.TestCase):
    """A small tree in a temporary folder."""

    def setUp(self):
        self.temp = tempfile.TemporaryDirectory()
        self.addCleanup(self.temp.cleanup)
        self.root = self.temp.name

    def write(self, name, text):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(textwrap.dedent(text))
        return path

    def assert_one(self, problems, *parts):
        self.assertEqual(len(problems), 1, problems)
        for part in parts:
            self.assertIn(part, problems[0])


class Symbols(Tree):
    def archive(self, name, source):
        path = self.write(f"{name}.cc", source)
        obj = os.path.join(self.root, f"{name}.cc.o")
        lib = os.path.join(self.root, f"lib{name}.a")
        subprocess.run(["g++", "-std=c++20", "-O2", "-fno-exceptions", "-fno-rtti", "-c", path, "-o", obj], check=True)
        subprocess.run(["ar", "crs", lib, obj], check=True)
        return lib

    def run_check(self, source, zone="pure", zones=check_symbols.CHECKED_ZONES, deps=(), name="mine"):
        with open(os.path.join(ROOT, check_symbols.ALLOW), encoding="utf-8") as f:
            sections, problems = check_symbols.parse_allow(f.read())
        self.assertEqual(problems, [])
        modules = {
            "below": Module("below", "pure", "src/below",
                            archive=self.archive("below", "namespace holdfast { int Below() { return 1; } }")),
            name: Module(name, zone, "src/mine", deps=list(deps), archive=self.archive("mine", source)),
        }
        return check_symbols.check(modules, sections, zones, only=name, out=lambda line: None)

    def test_containers_pass(self):
        self.assertEqual(self.run_check("""
            #include <map>
            #include <string>
            #include <vector>
            #include <unordered_map>
            void F(std::map<int, std::string>& m, std::vector<int>& v, std::unordered_map<int, int>& u) {
              m[1] = "text longer than what a string keeps in itself";
              v.push_back(2);
              u[3] = 4;
            }"""), [])

    def test_a_hidden_system_call_is_named_with_its_file_and_the_line_to_review(self):
        for call, declaration in (("open", 'extern "C" int open(const char*, int, ...);'),
                                  ("socket", 'extern "C" int socket(const char*, int);'),
                                  ("getenv", 'extern "C" int getenv(const char*, int);'),
                                  ("clock_gettime", 'extern "C" int clock_gettime(const char*, int);'),
                                  ("pthread_create", 'extern "C" int pthread_create(const char*, int);')):
            with self.subTest(call):
                problems = self.run_check(declaration + f"int F(const char* p) {{ return {call}(p, 0); }}")
                self.assert_one(problems, "src/mine/mine.cc", f"'{call}'", "[module mine]", f"{call}  # <why", "fix: ")

    def test_a_clock_a_stream_and_openssl_are_refused(self):
        self.assertTrue(any("no clock" in p for p in self.run_check(
            "#include <chrono>\nlong F() { return std::chrono::steady_clock::now().time_since_epoch().count(); }")))
        self.assertTrue(any("no files" in p for p in self.run_check(
            "#include <fstream>\nvoid F() { std::ofstream f(\"x\"); f << 1; }")))
        self.assertTrue(any("module crypto" in p for p in self.run_check(
            'extern "C" int EVP_CIPHER_CTX_new(); int F() { return EVP_CIPHER_CTX_new(); }')))

    def test_what_the_core_never_may_is_refused_whatever_else_is_allowed(self):
        source = 'extern "C" int {0}(); int F() {{ return {0}() + 1; }}'
        self.assertEqual(self.run_check(source.format("SSL_new"), zone="trusted", name="core.session"), [])
        for call in ("SSL_CTX_use_certificate_chain_file", "RAND_bytes", "BIO_s_socket"):
            with self.subTest(call):
                self.assert_one(self.run_check(source.format(call), zone="trusted", name="core.session"), "never may")

    def test_another_module_must_be_declared(self):
        source = "namespace holdfast { int Below(); int F() { return Below() + 1; } }"
        self.assertEqual(self.run_check(source, deps=["below"]), [])
        self.assert_one(self.run_check(source), "holdfast::Below()", "add it to DEPS")

    def test_a_host_that_decrypts_is_refused(self):
        self.assert_one(self.run_check('extern "C" int EVP_DecryptUpdate(); int F() { return EVP_DecryptUpdate(); }',
                                       zone="host", zones=["host"]), "the host names 'EVP_DecryptUpdate'")
        self.assert_one(self.run_check("namespace holdfast { int Below(); int F() { return Below() + 1; } }",
                                       zone="host", zones=["host"]), "of below")

    def test_a_digest_of_the_host_is_allowed_to_one_module_by_name(self):
        source = 'extern "C" int EVP_Digest(); int F() { return EVP_Digest() + 1; }'
        self.assertEqual(self.run_check(source, zone="host", zones=["host"], name="host.http"), [])
        self.assert_one(self.run_check(source, zone="host", zones=["host"], name="host.kv"), "the host names 'EVP_Digest'")
        encrypts = 'extern "C" int EVP_EncryptInit_ex(); int F() { return EVP_EncryptInit_ex() + 1; }'
        self.assert_one(self.run_check(encrypts, zone="host", zones=["host"], name="host.http"), "EVP_EncryptInit_ex")

    def test_an_entry_without_a_reason_and_an_archive_that_is_not_built_are_problems(self):
        self.assert_one(check_symbols.parse_allow("[zone pure]\nopen\n")[1], "name  # reason")
        missing = {"gone": Module("gone", "pure", "src/gone", archive=os.path.join(self.root, "no.a"))}
        self.assert_one(check_symbols.check(missing, {}, out=lambda line: None), "not built")


class Includes(Tree):
    MODULES = {
        "base": Module("base", "shared", "src/base"),
        "crypto": Module("crypto", "shared", "src/crypto", ["base"], [], ["OpenSSL::Crypto"]),
        "seam": Module("seam", "shared", "src/seam", ["base"]),
        "core.tree": Module("core.tree", "pure", "src/core/tree", ["base"], ["crypto"]),
        "core.store": Module("core.store", "pure", "src/core/store", ["core.tree"]),
        "core.session": Module("core.session", "trusted", "src/core/session", ["core.store"]),
        "host.kv": Module("host.kv", "host", "src/host/kv", ["base", "seam"]),
        "sdk": Module("sdk", "edge", "src/sdk", ["base"]),
    }

    def check(self, name, text, allow=None):
        self.write(name, text)
        return check_includes.check(self.root, self.MODULES, allow or {})

    def test_declared_and_passed_on_headers_pass(self):
        self.assertEqual(self.check("src/core/store/a.cc", '#include <vector>\n#include "core/tree/node.h"\n#include "base/b.h"\n'), [])
        self.assertEqual(self.check("src/core/tree/a.cc", '#include "crypto/hash.h"\n'), [])
        self.assertEqual(self.check("src/host/kv/a.cc", "#include <fcntl.h>\n#include <mutex>\n"), [])
        self.assertEqual(self.check("src/crypto/a.cc", "#include <openssl/evp.h>\n"), [])

    def test_each_wrong_include_is_named_with_its_line_and_the_fix(self):
        for name, line, fix in (
                ("src/core/tree/a.cc", '#include "../base/b.h"', "full path"),
                ("src/core/tree/a.cc", '#include "node.h"', '"core/tree/node.h"'),
                ("src/core/tree/a.cc", '#include "seam/storage.h"', "add seam to DEPS"),
                ("src/core/store/a.cc", '#include "crypto/hash.h"', "add crypto to DEPS"),  # private to core.tree
                ("src/core/store/a.cc", '#include "core/tree/page_internal.h"', "private to its folder"),
                ("src/core/tree/a.cc", "#include <fstream>", "pure code"),
                ("src/core/tree/a.cc", "#include <mutex>", "pure code"),
                ("src/core/tree/a.cc", "#include <chrono>", "pure code"),
                ("src/core/tree/a.cc", "#include <unistd.h>", "operating system"),
                ("src/core/tree/a.cc", "#include <cstdlib>", "operating system"),
                ("src/core/tree/a.cc", "#include <openssl/evp.h>", "declare the library"),
                ("src/core/tree/a.cc", "#  include <sys/stat.h>", "operating system"),
                ("src/core/session/a.cc", "#include <filesystem>", "TRUSTED_STD"),
                ("src/core/session/a.cc", "#include <sys/mman.h>", "includes.allow"),
                ("src/sdk/a.cc", "#include <sys/socket.h>", "operating system"),
                ("src/host/kv/a.cc", '#include "crypto/aead.h"', "neither keys nor the core"),
                ("src/host/kv/a.cc", '#include "core/tree/node.h"', "neither keys nor the core"),
                ("src/host/kv/a.cc", "#include <openssl/evp.h>", "no cryptography")):
            with self.subTest(line=line, name=name):
                self.assert_one(self.check(name, f"// Text.\n{line}\n"), f"{name}:2: {line}", "fix: ", fix)
                os.remove(os.path.join(self.root, name))

    def test_a_reviewed_exception_passes_and_a_stale_one_does_not(self):
        name = "src/core/session/a.cc"
        self.assertEqual(self.check(name, "#include <sys/mman.h>\n", {name: {"sys/mman.h"}}), [])
        self.assert_one(self.check(name, "#include <vector>\n", {name: {"sys/mman.h"}}), "no longer includes")
        self.assert_one(check_includes.parse_allow("src/a.cc <unistd.h>\n")[1], "# reason")

    def test_only_a_test_names_test_support_in_short(self):
        self.write("tests/vectors/file.h", "#ifndef HOLDFAST_TESTS_VECTORS_FILE_H_\n#define HOLDFAST_TESTS_VECTORS_FILE_H_\n#endif\n")
        self.assertEqual(self.check("src/core/tree/a_test.cc", '#include "file.h"\n'), [])
        self.assert_one(self.check("src/core/tree/a.cc", '#include "file.h"\n'), "full path")

    def test_a_header_on_googletest_is_for_tests_only(self):
        support = "#ifndef HOLDFAST_CORE_TREE_HELP_H_\n#define HOLDFAST_CORE_TREE_HELP_H_\n#include <fstream>\n" \
                  "#include <gtest/gtest.h>\n#endif\n"
        self.assertEqual(self.check("src/core/tree/help.h", support), [])
        self.assertEqual(self.check("src/core/tree/a_test.cc", '#include "core/tree/help.h"\n'), [])
        self.assert_one(self.check("src/core/tree/a.cc", '#include "core/tree/help.h"\n'), "for tests only")

    def test_include_guards_bear_the_path(self):
        good = "// Text.\n#ifndef HOLDFAST_CORE_TREE_NODE_H_\n#define HOLDFAST_CORE_TREE_NODE_H_\n#endif\n"
        self.assertEqual(self.check("src/core/tree/node.h", good), [])
        self.assert_one(self.check("src/core/tree/node.h", good.replace("TREE_", "")), "HOLDFAST_CORE_TREE_NODE_H_")
        self.assert_one(self.check("src/core/tree/node.h", "#pragma once\n"), "pragma once")


class ModuleTable(Tree):
    def test_the_page_shows_every_module_and_differs_when_one_is_added(self):
        table = "base|shared|src/base||||/b.a\nlog|pure|src/log|base||OpenSSL::Crypto|/l.a\n"
        self.write("gen/modules.txt", table)
        script = load_script("modules")
        before = script.render(load_modules(self.root))
        self.assertIn("| log | pure | `src/log` | base |", before)
        self.assertIn("log --> base", before)
        self.write("docs/modules.md", before)
        self.assertEqual(compare_generated(self.root, "docs/modules.md", before, "x"), [])
        self.write("gen/modules.txt", table + "kv|pure|src/kv|log base|||/k.a\n")
        after = script.render(load_modules(self.root))
        self.assert_one(compare_generated(self.root, "docs/modules.md", after, "scripts/modules"), "run: scripts/modules", "kv")
        self.assertNotIn("kv --> base", after)  # log implies it

    def test_private_dependencies_are_not_passed_on(self):
        modules = {"a": Module("a", "pure", "a"), "b": Module("b", "pure", "b", [], ["a"]), "c": Module("c", "pure", "c", ["b"])}
        self.assertEqual(reachable(modules, "c", include_private=False), {"b"})
        self.assertEqual(reachable(modules, "c"), {"a", "b"})


class NotYet(Tree):
    def test_a_gap_that_the_page_does_not_list_is_found(self):
        self.write("src/a/b.cc", 'HF_NOT_YET("the second "\n           "half");\n')
        gaps = list(list_not_yet.find(self.root))
        self.assertEqual(gaps, [("src/a/b.cc", "the second half")])
        self.write("docs/not-yet.md", list_not_yet.render([]))
        self.assert_one(compare_generated(self.root, "docs/not-yet.md", list_not_yet.render(gaps), "x"), "the second half")
        self.write("docs/not-yet.md", list_not_yet.render(gaps))
        self.assertEqual(compare_generated(self.root, "docs/not-yet.md", list_not_yet.render(gaps), "x"), [])


class Codes(unittest.TestCase):
    DEF = 'HF_CODE(kOne, 100, 1, "one")\nHF_CODE(kTwo,   101, 3, "two")\n'

    def problems(self, text, pins):
        return check_codes.check(check_codes.parse_def(text), check_codes.parse_pin(pins))

    def test_numbers_stay(self):
        pins = "100 kOne\n101 kTwo\n102 kGone retired\n"
        self.assertEqual(self.problems(self.DEF, pins), [])
        for broken, text in (("renumbered", self.DEF.replace("101", "109")), ("removed", self.DEF.split("\n")[0]),
                             ("renamed", self.DEF.replace("kTwo", "kZwei")),
                             ("reused", self.DEF + 'HF_CODE(kNew, 102, 1, "new")\n'),
                             ("twice", self.DEF + 'HF_CODE(kNew, 100, 1, "new")\n'),
                             ("not pinned", self.DEF + 'HF_CODE(kNew, 103, 1, "new")\n'),
                             ("exit code", self.DEF.replace("3, \"two", "7, \"two")),
                             ("full stop", self.DEF.replace("two\"", "two.\""))):
            with self.subTest(broken):
                self.assertNotEqual(self.problems(text, pins), [])

    def test_the_pattern_reads_every_line_of_the_real_list(self):
        with open(os.path.join(ROOT, check_codes.DEF), encoding="utf-8") as f:
            text = f.read()
        self.assertEqual(len(check_codes.parse_def(text)), sum(line.startswith("HF_CODE(") for line in text.splitlines()))


class Text(Tree):
    def test_a_clean_tree_passes(self):
        self.write("README.md", "# Holdfast\n\n## What it does\n\n[down](#what-it-does) [docs](docs/a.md#second-part)\n")
        self.write("docs/a.md", "# A\n\n## Second *part*\n\n```\n[no](link.md)\n```\n[up](../README.md) [web](https://x.y/)\n")
        self.write("src/a.cc", "// docs/a.md says why.\n// mktemp XXXXXX\n")
        self.assertEqual(check_text.check(self.root), [])

    def test_each_broken_promise_is_found(self):
        for name, text, said in (
                ("src/a.cc", "int x;  // TO" + "DO: more\n", "HF_NOT_YET"),
                ("src/a.cc", "// see /ro" + "ot/notes\n", "one machine"),
                ("scripts/x", "cd /wo" + "rk/main\n", "one machine"),
                ("src/a.cc", "// docs/gone.md 4.2\n", "does not exist"),
                ("src/a.cc", "\n" * 601, "at most 600"),
                ("src/a.h", "\n" * 401, "at most 400"),
                ("README.md", "\n" * 151, "at most 150"),
                ("docs/a.md", "[x](gone.md)\n", "leads nowhere"),
                ("docs/a.md", "# A\n[x](#b)\n", "no heading '#b'")):
            with self.subTest(name=name, said=said):
                self.write(name, text)
                self.assert_one(check_text.check(self.root), said)
                os.remove(os.path.join(self.root, name))

    def test_a_long_file_needs_a_reason(self):
        self.write("src/a.cc", "\n" * 650)
        self.write(check_text.EXCEPTIONS, "src/a.cc 700\n")
        self.assertEqual(len(check_text.check(self.root)), 2)
        self.write(check_text.EXCEPTIONS, "src/a.cc 700  # one table\n")
        self.assertEqual(check_text.check(self.root), [])


class Fuzzers(Tree):
    PAGE = """\
        # Fuzzing

        ## Parsers

        | bytes | come from | parsed in | fuzzer | what |
        |---|---|---|---|---|
        | nodes | disk | `src/core/tree/node.cc` | `node_fuzz` | one encoding |

        ## Without a fuzzer of their own

        | file | reads | why |
        |---|---|---|
        | `src/base/hex.cc` | digits | a loop |
        """

    def setUp(self):
        super().setUp()
        self.write("CMakeLists.txt", "add_subdirectory(src/core/tree)\nif(NOT HF_FUZZ)\n  add_subdirectory(src/sdk)\nendif()\n")
        self.write("tests/fuzz/CMakeLists.txt", "hf_parsers(cli SOURCES text)\n")
        self.write("src/core/tree/node.cc", "int Decode(ByteView b) { Reader r(b); return r.U8(); }\n")
        self.write("src/core/tree/node_fuzz.cc", "int LLVMFuzzerTestOneInput();\n")
        self.write("src/base/hex.cc", "int ParseHex(std::string_view text) { return 0; }\n")
        for n in range(5):
            self.write(f"tests/fuzz/corpus/node_fuzz/seed{n}", "x")
        self.write("docs/fuzzing.md", self.PAGE)

    def test_a_complete_tree_passes(self):
        self.assertEqual(check_fuzzers.check(self.root), [])

    def test_a_fuzzer_without_seeds_or_with_large_ones_is_named(self):
        os.remove(os.path.join(self.root, "tests/fuzz/corpus/node_fuzz/seed4"))
        self.assert_one(check_fuzzers.check(self.root), "node_fuzz.cc: 4 seeds")
        self.write("tests/fuzz/corpus/node_fuzz/seed4", "x" * 20000)
        self.assert_one(check_fuzzers.check(self.root), "seed4: 20000 bytes")

    def test_seeds_and_words_of_no_fuzzer_are_named(self):
        self.write("tests/fuzz/corpus/gone_fuzz/seed", "x")
        self.write("tests/fuzz/dict/lost_fuzz.dict", "x")
        problems = check_fuzzers.check(self.root)
        self.assertEqual(len(problems), 2, problems)

    def test_a_fuzzer_that_the_preset_does_not_build_is_named(self):
        for n in range(5):
            self.write(f"tests/fuzz/corpus/config_fuzz/seed{n}", "x")
        self.write("src/sdk/config_fuzz.cc", "int LLVMFuzzerTestOneInput();\n")
        self.write("docs/fuzzing.md", self.PAGE.replace("| nodes", "| yaml | user | `src/core/tree/node.cc` | `config_fuzz` | x |\n        | nodes"))
        self.assert_one(check_fuzzers.check(self.root), "src/sdk/config_fuzz.cc", "does not build it", "hf_parsers")
        self.write("tests/fuzz/CMakeLists.txt", "hf_parsers(sdk SOURCES config)\n")
        self.assertEqual(check_fuzzers.check(self.root), [])

    def test_a_new_parser_must_stand_on_the_page(self):
        for text in ("Result<int> DecodeThing(ByteView untrusted) { return 1; }", "auto root = YAML::Load(text);",
                     "auto x = nlohmann::json::parse(line);", "Reader r(row.value);", "std::from_chars(a, b, n);",
                     "message.ParseFromArray(p, n);", "CertPtr(d2i_X509(nullptr, &at, n));"):
            with self.subTest(text):
                self.write("src/core/tree/thing.cc", text + "\n")
                self.assert_one(check_fuzzers.check(self.root), "src/core/tree/thing.cc reads foreign bytes")
        self.write("src/core/tree/thing.cc", "// Reader r(in);\nint x;\n")
        self.assertEqual(check_fuzzers.check(self.root), [])

    def test_a_row_that_names_what_is_gone_is_a_problem(self):
        self.write("docs/fuzzing.md", self.PAGE.replace("hex.cc", "gone.cc"))
        problems = check_fuzzers.check(self.root)
        self.assertTrue(any("src/base/gone.cc, which does not exist" in p for p in problems), problems)
        self.assertTrue(any("src/base/hex.cc reads foreign bytes" in p for p in problems), problems)
        self.write("docs/fuzzing.md", self.PAGE.replace("`node_fuzz`", "`nodes_fuzz`"))
        self.assertEqual(len(check_fuzzers.check(self.root)), 2)


class CompileFail(Tree):
    def problems(self, text):
        self.write("cases/a.cc", text)
        return check_compile_fail.check("g++", self.root, os.path.join(self.root, "cases"))

    def test_only_the_expected_refusal_counts(self):
        case = "// expect: deleted\nstruct S {{ S() = default; S(const S&) = delete; }};\nvoid F() {{\n  S a;\n" \
               "#ifdef HF_MISUSE\n  {}\n#endif\n  (void)a;\n}}\n"
        self.assertEqual(self.problems(case.format("S b = a; (void)b;")), [])
        self.assert_one(self.problems(case.format("S b; (void)b;")), "the misuse compiles")
        self.assert_one(self.problems(case.format("nonsense;")), "not with /deleted/")
        self.assertNotEqual(self.problems("// expect: x\nnonsense;\n"), [])
        self.assert_one(self.problems("int x;\n"), "expect")


class ThreadSafety(Tree):
    HEAD = '#include "sync/mutex.h"\nusing namespace holdfast::sync;\nMutex m;\nint n HF_GUARDED_BY(m) = 0;\n'

    def problems(self, allowed=(), **sources):
        entries = []
        for name, text in sources.items():
            path = self.write(f"src/mine/{name}.cc", text)
            if name != "stray":
                entries.append({"directory": self.root, "file": path,
                                "command": f"g++ -I{ROOT}/src -DHF_X=1 -O2 -Wall -o a.o -c {path}"})
        self.write("build/compile_commands.json", json.dumps(entries))
        return check_thread_safety.check(self.root, os.path.join(self.root, "build"), "clang++-14", set(allowed),
                                         folders=("src/mine",))

    def test_data_touched_without_its_lock_and_a_lock_not_given_back_are_refused(self):
        self.assertEqual(self.problems(
            good=self.HEAD + "void F() { MutexLock lock(m); ++n; }\nvoid G() HF_REQUIRES(m) { ++n; }\n"), [])
        self.assert_one(self.problems(good=self.HEAD, bad=self.HEAD + "void F() { ++n; }\n"),
                        "src/mine/bad.cc:5", "requires holding mutex 'm'")
        os.remove(os.path.join(self.root, "src/mine/bad.cc"))
        self.assert_one(self.problems(good=self.HEAD + "void G() HF_REQUIRES(m);\nvoid F() { G(); }\n"), "requires holding")
        self.assert_one(self.problems(good=self.HEAD + "void F() { m.Lock(); ++n; }\n"), "still held")

    def test_a_lock_of_the_standard_library_needs_a_reason(self):
        text = "#include <mutex>  // std::mutex\nstd::mutex m;\nvoid F() { std::lock_guard lock(m); }\n"
        self.assert_one(self.problems(bare=text), "src/mine/bare.cc:1", "sync/mutex.h")
        self.assertEqual(self.problems(allowed=["src/mine/bare.cc"], bare=text), [])
        self.assert_one(self.problems(allowed=["src/mine/bare.cc"], bare="int x;  // std::mutex\n"), "any more")
        self.assert_one(check_thread_safety.parse_allow("src/a.cc\n")[1], "# reason")

    def test_a_source_that_the_build_does_not_know_is_a_problem(self):
        self.assert_one(self.problems(stray="int x;\n"), "src/mine/stray.cc", "does not compile it")
        self.assertEqual(self.problems(a_test="nonsense\n", a_fuzz="nonsense\n", stray=""), self.problems(stray=""))


class Format(Tree):
    def test_an_unformatted_file_is_named(self):
        subprocess.run(["git", "init", "-q", self.root], check=True)
        self.write(".clang-format", "BasedOnStyle: Google\n")
        self.write("good.cc", "int F() { return 1; }\n")
        subprocess.run(["git", "-C", self.root, "add", "good.cc"], check=True)
        run = lambda: subprocess.run([os.path.join(ROOT, "scripts", "format-check")], env={**os.environ, "HF_ROOT": self.root},
                                     capture_output=True, text=True, check=False)
        self.assertEqual(run().returncode, 0)
        self.write("bad.cc", "int  F( ){return 1;}\n")
        subprocess.run(["git", "-C", self.root, "add", "bad.cc"], check=True)
        done = run()
        self.assertEqual(done.returncode, 1)
        self.assertIn("bad.cc: ", done.stdout)
        self.assertIn("fix: clang-format-14 -i bad.cc", done.stdout)


class Status(Tree):
    def test_the_page_must_agree_with_the_sources(self):
        status = load_script("status")
        self.write(status.RULES, "D2 slots\nJ1 calls\n")
        self.write("src/a_test.cc", "TEST(RuleD2, TornNumberMeansTheSlotIsUnused) {}\nTEST(RuleEverything, IsNoRule) {}\n")
        tests = status.rule_tests(self.root)
        self.assertEqual(tests, {"D2": ["src/a_test.cc: TornNumberMeansTheSlotIsUnused"]})
        page = status.render(status.rules_of(self.root), tests, {"base": {"fast": 3}}, ["base"])
        self.assertIn("| base | 3 |", page)
        self.write(status.PAGE, page)
        self.assertEqual(status.check(self.root), [])
        self.write("tests/x.py", "def test_RuleJ1_nothing(self):\n")
        self.assert_one(status.check(self.root)[:1], "rule J1 'none yet'")
        self.write("tests/x.py", "def test_RuleA9_nothing(self):\n")
        self.assert_one(status.check(self.root)[:1], "A9")


class Fuzz(Tree):
    def test_a_crashing_fuzzer_fails_the_run_and_the_input_is_named(self):
        """The script with stand-ins for cmake, ninja and the fuzzer."""
        for tool, text in (("cmake", "exit 0"), ("ninja", 'case "$*" in *"-t targets"*) echo "codec_fuzz: phony";; esac')):
            os.chmod(self.write(f"bin/{tool}", f"#!/bin/sh\n{text}\n"), 0o755)
        fuzzer = os.path.join(self.root, "build", "bin", "codec_fuzz")
        run = lambda *names: subprocess.run(
            [os.path.join(ROOT, "scripts", "fuzz"), "1", *names], capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": os.path.join(self.root, "bin") + ":" + os.environ["PATH"],
                 "HF_FUZZ_BUILD": os.path.join(self.root, "build")})
        self.write("build/bin/codec_fuzz", "#!/bin/sh\necho stat::number_of_executed_units: 5\n")
        os.chmod(fuzzer, 0o755)
        done = run("codec_fuzz")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("5 inputs", done.stdout)
        self.write("build/bin/codec_fuzz", "#!/bin/sh\necho 'ERROR: libFuzzer' >&2\necho 'Test unit written to crash-1' >&2\nexit 77\n")
        done = run("codec_fuzz")
        self.assertEqual(done.returncode, 1)
        self.assertIn("codec_fuzz FAILED", done.stderr)
        self.assertIn("repeat: ", done.stderr)
        done = run()  # all of them, of which this preset builds one
        self.assertEqual(done.returncode, 1)
        self.assertIn("not built by the fuzz preset", done.stderr)
        self.assertIn("wire_fuzz", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=1)

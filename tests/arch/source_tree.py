"""What the architecture tests share: the module table, the list of tracked files, and how problems are told."""
import os
import subprocess
import sys
from dataclasses import dataclass, field

TEXT_SUFFIXES = (".h", ".cc", ".c", ".def", ".py", ".md", ".txt", ".cmake", ".proto", ".sh", ".yaml", ".yml",
                 ".json", ".allow", ".pin", ".exceptions", ".html", ".js", ".css", ".sql")


@dataclass
class Module:
    """One line of <build>/gen/modules.txt, which CMake writes from the targets themselves."""
    name: str
    zone: str
    path: str
    deps: list = field(default_factory=list)
    private_deps: list = field(default_factory=list)
    libs: list = field(default_factory=list)
    archive: str = ""


def load_modules(build):
    """Modules by name, in topological order."""
    path = os.path.join(build, "gen", "modules.txt")
    if not os.path.exists(path):
        sys.exit(f"{path} is missing: configure first (cmake --preset release)")
    modules = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            if not line.strip():
                continue
            name, zone, folder, deps, private, libs, archive = line.rstrip("\n").split("|")
            modules[name] = Module(name, zone, folder, deps.split(), private.split(), libs.split(), archive)
    return modules


def reachable(modules, name, include_private=True):
    """All modules below `name`; without the private ones, those whose headers `name` passes on."""
    seen, todo = set(), list(modules[name].deps)
    if include_private:
        todo += modules[name].private_deps
    while todo:
        dep = todo.pop()
        if dep in seen:
            continue
        seen.add(dep)
        todo += modules[dep].deps
        if include_private:
            todo += modules[dep].private_deps
    return seen


def tracked_files(root):
    """Paths below `root` that version control knows and that exist; every file where there is no repository."""
    git = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, check=False)
    if git.returncode == 0 and os.path.exists(os.path.join(root, ".git")):
        names = [n for n in git.stdout.decode().split("\0") if n]
    else:
        names = []
        for folder, dirs, files in os.walk(root):
            dirs[:] = [d for d in dirs if d not in ("build", ".git", "__pycache__")]
            names += [os.path.relpath(os.path.join(folder, f), root) for f in files]
    return sorted(n for n in names if os.path.isfile(os.path.join(root, n)))


def read_text(root, name):
    """The text of a tracked file, or None when it is not text."""
    with open(os.path.join(root, name), "rb") as f:
        raw = f.read()
    if b"\0" in raw[:4096]:
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def is_text_name(name):
    base = os.path.basename(name)
    return base.endswith(TEXT_SUFFIXES) or "." not in base or base.startswith(".clang")


def report(problems, what):
    """Prints all problems, or one line that says what holds. The exit code of the test."""
    for p in problems:
        print(p)
    if problems:
        print(f"\n{len(problems)} problem(s): {what}")
        return 1
    print(f"ok: {what}")
    return 0


def compare_generated(root, name, text, how):
    """A generated file must be committed as it would be generated now."""
    path = os.path.join(root, name)
    old = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            old = f.read()
    if old == text:
        return []
    import difflib
    diff = list(difflib.unified_diff(old.splitlines(), text.splitlines(), name + " (committed)", "as generated now",
                                     lineterm="", n=1))
    return ["\n".join(diff[:40]) + f"\n{name} is out of date; run: {how}"]


def write_generated(root, name, text):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    print(f"wrote {name}")

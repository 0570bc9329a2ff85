"""A quick look before a commit: the lessons that changed, then the checks on code, notebooks and prose.

Usage: python tools/check.py        what differs from the last commit
       python tools/check.py REF    what differs from another one

`make test` runs all lessons, installs the package and builds the site; this does none of it.
"""
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FAST = ("test_project.py", "test_style.py", "test_prose.py")


def changed_lessons(ref: str) -> list[str]:
    "The names of the lessons that differ from a commit, new ones included."
    commands = (
        ["git", "diff", "--name-only", ref, "--", "nbs"],
        ["git", "ls-files", "--others", "--exclude-standard", "nbs"],
    )
    listed = [
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout for command in commands
    ]
    return sorted(
        {
            Path(name).name
            for name in "\n".join(listed).splitlines()
            if name.endswith(".ipynb") and (ROOT / name).exists()
        }
    )


def main() -> None:
    lessons = changed_lessons(sys.argv[1] if len(sys.argv) > 1 else "HEAD")
    print(f"{len(lessons)} lessons changed: {', '.join(lessons) or 'none'}", flush=True)
    tests = [str(ROOT / "tests" / name) for name in FAST] + [
        f"{ROOT / 'tests' / 'test_lessons.py'}::test_lesson[{name}]" for name in lessons
    ]
    sys.exit(subprocess.run([sys.executable, "-m", "pytest", *tests], cwd=ROOT).returncode)


if __name__ == "__main__":
    main()

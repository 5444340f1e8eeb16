"""The project's sessions: `nox` runs them all, `nox -s tests` the test suite."""

import os
import sys
import tempfile
from pathlib import Path

import nox

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
HERE = Path(__file__).parent

# Interpreters that pyenv installed but does not put on the PATH count as present.
_installed = sorted(Path.home().glob(".pyenv/versions/3.1[1-9].*/bin"))
os.environ["PATH"] = os.pathsep.join([*map(str, _installed), os.environ["PATH"]])

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "docs", "package", "lowest", "tests"]
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True

_PROJECT = nox.project.load_toml("pyproject.toml")


def _install(session: nox.Session, *groups: str) -> None:
    """Install the project, editable, and the tools of some dependency groups."""
    session.install("--quiet", "-e", ".", *nox.project.dependency_groups(_PROJECT, *groups))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the test suite, on asyncio and on uvloop, on as many cores as there are."""
    _install(session, "tests")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """Run the tests that lean on other libraries with the lowest versions that are allowed."""
    _install(session, "tests")
    bounds = (requirement.partition(";")[0] for requirement in _PROJECT["project"]["dependencies"])
    floors = (bound.partition(">=") for bound in bounds if ">=" in bound)
    session.install("--quiet", *(f"{name}=={floor.partition(',')[0]}" for name, _, floor in floors))
    behaviour = ("call", "client", "clock_sync", "stream", "transport")
    leaning = [f"tests/behaviour/test_{name}.py" for name in behaviour]
    leaning += ["tests/unit/test_records.py", "tests/unit/test_retry.py"]
    session.run("pytest", *(session.posargs or leaning))


@nox.session(python="3.11")
def bench(session: nox.Session) -> None:
    """Run what is too long for a test, and print its figures; name some to run these alone.

    `nox -s bench -- year faults`: each is a script in tests/bench, with its own words at its top.
    """
    _install(session, "tests", "bench")
    scripts = sorted(path.stem for path in HERE.glob("tests/bench/[!_]*.py"))
    for name in session.posargs or scripts:
        session.run("python", f"tests/bench/{name}.py")


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Check and format with ruff."""
    session.install("--quiet", *nox.project.dependency_groups(_PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(python="3.11")
def types(session: nox.Session) -> None:
    """Check the package, and a file that uses it as a user would, with mypy and pyright."""
    _install(session, "tests", "types")
    checked = [
        "boxis_async",
        "pytest_boxis_async.py",
        "tests/typing",
        "docs/examples",
        "noxfile.py",
    ]
    session.run("mypy", *checked)
    python = Path(session.bin) / ("python.exe" if sys.platform == "win32" else "python")
    session.run("pyright", "--pythonpath", str(python), *checked)


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    _install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-E", "-q", "docs", "docs/_build/html")


@nox.session(python="3.11")
def recording(session: nox.Session) -> None:
    """Draw the pictures of the command line anew, of what it really prints."""
    _install(session, "tests")
    session.run("python", "docs/make_pictures.py")


@nox.session(python="3.11", reuse_venv=False)
def package(session: nox.Session) -> None:
    """Build the wheel, install it alone, and run the first example from another folder."""
    example = HERE / "docs" / "examples" / "first_calls.py"
    with tempfile.TemporaryDirectory() as folder:
        session.run("pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(HERE))
        (wheel,) = Path(folder).glob("*.whl")
        session.install("--quiet", str(wheel))
        session.chdir(folder)
        session.run("python", "-c", "import boxis_async; print(boxis_async.__file__)")
        session.run("python", "-W", "error", str(example))
        session.chdir(HERE)

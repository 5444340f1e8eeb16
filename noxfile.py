"""The project's sessions: `nox` runs them all, `nox -s quick` what to run after each change.

Sessions that need just one Python take the lowest that is present. Those that need every Python
run on those that are present, and the end of the run says which were absent.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nox

PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
LONG = "slow or docs or browser or spreadsheet"
EXTRAS = [
    "cli",
    "excel",
    "fast",
    "fleet",
    "mirror",
    "otel",
    "parquet",
    "postgres",
    "pydantic",
    "report",
    "testing",
    "xml",
]
HERE = Path(__file__).parent

# Interpreters that pyenv installed but does not put on the PATH count as present.
_installed = sorted(Path.home().glob(".pyenv/versions/3.1[1-9][.-]*/bin"))
os.environ["PATH"] = os.pathsep.join([*map(str, _installed), os.environ["PATH"]])


def _is_present(python: str) -> bool:
    """Say whether nox will find a Python, looking where nox looks."""
    if shutil.which(f"python{python}") or python == ".".join(map(str, sys.version_info[:2])):
        return True
    launcher = shutil.which("py") if sys.platform == "win32" else None
    if launcher is None:
        return False
    command = [launcher, f"-{python}", "-V"]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - Python's own launcher
    return done.returncode == 0


ABSENT = [python for python in PYTHONS if not _is_present(python)]
# A worker more than there are cores, as some tests wait for a process or a browser. A worker that
# is done takes from the queue of one that is not.
PARALLEL = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal")
LOWEST_PRESENT = next((python for python in PYTHONS if python not in ABSENT), PYTHONS[0])

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "docs", "package", "lowest", "coverage", "tests", "long"]
# One that is absent is no error, but a run that can test nothing at all is.
nox.options.error_on_missing_interpreters = ABSENT == PYTHONS
nox.options.reuse_existing_virtualenvs = True
# Where uv is installed, it makes the environments in a fraction of the time.
nox.options.default_venv_backend = "uv|virtualenv"

_PROJECT = nox.project.load_toml("pyproject.toml")


def _install(session: nox.Session, *groups: str) -> None:
    """Install the project, editable, and the tools of some dependency groups."""
    session.install("--quiet", "-e", ".", *nox.project.dependency_groups(_PROJECT, *groups))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the test suite without what `long` runs, on as many cores as there are."""
    if ABSENT:
        session.notify("absent")
    _install(session, "tests")
    session.run("pytest", *PARALLEL, "-m", f"not ({LONG})", *session.posargs)


@nox.session(python=LOWEST_PRESENT)
def long(session: nox.Session) -> None:
    """Run the rest on one Python: the slow tests, and those of docs, browsers and LibreOffice."""
    _install(session, "tests")
    # A long property, a page of the docs or a browser seldom depends on the Python.
    env = {"HYPOTHESIS_PROFILE": os.environ.get("HYPOTHESIS_PROFILE", "long")}
    session.run("pytest", *PARALLEL, "-m", LONG, *session.posargs, env=env)


@nox.session(python=False)
def absent(session: nox.Session) -> None:
    """Say on which Pythons nothing was tested; `tests` has it run at the end."""
    rule = "!" * 80
    for line in (rule, f"NOT TESTED, as absent on this machine: Python {', '.join(ABSENT)}", rule):
        session.warn(line)


@nox.session(python=LOWEST_PRESENT)
def quick(session: nox.Session) -> None:
    """Run the first case of each test, where it needs no process, database, browser or cluster."""
    _install(session, "tests")
    chosen = f"not (subprocess or postgres or {LONG})"
    env = {"HYPOTHESIS_PROFILE": "quick"}
    without = ("--ignore", "tests/fleet")
    session.run("pytest", *PARALLEL, *without, "-m", chosen, *session.posargs, env=env)


@nox.session(python=LOWEST_PRESENT)
def spreadsheets(session: nox.Session) -> None:
    """Open exports in LibreOffice, in two locales; it says loudly where LibreOffice is absent."""
    if not (shutil.which("soffice") or shutil.which("libreoffice")):
        rule = "!" * 80
        for line in (rule, "NOT TESTED, as absent on this machine: LibreOffice", rule):
            session.warn(line)
        session.skip("apt-get install libreoffice-calc")
    _install(session, "tests")
    session.run("pytest", "-m", "spreadsheet", *session.posargs)


@nox.session(python=LOWEST_PRESENT)
def coverage(session: nox.Session) -> None:
    """Measure which branches the tests take; fewer than pyproject.toml asks for are an error.

    What runs in a process of its own is not measured, so the tests of that are left out. The slow
    ones are too: they take the branches that others take, with more cases.
    """
    _install(session, "tests", "coverage")
    chosen = f"not (subprocess or {LONG})"
    report = "--cov-report=term-missing:skip-covered"
    session.run("pytest", *PARALLEL, "-m", chosen, "--cov", report, *session.posargs)


@nox.session(python=PYTHONS[0])
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


@nox.session(python=LOWEST_PRESENT)
def bench(session: nox.Session) -> None:
    """Run what is too long for a test, and print its figures; name some to run these alone.

    `nox -s bench -- year faults`: each is a script in tests/bench, with its own words at its top.
    """
    _install(session, "tests", "bench")
    scripts = sorted(path.stem for path in HERE.glob("tests/bench/[!_]*.py"))
    for name in session.posargs or scripts:
        session.run("python", f"tests/bench/{name}.py")


@nox.session(python=LOWEST_PRESENT)
def lint(session: nox.Session) -> None:
    """Check and format with ruff."""
    session.install("--quiet", *nox.project.dependency_groups(_PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(python=LOWEST_PRESENT)
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


@nox.session(python=LOWEST_PRESENT)
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    _install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-E", "-q", "docs", "docs/_build/html")


@nox.session(python=LOWEST_PRESENT)
def recording(session: nox.Session) -> None:
    """Draw the pictures of the command line anew, of what it really prints."""
    _install(session, "tests")
    session.run("python", "docs/make_pictures.py")


# By virtualenv, as it runs pip as a user would.
@nox.session(python=LOWEST_PRESENT, reuse_venv=False, venv_backend="virtualenv")
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


@nox.session(python=LOWEST_PRESENT)
def audit(session: nox.Session) -> None:
    """Look up known vulnerabilities of what the project installs, with all its extras."""
    session.install("--quiet", *nox.project.dependency_groups(_PROJECT, "audit"))
    folder = Path(session.create_tmp())
    wanted, report = folder / "requirements.txt", folder / "audit.json"
    optional = _PROJECT["project"]["optional-dependencies"]
    lines = [
        *_PROJECT["project"]["dependencies"],
        *(one for name in EXTRAS for one in optional[name]),
    ]
    wanted.write_text("\n".join(lines) + "\n", "utf-8")
    report.unlink(missing_ok=True)
    # Strict, as one package that cannot be looked up would else only be a line among many. The
    # code is 1 for findings and for failures alike; only findings write a report.
    command = ["pip-audit", "--strict", "--progress-spinner=off", "--requirement", str(wanted)]
    session.run(*command, "--format=json", f"--output={report}", success_codes=[0, 1])
    if not report.exists():
        session.error(
            "NOTHING WAS AUDITED: the vulnerability service was not reached, or does not know one "
            "of the packages (see above). This says nothing about whether they are safe."
        )
    found = json.loads(report.read_text("utf-8"))["dependencies"]
    for package in found:
        for one in package["vulns"]:
            fixed = ", ".join(one["fix_versions"]) or "no version yet"
            session.warn(f"{package['name']} {package['version']}: {one['id']}, fixed in {fixed}")
    if any(package["vulns"] for package in found):
        session.error("what the project installs has known vulnerabilities")
    session.log(f"{len(found)} packages, no known vulnerability")

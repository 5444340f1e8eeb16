"""Encrypted schedulers, by Python and by the command line; plain ones that are elsewhere."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import WITHIN, boxis, environment, invoke, wait_for
from fleets import FIRST, LAST, TENANTS, local_cluster, names_in
from homes import home  # noqa: F401 - a fixture, for each test here
from paths import ROOT

from boxis_async import UsageError
from boxis_async.fleet import FleetError, harvest, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxis_async.testing import Provider, Row

ROLES = ("scheduler", "worker", "client")
RANGE = ("--from", f"{FIRST}", "--to", f"{LAST}")


@contextmanager
def cluster(**settings: Any) -> Iterator[str]:  # noqa: ANN401 - whatever Dask takes
    """Run a scheduler and a worker on a socket, and give the address."""
    with local_cluster(n_workers=1, threads_per_worker=4, host="127.0.0.1", **settings) as found:
        yield found.scheduler_address


def certificates_in(folder: Path) -> dict[str, str]:
    """Make an authority, and a certificate by it; give what Dask calls these files."""
    import trustme  # noqa: PLC0415

    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1")
    files = {name: str(folder / f"{name}.pem") for name in ("ca", "key", "cert")}
    authority.cert_pem.write_to_path(files["ca"])
    own.private_key_pem.write_to_path(files["key"])
    own.cert_chain_pems[0].write_to_path(files["cert"])
    return files


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Make what the cluster and its clients have."""
    return certificates_in(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def encrypted(certificates: dict[str, str]) -> Iterator[str]:
    """Run a scheduler that lets in only those who have a certificate."""
    with cluster(protocol="tls", security=security_of(certificates)) as address:
        yield address


def security_of(files: dict[str, str]) -> Any:  # noqa: ANN401 - Dask's own
    """Make what `security=` takes."""
    from distributed import Security  # noqa: PLC0415

    named = {f"tls_{role}_{kind}": files[kind] for role in ROLES for kind in ("key", "cert")}
    return Security(require_encryption=True, tls_ca_file=files["ca"], **named)


@pytest.fixture
def _configured(certificates: dict[str, str]) -> Iterator[None]:
    """Have Dask's configuration name the certificate, as its file does."""
    import dask  # noqa: PLC0415

    own = {kind: certificates[kind] for kind in ("key", "cert")}
    tls = {f"tls.{role}": own for role in ROLES} | {"tls.ca-file": certificates["ca"]}
    values = {"require-encryption": True} | tls
    with dask.config.set({f"distributed.comm.{name}": value for name, value in values.items()}):
        yield


async def test_a_harvest_by_tls(
    served: Provider,  # noqa: ARG001 - it serves
    of_tenants: dict[str, list[Row]],
    encrypted: str,
    certificates: dict[str, str],
    tmp_path: Path,
) -> None:
    """With a `Security` for it, all is as elsewhere."""
    assert encrypted.startswith("tls://")
    done = await harvest(
        TENANTS, FIRST, LAST, tmp_path, scheduler=encrypted, security=security_of(certificates),
        max_rate=None,
    )  # fmt: skip
    assert done.is_whole
    assert done.rows == sum(map(len, of_tenants.values())) == verify(tmp_path).rows


@pytest.mark.usefixtures("_configured")
def test_the_command_by_tls(
    served: Provider,  # noqa: ARG001 - it serves
    encrypted: str,
    tmp_path: Path,
) -> None:
    """`boxis fleet run` takes the certificate from Dask's configuration."""
    (tmp_path / "tenants.txt").write_text("\n".join(TENANTS), "utf-8")
    options = ("--tenants", "tenants.txt", *RANGE, "--dataset", "calls", "--max-rate", "500")
    result = invoke("fleet", "run", *options, "--scheduler", encrypted, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["complete"] == 9


async def test_without_a_certificate(encrypted: str, tmp_path: Path) -> None:
    """Whoever has none reads what is missing, and one of another authority is not let in."""
    import dask  # noqa: PLC0415

    with pytest.raises(FleetError, match=r"no scheduler at tls://.*TLS configuration"):
        await harvest(["T"], FIRST, LAST, tmp_path / "calls", scheduler=encrypted)
    files = certificates_in(tmp_path)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "100ms"}),
        pytest.raises(FleetError, match="no scheduler at tls://"),
    ):
        await harvest(
            ["T"], FIRST, LAST, tmp_path / "calls", scheduler=encrypted, security=security_of(files)
        )


def test_a_plain_scheduler_elsewhere_is_refused_unless_allowed(
    served: Provider,
    tmp_path: Path,
) -> None:
    """By Python and by the command line; what is refused sends and writes nothing."""
    (tmp_path / "tenants.txt").write_text("\n".join(TENANTS), "utf-8")
    with cluster(protocol="tcp") as here:
        # As good as an address elsewhere: one that is not seen to be of this machine.
        address = here.replace("127.0.0.1", "127.1")
        run = partial(harvest, TENANTS, FIRST, LAST, scheduler=address, max_rate=None)
        command = ("fleet", "run", "--tenants", "tenants.txt", *RANGE, "--max-rate", "500",
                   "--dataset", "by-command", "--scheduler", address)  # fmt: skip
        with pytest.raises(UsageError, match="is not encrypted"):
            asyncio.run(run(tmp_path / "by-python"))
        refused = invoke(*command)
        assert refused.exit_code == 2
        assert "--allow-insecure" in refused.stderr
        assert served.requests == []
        assert names_in(tmp_path) == ["home", "tenants.txt"]
        done = asyncio.run(run(tmp_path / "by-python", allow_insecure=True))
        assert done.complete == 9
        allowed = invoke(*command, "--allow-insecure", "--json")
        assert allowed.exit_code == 0, allowed.stderr
        assert json.loads(allowed.stdout)["complete"] == 9


def free_port() -> int:
    """Find a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Report whether somebody listens at a port."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_steps_of_the_docs(served: Provider, tmp_path: Path) -> None:  # noqa: ARG001 - it serves
    """The page's commands and file, run as they stand there, but in a folder and on a free port."""
    if shutil.which("openssl") is None:
        pytest.skip("NOT TESTED: openssl is absent")
    port = free_port()
    page = (ROOT / "docs" / "fleet.md").read_text("utf-8").partition("### With TLS\n")[2]
    for before, after in (
        ("/etc/boxis", tmp_path.as_posix()), ("10.0.0.5", "127.0.0.1"), ("8786", f"{port}"),
        ("127.0.0.1:8787", "127.0.0.1:0"), ("\\\n", ""),
    ):  # fmt: skip
        page = page.replace(before, after)
    blocks = re.findall(r"^```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    certificate, configuration, started = blocks[:3]
    subprocess.run(shlex.split(certificate), check=True, capture_output=True)
    folder = Path.home() / ".config" / "dask"
    folder.mkdir(parents=True)
    (folder / "tls.yaml").write_text(configuration, "utf-8")
    (tmp_path / "tenants.txt").write_text("\n".join(TENANTS), "utf-8")
    ours = environment() | {"DASK_CONFIG": str(folder)}
    with ExitStack() as stack:
        for line in started.splitlines():
            name, *arguments = shlex.split(line)
            assert name == "dask"
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments], env=ours,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(process.wait, WITHIN)
            stack.callback(process.terminate)
        address = f"tls://127.0.0.1:{port}"
        assert address in started
        wait_for(lambda: listens(port))
        options = ("--tenants", "tenants.txt", *RANGE, "--dataset", "calls", "--max-rate", "500")
        ended = boxis("fleet", "run", *options, "--scheduler", address, "--json", env=ours)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["complete"] == 9

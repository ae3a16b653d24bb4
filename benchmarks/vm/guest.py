"""The guest: Debian's arm64 kernel and Python, and this agent, made without running a line of arm64 code.

The packages come through a private apt (folders of its own, the machine's sources), are taken apart with
dpkg-deb and become a read-only ext4 image; no maintainer script runs. Kept in .venv/vm, some 25 s at first.
"""

from __future__ import annotations

import compileall
import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv" / "vm"
PACKAGES = ("python3", "busybox-static")
MODULES = (
    "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk", "failover",
    "net_failover", "virtio_net", "crc16", "mbcache", "crc32c_generic", "jbd2", "ext4",
)  # fmt: skip
"""What Debian's kernel does not have built in; one that is missing is built in."""
IMAGE_MIB = 256
"""Of the root disk; sparse."""
_UNUSED = (
    "lib/modules", "usr/lib/modules", "boot", "usr/share/doc", "usr/share/man", "usr/share/locale",
    "usr/lib/python3.11/test", "usr/lib/python3.11/idlelib",
)  # fmt: skip
_APT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Files QEMU boots from."""

    kernel: Path
    initrd: Path
    root: Path


def build() -> Guest:
    """Return the guest with the code as it is now; what is slow is made once.

    Raises:
        SystemExit: it cannot be made; with what the program that failed said.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    base, modules = FOLDER / "base", FOLDER / "modules"
    if not (FOLDER / "base.done").exists():
        print("Getting Debian's arm64 kernel and Python for the guest (once) ...", file=sys.stderr)
        _make_base(base, modules)
        (FOLDER / "base.done").touch()
    python = _python_of(base)
    _make_site(FOLDER / "site", python)
    guest = Guest(
        kernel=next((FOLDER / "boot").glob("vmlinu*")),
        initrd=FOLDER / "initrd",
        root=FOLDER / "root.img",
    )
    _make_initrd(guest.initrd, base, modules, python)
    _make_root(guest.root, base, FOLDER / "site")
    return guest


def run(*words: str | Path, cwd: Path | None = None, data: bytes | None = None) -> str:
    """Run a program to its end and return what it said.

    Raises:
        SystemExit: it failed.
    """
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, input=data, capture_output=True, timeout=_APT_S, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).decode("utf-8", "replace")[-2000:]
        raise SystemExit(f"{' '.join(map(str, words[:4]))} ... failed ({done.returncode}):\n{said}")
    return done.stdout.decode("utf-8", "replace")


def _python_of(base: Path) -> str:
    """Return `3.11` of the guest's own Python."""
    return min(each.name for each in (base / "usr/bin").glob("python3.*"))[len("python") :]


def _make_base(base: Path, modules: Path) -> None:
    apt = FOLDER / "apt"
    for each in (base, modules, apt, FOLDER / "boot"):
        shutil.rmtree(each, ignore_errors=True)
    for name in ("state/lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    options: list[str | Path] = []
    for setting in (
        "APT::Architecture=arm64",
        "APT::Architectures=arm64",
        f"Dir::State={apt / 'state'}",
        f"Dir::State::status={apt / 'status'}",
        f"Dir::Cache={apt / 'cache'}",
        "APT::Sandbox::User=",
        "APT::Install-Recommends=false",
        "Acquire::Languages=none",
    ):
        options += ["-o", setting]
    archives = apt / "cache/archives"
    run("apt-get", *options, "update")
    # the newest kernel by its own name: what the collective package would bring along is not needed
    told = run("apt-cache", *options, "depends", "linux-image-arm64")
    kernel = re.search(r"Depends: (linux-image-\S+)", told)
    if kernel is None:
        raise SystemExit("the package sources of this machine have no linux-image-arm64")
    run("apt-get", *options, "install", "-y", "--download-only", *PACKAGES)
    run("apt-get", *options, "download", kernel[1], cwd=archives)
    for each in sorted(archives.glob("*.deb")):
        run("dpkg-deb", "-x", each, base)
    shutil.move(base / "boot", FOLDER / "boot")
    folder = next(each for each in base.glob("**/lib/modules/*") if each.is_dir())
    modules.mkdir()
    for name in MODULES:
        for found in folder.rglob(f"{name}.ko*"):
            shutil.copy(found, modules)
    for each in modules.glob("*.xz"):
        run("xz", "-d", each)
    for name in _UNUSED:
        shutil.rmtree(base / name, ignore_errors=True)
    shutil.rmtree(apt)


def _make_site(site: Path, python: str) -> None:
    """Install what the agent needs, as wheels for the guest's processor."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    constraints = ROOT / "constraints.txt"
    wanted = [*project["dependencies"], constraints.read_text("utf-8"), python]
    digest = hashlib.sha256("\n".join(wanted).encode()).hexdigest()
    stamp = site.with_name("site.done")
    if stamp.exists() and stamp.read_text() == digest:
        return
    print("Getting the agent's libraries for arm64 (once) ...", file=sys.stderr)
    shutil.rmtree(site, ignore_errors=True)
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--no-compile", "--only-binary=:all:", "--python-version", python,
        "--platform", "manylinux2014_aarch64", "--platform", "manylinux_2_28_aarch64",
        "--implementation", "cp", "--target", site, "-c", constraints, *project["dependencies"],
    )  # fmt: skip
    stamp.write_text(digest)


def _make_initrd(initrd: Path, base: Path, modules: Path, python: str) -> None:
    folder = initrd.with_name("initrd.folder")
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("bin", "dev", "proc", "root"):
        (folder / name).mkdir(parents=True)
    shutil.copy(next(base.glob("**/bin/busybox")), folder / "bin/busybox")
    shutil.copytree(modules, folder / "modules")
    there = [name for name in MODULES if (modules / f"{name}.ko").exists()]
    text = (Path(__file__).parent / "init.sh").read_text("utf-8")
    text = text.replace("__PYTHON__", f"/usr/bin/python{python}")
    (folder / "init").write_text(text.replace("__MODULES__", " ".join(there)))
    (folder / "init").chmod(0o755)
    names = "\n".join(
        str(each.relative_to(folder)) for each in [folder, *sorted(folder.rglob("*"))]
    )
    archive = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"],
        cwd=folder, input=names.encode(), capture_output=True, check=True,
    )  # fmt: skip
    initrd.write_bytes(archive.stdout)


def _make_root(image: Path, base: Path, site: Path) -> None:
    """Lay base, libraries and the code as it is now into an image."""
    for name in ("dev", "proc", "sys", "tmp", "run", "data"):
        (base / name).mkdir(exist_ok=True)
    for name, source in (("lib", "usr/lib"), ("bin", "usr/bin"), ("sbin", "usr/sbin")):
        if not (base / name).exists():  # merged /usr, whose links a maintainer script makes
            (base / name).symlink_to(source)
    code = base / "opt/plantroom"
    shutil.rmtree(base / "opt", ignore_errors=True)
    for name in ("agent", "benchmarks", "drivers"):
        shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(site, base / "opt/site")
    # what a maintainer script and pip would do; where this Python is not the guest's it is in vain, no more
    for folder in (base / "usr/lib", base / "opt"):
        compileall.compile_dir(folder, quiet=2, workers=2)
    image.unlink(missing_ok=True)
    run(sbin("mkfs.ext4"), "-q", "-d", base, "-O", "^has_journal", image, f"{IMAGE_MIB}M")


def sbin(name: str) -> str:
    """Return where a system program lies, also for people whose PATH has no sbin."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") or name

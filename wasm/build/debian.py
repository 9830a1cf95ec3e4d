"""Gets the original archive of a Debian source package, from the mirror that this system's apt uses."""

from __future__ import annotations

import functools
import platform
import re
import shutil
import urllib.parse
from pathlib import Path

from wasm.build import download
from wasm.build.places import UnavailableError, run_tool

# A stable release keeps its archives for years, and its lists are shorter.
_SUITES = ("trixie", "sid")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SILENCE_SECONDS = 15


def fetch(package: str, file: str, sha256: str, directory: Path) -> Path:
    """Let apt download a source package's original archive, without root.

    Every mirror is asked for every suite, and in there every revision that has the file.

    Args:
        package: the source package.
        file: the archive's name in it.
        sha256: the archive's hash.
        directory: an empty directory to work in.

    Returns:
        The archive.

    Raises:
        UnavailableError: no mirror has it.
    """
    if shutil.which("apt-get") is None:
        msg = "this system has no apt-get"
        raise UnavailableError(msg)
    if not _KEYRING.exists():
        msg = f"{_KEYRING} isn't there; install the package debian-archive-keyring"
        raise UnavailableError(msg)
    mirrors = _mirrors(directory)
    if not mirrors:
        msg = "this system's apt sources name no Debian mirror"
        raise UnavailableError(msg)
    reasons = []
    for mirror in mirrors:
        try:
            _check_mirror(mirror, directory)
        except UnavailableError as error:
            reasons.append(str(error))
            continue
        for suite in _SUITES:
            try:
                return _Lists(mirror, suite, directory / f"apt-{len(reasons)}").fetch(package, file, sha256)
            except UnavailableError as error:
                reasons.append(f"{suite}: {error}")
    raise UnavailableError("; ".join(reasons))


def _mirrors(directory: Path) -> list[str]:
    """List the Debian mirrors among the system's sources; apt itself reads them, in any form."""
    listed = run_tool(
        "apt-get",
        "indextargets",
        "-oAPT::Get::IndexTargets::ReleaseInfo=false",  # also those whose lists were never fetched
        "--format=$(REPO_URI) $(RELEASE) $(COMPONENT)",
        cwd=directory,
        explain=_explain,
    )
    own = _own_release()
    found = []
    for line in listed.splitlines():
        uri, release, component = line.rsplit(" ", 2)
        main = component == "main" and "-" not in release and "/" not in release
        if main and ("debian" in uri or release == own):
            found.append(uri)
    return list(dict.fromkeys(found))


def _own_release() -> str | None:
    """Return the code name of this system if it is a Debian."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        return None
    return system.get("VERSION_CODENAME") if system["ID"] == "debian" else None


def _check_mirror(mirror: str, directory: Path) -> None:
    """Give up soon on a mirror that can't be reached, unless apt has a proxy of its own."""
    if urllib.parse.urlsplit(mirror).scheme not in {"http", "https"}:
        return
    settings = run_tool("apt-config", "dump", "--no-empty", cwd=directory, explain=_explain)
    if not re.search("^Acquire::https?::Proxy", settings, re.MULTILINE | re.IGNORECASE):
        download.network.check_reachable(mirror)


class _Lists:
    """apt's lists of one suite of a mirror, apart from the system's."""

    def __init__(self, mirror: str, suite: str, directory: Path) -> None:
        self._directory = directory
        for folder in ("lists/partial", "cache/archives/partial"):
            (directory / folder).mkdir(parents=True)
        sources = directory / "sources.list"
        sources.write_text(f"deb-src [signed-by={_KEYRING}] {mirror} {suite} main\n")
        self._options = {
            "Dir::State::lists": directory / "lists",
            "Dir::Cache": directory / "cache",
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "/dev/null",
            "APT::Sandbox::User": "",  # the directory is this user's alone
            "APT::Update::Error-Mode": "any",
            "Acquire::Retries": 1,
            "Acquire::http::Timeout": _SILENCE_SECONDS,
            "Acquire::https::Timeout": _SILENCE_SECONDS,
        }

    def fetch(self, package: str, file: str, sha256: str) -> Path:
        """Get a file that one of the package's revisions has.

        Raises:
            UnavailableError: none has it, or the mirror hasn't got it.
        """
        self._apt("apt-get", "-qq", "update")
        revisions = self._revisions(package, file, sha256)
        if not revisions:
            msg = f"no revision of {package} has {file} any more"
            raise UnavailableError(msg)
        reasons = []
        for revision in revisions:
            try:
                # Only the archive: of an old revision's other files the mirror may have none.
                self._apt("apt-get", "-qq", "source", "--download-only", "--tar-only", f"{package}={revision}")
            except UnavailableError as error:
                reasons.append(f"{revision}: {error}")
                continue
            if (self._directory / file).exists():
                return self._directory / file
            reasons.append(f"{revision}: apt-get left no {file}")
        raise UnavailableError("; ".join(reasons))

    def _revisions(self, package: str, file: str, sha256: str) -> list[str]:
        """List the versions whose files include the wanted one, newest first."""
        text = self._apt("apt-cache", "showsrc", "--only-source", package)
        found = set()
        for paragraph in text.split("\n\n"):
            version = re.search(r"^Version: (\S+)$", paragraph, re.MULTILINE)
            if version and re.search(rf"^ {sha256} \d+ {re.escape(file)}$", paragraph, re.MULTILINE):
                found.add(version[1])
        return sorted(found, key=functools.cmp_to_key(self._compare))

    def _compare(self, one: str, other: str) -> int:
        """Put the newer of two versions first; dpkg knows which that is."""
        try:
            run_tool("dpkg", "--compare-versions", one, "gt", other, cwd=self._directory, explain=_explain)
        except UnavailableError:
            return 1
        return -1

    def _apt(self, program: str, *arguments: str) -> str:
        options = (f"-o{name}={value}" for name, value in self._options.items())
        return run_tool(program, *options, *arguments, cwd=self._directory, explain=_explain)


def _explain(text: str) -> str:
    errors = [line[2:].strip() for line in text.splitlines() if line.startswith("E:")]
    return (errors or text.splitlines() or ["no reason given"])[0]

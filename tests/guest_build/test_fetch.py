"""How the build gets sources: servers, an index and archives of our own; a stand-in for apt."""

import contextlib
import dataclasses
import errno
import hashlib
import http.server
import io
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wasm.__main__ import main
from wasm.build import archive, config, debian, download, fetch, places, steps

ROOT = Path(__file__).parents[2]

FILES = {
    "LICENCE": b"do what you like\n",
    "configure": b"#!/bin/sh\n",
    "src/a.c": b"int a;\n",
    "src/b/b.h": b"\xff\x00",
}
UNUSED = {"README": b"read me", "src/tests/t.c": b"int t;\n"}


class Web:
    """A web server, which is a proxy too.

    Attributes:
        pages: what it has at a path: bytes, or a function of the request's handler.
        asked: the paths that it was asked for.
    """

    def __init__(self):
        self.pages = {}
        self.asked = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                web.asked.append(self.path)
                page = web.pages.get(self.path)
                if callable(page):
                    page(self)
                elif page is None:
                    self.send_error(404)
                else:
                    self.send_response(200)
                    self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/gzip")
                    self.send_header("Content-Length", str(len(page)))
                    self.end_headers()
                    self.wfile.write(page)

            def do_CONNECT(self):
                web.asked.append(self.path)
                web.pages["CONNECT"](self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def url(self, path=""):
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def web():
    with contextlib.closing(Web()) as server:
        yield server


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """No proxy, no local sources, and nothing known of the network from the test before."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("DUCKDB_WASI_UDF_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(download, "network", download.Network())


def tar(files, *, top="thing-1", form="w:gz", mode=0o644, mtime=0):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=form) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{top}/{name}" if top else name)
            member.size, member.mode, member.mtime = len(data), mode, mtime
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def pinned(*places, files=FILES, named=("LICENCE", "configure", "src")):
    """A source with `files`, whose hash is written down as sha256sum would do it."""
    listing = "".join(f"{sha256(files[name])}  {name}\n" for name in sorted(files))
    return config.Source(
        name="thing",
        version="1",
        licence="LICENCE",
        files=named,
        without=("src/tests",),
        files_sha256=sha256(listing.encode()),
        places=places,
    )


def at(web, path, data, **fields):
    """A place that has an archive."""
    web.pages[path] = data
    return config.UrlPlace(url=web.url(path), **{"sha256": sha256(data)} | fields)


def nobody():
    """A place where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    return config.UrlPlace(url=f"http://127.0.0.1:{port}/thing.tar", sha256="0" * 64)


def seen(directory):
    """Everything below a directory that a build could see."""
    return {
        str(path.relative_to(directory)): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime)
        for path in directory.rglob("*")
        if not path.is_dir()
    }


def failure(source, directory):
    with pytest.raises(steps.StepError) as raised:
        fetch.fetch(source, directory)
    return str(raised.value)


def test_a_source_has_the_files_that_are_pinned_and_no_others(web, tmp_path, capsys):
    source = pinned(at(web, "/thing.tar.gz", tar(FILES | UNUSED)))
    fetched = fetch.fetch(source, tmp_path)
    assert {name: data for name, (data, _, _) in seen(fetched).items()} == FILES
    assert {name: oct(mode) for name, (_, mode, _) in seen(fetched).items() if mode != 0o644} == {"configure": "0o755"}
    assert capsys.readouterr().err == f"guest: fetched thing 1 from {web.url('/thing.tar.gz')}\n"


def test_the_hash_is_the_one_that_a_shell_computes(tmp_path):
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    tool = "sha256sum" if shutil.which("sha256sum") else "shasum -a 256"
    command = f"{tool} $(find . -type f | sed 's,^./,,' | LC_ALL=C sort) | {tool}"
    printed = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert printed.split()[0] == archive.files_sha256({name: sha256(data) for name, data in FILES.items()})


def test_every_place_gives_the_same_directory(web, tmp_path):
    inside = {f"vendored/{name}": data for name, data in FILES.items() if name != "LICENCE"}
    archives = [
        at(web, "/1", tar(FILES)),
        at(web, "/2", tar(UNUSED | FILES, top="./other", form="w:xz", mode=0o777, mtime=1e9), sha256=None),
        at(
            web,
            "/3",
            tar(inside | {"LICENSES/thing.txt": FILES["LICENCE"]}, form="w"),
            root="vendored",
            moved={"LICENSES/thing.txt": "LICENCE"},
        ),
    ]
    found = [seen(fetch.fetch(pinned(place), tmp_path / place.url[-1])) for place in archives]
    assert found[0] == found[1] == found[2]


def test_places_are_tried_in_order_until_one_has_it(web, tmp_path, capsys):
    missing = config.UrlPlace(url=web.url("/missing"), sha256="0" * 64)
    third, fourth = (at(web, path, tar(FILES)) for path in ("/third", "/fourth"))
    fetch.fetch(pinned(nobody(), missing, third, fourth), tmp_path)
    assert web.asked == ["/missing", "/third"]
    assert capsys.readouterr().err == f"guest: fetched thing 1 from {third.url}\n"


def test_what_was_fetched_is_not_asked_for_again(web, tmp_path, capsys):
    source = pinned(at(web, "/thing.tar.gz", tar(FILES)))
    first = fetch.fetch(source, tmp_path)
    capsys.readouterr()
    assert fetch.fetch(source, tmp_path) == first
    assert web.asked == ["/thing.tar.gz"]
    assert capsys.readouterr().err == ""


def test_a_kept_archive_serves_a_changed_list_of_files(web, tmp_path):
    place = at(web, "/thing.tar.gz", tar(FILES | UNUSED))
    fetch.fetch(pinned(place), tmp_path)
    more = FILES | {"README": UNUSED["README"]}
    changed = pinned(nobody(), place, files=more, named=("LICENCE", "README", "configure", "src"))
    assert set(seen(fetch.fetch(changed, tmp_path))) == set(more)
    assert web.asked == ["/thing.tar.gz"]


def test_a_damaged_archive_in_the_cache_is_fetched_again(web, tmp_path, capsys):
    place = at(web, "/thing.tar.gz", tar(FILES))
    (tmp_path / place.sha256).write_bytes(web.pages["/thing.tar.gz"][:-5])
    assert set(seen(fetch.fetch(pinned(place), tmp_path))) == set(FILES)
    assert "is damaged; it is fetched again\n" in capsys.readouterr().err
    assert (tmp_path / place.sha256).read_bytes() == web.pages["/thing.tar.gz"]


def cut_short(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b"x" * 1000)


def test_a_source_that_nobody_has_says_why_and_what_to_do(web, tmp_path, capsys):
    web.pages["/short"] = cut_short
    other = at(web, "/other", tar(FILES), sha256="1" * 64)
    files = at(web, "/files", tar({"LICENCE": b"mine"}), sha256=None)
    damaged = at(web, "/damaged", tar(FILES)[:100])
    text = at(web, "/text", b"<html>Please log in", sha256=None)
    short, missing = (config.UrlPlace(url=web.url(path), sha256="0" * 64) for path in ("/short", "/missing"))
    unknown = config.UrlPlace(url="https://nowhere.invalid/x", sha256="0" * 64)
    places = (nobody(), unknown, missing, short, other, files, damaged, text)
    first, *lines = failure(pinned(*places), tmp_path).splitlines()
    assert "any of its 8 places" in first
    assert "DUCKDB_WASI_UDF_THING_SOURCE" in first
    assert [line.split(": ")[0] for line in lines] == [f"  {place.url}" for place in places]
    reasons = [
        "can't be reached",
        "nowhere.invalid",
        "the server answers 404",
        "ended after 1000 of 5000 bytes",
        f"its sha256 is {sha256(web.pages['/other'])}, pinned is {'1' * 64}",
        "has other files and lacks configure, src: files_sha256 is",
        "the archive is damaged",
        "the archive is damaged, or no tar file",
    ]
    for line, reason in zip(lines, reasons, strict=True):
        assert reason in line
    assert list(tmp_path.iterdir()) == []
    # What may be an attack is said even when another place has the source.
    assert capsys.readouterr().err.count("guest: not used: ") == 2


@pytest.mark.parametrize("name", ["../evil", "/evil", "thing-1/../evil", "thing-1/src/../../evil", "a/../../evil"])
def test_an_archive_that_leads_out_of_itself_is_not_used(name, web, tmp_path):
    files = {f"thing-1/{each}": data for each, data in FILES.items()}
    data = tar({name: b"evil"} | files, top="")
    assert f"its member '{name}' leads out of it" in failure(pinned(at(web, "/x", data)), tmp_path / "cache")
    assert list(tmp_path.rglob("evil")) == []


def test_links_are_not_unpacked(web, tmp_path):
    packed = io.BytesIO(tar(FILES, form="w"))
    with tarfile.open(fileobj=packed, mode="a") as archive:
        link = tarfile.TarInfo("thing-1/src/c.c")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    fetched = fetch.fetch(pinned(at(web, "/x", packed.getvalue())), tmp_path)
    assert set(seen(fetched)) == set(FILES)


def test_a_server_that_falls_silent_is_given_up(web, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_SILENCE_SECONDS", 0.2)
    ended = threading.Event()

    def stall(handler):
        cut_short(handler)
        ended.wait(60)

    web.pages["/stalls"] = stall
    web.pages["/says-nothing"] = lambda handler: ended.wait(60)
    places = [config.UrlPlace(url=web.url(path), sha256="0" * 64) for path in ("/stalls", "/says-nothing")]
    try:
        assert failure(pinned(*places), tmp_path).count("silent for ") == 2
    finally:
        ended.set()


def test_hosts_that_never_answer_cost_seconds_once(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_REACH_SECONDS", 2)
    monkeypatch.setattr(download, "_IMPATIENT_REACH_SECONDS", 0.1)
    asked = []
    ended = threading.Event()

    def look_up(host, *_, **__):
        asked.append(host)
        ended.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    hosts = ["one.test", "two.test", "three.test", "four.test"]
    places = [config.UrlPlace(url=f"https://{host}/x", sha256="0" * 64) for host in hosts]
    started = time.monotonic()
    try:
        for _ in range(3):
            assert failure(pinned(*places, *places), tmp_path).count("no answer from ") == 8
        assert time.monotonic() - started < 5
        assert asked == hosts
        assert download.network.seems_absent
    finally:
        ended.set()


def refuse(code):
    return lambda handler: handler.send_error(code)


@pytest.mark.parametrize(("scheme", "code"), [("https", 407), ("https", 403), ("http", 407)])
def test_a_proxy_that_refuses_is_named_without_its_password(scheme, code, web, tmp_path, monkeypatch):
    web.pages |= {"CONNECT": refuse(code), "http://nowhere.invalid/x": refuse(code)}
    monkeypatch.setenv(f"{scheme}_proxy", web.url().replace("://", "://me:secret@"))
    place = config.UrlPlace(url=f"{scheme}://nowhere.invalid/x", sha256="0" * 64)
    reason = failure(pinned(place), tmp_path)
    assert f"refused through the proxy {web.url().removeprefix('http://')} (" in reason
    assert str(code) in reason
    assert f"check {scheme}_proxy" in reason
    assert "secret" not in reason


def test_a_proxy_is_asked_instead_of_the_server(web, tmp_path, monkeypatch):
    place = at(web, "http://nowhere.invalid/x", tar(FILES))
    monkeypatch.setenv("http_proxy", web.url())
    source = pinned(dataclasses.replace(place, url="http://nowhere.invalid/x"))
    assert set(seen(fetch.fetch(source, tmp_path))) == set(FILES)


def test_a_proxy_that_is_not_there_is_the_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", nobody().url.rpartition("/")[0])
    place = config.UrlPlace(url="https://nowhere.invalid/x", sha256="0" * 64)
    assert "the proxy can't be used: 127.0.0.1, port " in failure(pinned(place), tmp_path)


@pytest.mark.parametrize("proxy", ["http://:3128", "http://proxy.test:port"])
def test_a_proxy_without_a_proper_address_is_the_reason(proxy, tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", proxy)
    place = config.UrlPlace(url="https://nowhere.invalid/x", sha256="0" * 64)
    assert "in http_proxy or https_proxy, has no host or no valid port" in failure(pinned(place), tmp_path)


VARIABLE = "DUCKDB_WASI_UDF_THING_SOURCE"


def test_a_local_archive_comes_first(web, tmp_path, monkeypatch, capsys):
    local = tmp_path / "local.tar.gz"
    local.write_bytes(tar(FILES))
    monkeypatch.setenv(VARIABLE, str(local))
    source = pinned(at(web, "/thing.tar.gz", tar(FILES)))
    assert set(seen(fetch.fetch(source, tmp_path / "cache"))) == set(FILES)
    assert web.asked == []
    assert capsys.readouterr().err == f"guest: fetched thing 1 from {local} ({VARIABLE})\n"
    assert local.exists()


def test_a_local_archive_may_be_that_of_any_place(web, tmp_path, monkeypatch):
    # Not even its hash is known: the files are what counts.
    (tmp_path / "local").write_bytes(tar({f"vendored/{name}": data for name, data in FILES.items()}))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "local"))
    places = nobody(), dataclasses.replace(nobody(), root="vendored")
    assert set(seen(fetch.fetch(pinned(*places), tmp_path / "cache"))) == set(FILES)


def _loop(path):
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "can't be read: No such file"),
        (Path.mkdir, "can't be read: Is a directory"),
        (_loop, "can't be read: "),
        (lambda path: path.write_bytes(b""), "the archive is damaged, or no tar file"),
        (lambda path: path.write_bytes(b"PK not a tar file"), "the archive is damaged, or no tar file"),
        (lambda path: path.write_bytes(tar(FILES)[:100]), "the archive is damaged"),
        (lambda path: path.write_bytes(tar(FILES, form="w:xz")[:100]), "the archive is damaged"),
        (
            lambda path: path.write_bytes(tar(FILES | {"src/a.c": b"int b;"})),
            "the archive has other files: files_sha256",
        ),
        (lambda path: path.write_bytes(tar(UNUSED)), "has other files and lacks LICENCE, configure, src"),
        (lambda path: path.write_bytes(tar({"../evil": b""})), "leads out of it"),
    ],
    ids=[
        "missing",
        "directory",
        "loop",
        "empty",
        "zip",
        "truncated gz",
        "truncated xz",
        "changed",
        "other",
        "escaping",
    ],
)
def test_a_local_archive_that_is_not_it_is_a_clear_error(make, reason, tmp_path, monkeypatch):
    make(tmp_path / "local")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "local"))
    text = failure(pinned(nobody()), tmp_path / "cache")
    assert text.startswith(f"{VARIABLE} names {tmp_path / 'local'}")
    assert reason in text
    assert "name a tar archive of thing 1, or unset" in text
    assert "\n" not in text


def test_a_cache_that_cannot_be_written_is_a_clear_error(web, tmp_path):
    (tmp_path / "file").touch()
    text = failure(pinned(at(web, "/x", tar(FILES))), tmp_path / "file" / "cache")
    assert f"can't be kept in {tmp_path / 'file' / 'cache'}: " in text
    assert "DUCKDB_WASI_UDF_CACHE" in text


def fetching(source, directory, before=""):
    """A program that fetches a source in a process of its own."""
    program = (
        f"import pathlib\n{before}\nfrom wasm.build import fetch, steps\nfrom wasm.build.config import *\n"
        f"try:\n    print(fetch.fetch({source!r}, pathlib.Path({str(directory)!r})))\n"
        "except steps.StepError as error:\n    print(error)"
    )
    return [sys.executable, "-c", program]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are POSIX's")
@pytest.mark.parametrize("most", [100, 60_000], ids=["downloading", "unpacking"])
def test_a_write_that_fails_says_where_and_what_to_do(most, web, tmp_path):
    files = FILES | {"src/a.c": b"int a;\n" * 100_000}
    source = pinned(at(web, "/x", tar(files)), at(web, "/y", tar(files)), files=files)
    assert 100 < len(web.pages["/x"]) < 60_000 < len(files["src/a.c"])
    limit = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))"
    done = subprocess.run(
        fetching(source, tmp_path, limit), cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert f"the source of thing can't be kept in {tmp_path}: " in done.stdout
    assert "make room there, or name another directory in DUCKDB_WASI_UDF_CACHE" in done.stdout
    assert web.asked == ["/x"]  # no other place makes room
    assert not list(tmp_path.glob("thing*"))


def test_a_tool_that_finds_the_disk_full_is_told_apart(tmp_path):
    program = "import errno, os; raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))"
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        places.run_tool(sys.executable, "-c", program, cwd=tmp_path, explain=str)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as POSIX does it")
def test_after_ctrl_c_the_next_fetch_starts_clean(web, tmp_path):
    arrived, ended = threading.Event(), threading.Event()

    def stall(handler):
        cut_short(handler)
        handler.wfile.flush()
        arrived.set()
        ended.wait(60)

    source = pinned(at(web, "/x", tar(FILES)))
    whole = web.pages["/x"]
    web.pages["/x"] = stall
    command = fetching(source, tmp_path, "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)")
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert arrived.wait(60)
            process.send_signal(signal.SIGINT)
            assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
        finally:
            ended.set()
            process.kill()
    assert list(tmp_path.iterdir()) == []
    web.pages["/x"] = whole
    assert set(seen(fetch.fetch(source, tmp_path))) == set(FILES)


def test_two_fetches_at_once_do_not_disturb_each_other(web, tmp_path):
    source = pinned(at(web, "/x", tar(FILES)))
    data = web.pages["/x"]
    both = threading.Barrier(2)

    def wait(handler):
        both.wait(60)
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(data)

    web.pages["/x"] = wait
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: fetch.fetch(source, tmp_path), range(2)))
    assert found[0] == found[1]
    assert set(seen(found[0])) == set(FILES)
    assert {path.name for path in tmp_path.iterdir()} == {found[0].name, source.places[0].sha256}


# pip, with an index of our own


@pytest.fixture
def index(web, monkeypatch):
    """Puts a source distribution on an index, which pip is set up to use; its place."""
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", web.url("/simple"))

    def publish(build_system, backend, **fields):
        files = FILES | {
            "pyproject.toml": f"[build-system]\nrequires = ['a-compiler']\n{build_system}\n".encode(),
            "setup.py": b"raise SystemExit('code of the archive ran')",
        }
        data = tar(files, top="thing-1.0")
        web.pages["/simple/thing/"] = b'<a href="/thing-1.0.tar.gz">thing-1.0.tar.gz</a>'
        web.pages["/thing-1.0.tar.gz"] = data
        return config.PypiPlace(pypi="thing==1.0", backend=backend, **{"sha256": sha256(data)} | fields)

    return publish


@pytest.mark.parametrize(
    ("build_system", "backend"),
    [("build-backend = 'thing.builder'", "thing.builder"), ("", "setuptools.build_meta:__legacy__")],
    ids=["named", "unnamed"],
)
def test_a_source_distribution_is_had_without_running_it(build_system, backend, index, tmp_path, capsys):
    place = index(build_system, backend)
    assert set(seen(fetch.fetch(pinned(place), tmp_path))) == set(FILES)
    assert capsys.readouterr().err == "guest: fetched thing 1 from PyPI, thing==1.0\n"


def test_another_source_distribution_is_not_used(index, tmp_path):
    place = index("", "setuptools.build_meta:__legacy__", sha256="1" * 64)
    assert "PyPI, thing==1.0: pip: " in failure(pinned(place), tmp_path)


def test_an_index_without_the_version_is_the_reason(index, tmp_path):
    place = dataclasses.replace(index("", "builder"), pypi="thing==2.0")
    assert "PyPI, thing==2.0: pip: " in failure(pinned(place), tmp_path)


def test_an_index_that_cannot_be_reached_is_tried_once(tmp_path, index, monkeypatch):
    place = index("", "builder")
    monkeypatch.setenv("PIP_INDEX_URL", nobody().url)
    first = failure(pinned(place), tmp_path)
    assert "pip can't reach its index: " in first
    assert "pip config list" in first
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was run again"))
    assert failure(pinned(place), tmp_path) == first


def test_a_python_without_pip_is_the_reason(index, tmp_path, monkeypatch):
    place = index("", "builder")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "has no pip; install it" in failure(pinned(place), tmp_path)


# apt: a stand-in that has the lists and files of a description, and notes how it was called

APT = """\
#!{python}
import json, os, pathlib, re, sys

home = pathlib.Path({home!r})
said = json.loads((home / "said.json").read_text())
program = pathlib.Path(sys.argv[0]).name
options = dict(each[2:].split("=", 1) for each in sys.argv[1:] if each.startswith("-o"))
words = [each for each in sys.argv[1:] if not each.startswith("-")]
with (home / "called").open("a") as file:
    file.write(" ".join([program, *words]) + chr(10))

def fail(text):
    sys.exit("E: " + text)

if program == "apt-config":
    print(said.get("settings", ""))
elif words[0] == "indextargets":
    print(said["targets"])
else:
    line = pathlib.Path(options["Dir::Etc::sourcelist"]).read_text()
    mirror, suite = re.fullmatch(r"deb-src \\[signed-by=[^]]+\\] (\\S+) (\\S+) main\\n", line).groups()
    lists = said["lists"].get(f"{{mirror}} {{suite}}")
    if lists is None:
        fail(f"{{suite}} can't be had")
    if words[0] == "showsrc":
        for version, files in lists.items():
            print(f"Package: {{words[1]}}\\nVersion: {{version}}\\nChecksums-Sha256:")
            for name, sha256 in files.items():
                print(f" {{sha256}} 123 {{name}}")
            print("Directory: pool\\n")
    elif words[0] == "source":
        assert "--tar-only" in sys.argv and "--download-only" in sys.argv
        package, version = words[1].split("=")
        if version in said["gone"]:
            fail(f"404 for {{version}}")
        for name in lists[version]:
            if (home / name).exists():
                pathlib.Path(name).write_bytes((home / name).read_bytes())
"""

FILE = "thing_1.orig.tar.gz"
ORIG = tar(FILES)


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """Puts the stand-in in front of the real programs; a function that sets what it says, which returns the place."""
    home = tmp_path / "apt"
    home.mkdir()
    for name in ("apt-get", "apt-cache", "apt-config"):
        (home / name).write_text(APT.format(python=sys.executable, home=str(home)))
        (home / name).chmod(0o755)
    # dpkg is on Debian only; versions here are in the order of their letters.
    (home / "dpkg").write_text(
        '#!/bin/sh\n[ "$2" != "$4" ] && [ "$(printf "%s\\n%s\\n" "$2" "$4" | sort | tail -1)" = "$2" ]\n'
    )
    (home / "dpkg").chmod(0o755)
    monkeypatch.setenv("PATH", str(home), prepend=os.pathsep)
    (home / "keyring").touch()
    monkeypatch.setattr(debian, "_KEYRING", home / "keyring")

    def say(mirror, lists, *, gone=(), **said):
        (home / FILE).write_bytes(ORIG)
        lists = {f"{mirror} {suite}": files for suite, files in lists.items()}
        targets = f"{mirror} bookworm main\n{mirror} bookworm-updates main"
        (home / "said.json").write_text(json.dumps({"targets": targets, "lists": lists, "gone": gone} | said))
        return config.DebianPlace(debian="thing", file=FILE, sha256=sha256(ORIG))

    say.called = lambda: (home / "called").read_text().splitlines()
    say.home = home
    return say


WANTED = {FILE: sha256(ORIG), "thing_1-1.debian.tar.xz": "0" * 64}
OTHER = {"thing_2.orig.tar.gz": "2" * 64}
CHANGED = {FILE: "3" * 64}


def revisions(apt):
    return [line.partition("=")[2] for line in apt.called() if line.startswith("apt-get source")]


def test_debian_gives_the_newest_revision_with_the_file(apt, web, tmp_path, capsys):
    lists = {"trixie": {"1-1": WANTED, "1-3": WANTED, "1-2": WANTED, "1-4": CHANGED, "2-1": OTHER}, "sid": {}}
    fetched = fetch.fetch(pinned(apt(web.url("/debian"), lists)), tmp_path / "cache")
    assert set(seen(fetched)) == set(FILES)
    assert revisions(apt) == ["1-3"]
    assert capsys.readouterr().err == f"guest: fetched thing 1 from Debian, {FILE} of the source package thing\n"


def test_debian_revisions_whose_files_are_gone_are_passed(apt, web, tmp_path):
    lists = {"trixie": {"1-1": WANTED, "1-2": WANTED, "1-3": WANTED}}
    fetch.fetch(pinned(apt(web.url("/debian"), lists, gone=["1-3", "1-2"])), tmp_path / "cache")
    assert revisions(apt) == ["1-3", "1-2", "1-1"]


@pytest.mark.parametrize("trixie", [{}, {"trixie": {"2-1": OTHER}}, {"trixie": {"1-1": WANTED}}])
def test_debian_suites_do_not_stop_each_other(trixie, apt, web, tmp_path):
    place = apt(web.url("/debian"), trixie | {"sid": {"1-2": WANTED}}, gone=["1-1"])
    assert set(seen(fetch.fetch(pinned(place), tmp_path / "cache"))) == set(FILES)
    assert revisions(apt)[-1] == "1-2"


def test_debian_mirrors_that_fail_are_passed(apt, web, tmp_path):
    good = web.url("/debian")
    targets = [
        f"{nobody().url}/debian bookworm main",
        "https://apt.test/debian bookworm stable",
        f"{web.url('/debian-security')} bookworm-security main",
        f"{web.url('/empty-debian')} bookworm main",
        f"{good} bookworm main",
    ]
    place = apt(good, {"trixie": {"1-1": WANTED}}, targets="\n".join(targets))
    fetch.fetch(pinned(place), tmp_path / "cache")
    assert apt.called().count("apt-get update") == 3  # two suites of the empty one, one of the good one


def test_debian_says_what_each_revision_and_suite_lacked(apt, web, tmp_path):
    lists = {"trixie": {"1-1": WANTED, "1-2": WANTED}}
    text = failure(pinned(apt(web.url("/debian"), lists, gone=["1-1", "1-2"])), tmp_path / "cache")
    assert f"  Debian, {FILE} of the source package thing: " in text
    assert "trixie: 1-2: 404 for 1-2; 1-1: 404 for 1-1; sid: sid can't be had" in text


def test_apt_with_a_proxy_of_its_own_is_left_alone(apt, tmp_path):
    unreachable = f"{nobody().url}/debian"
    lists = {"trixie": {"1-1": WANTED}}
    assert "can't be reached" in failure(pinned(apt(unreachable, lists)), tmp_path / "cache")
    place = apt(unreachable, lists, settings='Acquire::http::Proxy "http://proxy.test:3142";')
    assert set(seen(fetch.fetch(pinned(place), tmp_path / "cache"))) == set(FILES)


def test_a_system_without_debian_is_the_reason(apt, web, tmp_path, monkeypatch):
    place = apt(web.url("/debian"), {"trixie": {"1-1": WANTED}}, targets="https://apt.test/ubuntu noble main")
    monkeypatch.setattr(debian, "_own_release", lambda: None)
    assert "name no Debian mirror" in failure(pinned(place), tmp_path / "cache")
    (apt.home / "keyring").unlink()
    assert "install the package debian-archive-keyring" in failure(pinned(place), tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "this system has no apt-get" in failure(pinned(place), tmp_path / "cache")


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="this system has no apt-get")
def test_the_real_apt_reads_both_forms_of_sources(tmp_path, monkeypatch):
    (tmp_path / "parts").mkdir()
    (tmp_path / "lists" / "partial").mkdir(parents=True)
    (tmp_path / "sources.list").write_text(
        "# deb http://commented.test/debian bookworm main\n"
        "deb [arch=amd64] http://one.test/debian bookworm main contrib\n"
        "deb http://one.test/debian bookworm-updates main\n"
        "deb http://security.test/debian-security bookworm-security main\n"
    )
    (tmp_path / "parts" / "more.sources").write_text(
        "Types: deb deb-src\nURIs: https://two.test/debian/ http://three.test/pub/debian\n"
        "Suites: trixie\nComponents: main\n"
        "\nEnabled: no\nTypes: deb\nURIs: http://off.test/debian\nSuites: trixie\nComponents: main\n"
    )
    (tmp_path / "apt.conf").write_text(
        textwrap.dedent(f"""\
            Dir::Etc::sourcelist "{tmp_path}/sources.list";
            Dir::Etc::sourceparts "{tmp_path}/parts";
            Dir::State::lists "{tmp_path}/lists";
            Dir::Cache "{tmp_path}";
        """)
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    found = [mirror.rstrip("/") for mirror in debian._mirrors(tmp_path)]
    assert found == ["http://one.test/debian", "https://two.test/debian", "http://three.test/pub/debian"]


# What config.toml pins


@pytest.mark.parametrize("source", config.load().sources.values(), ids=lambda source: source.name)
def test_each_source_has_independent_places(source):
    names = [place.name.split("/")[2] if isinstance(place, config.UrlPlace) else type(place) for place in source.places]
    # numpy is at PyPI alone, which every user of pip reaches, and `make demo` never needs it.
    assert len(set(names)) >= {"numpy": 1, "tzdata": 2}.get(source.name, 3)  # compiled, tzdata is nowhere else
    assert len(names) == len(set(names))
    for place in source.places:
        assert place.sha256 is not None or "/archive/refs/tags/" in place.url
    assert source.licence in source.files


def test_places_can_be_checked_one_by_one(web, monkeypatch, capsys):
    good = at(web, "/good", tar(FILES))
    changed = dataclasses.replace(config.load(), sources={"thing": pinned(good)})
    monkeypatch.setattr(config, "load", lambda: changed)
    monkeypatch.setattr(sys, "argv", ["wasm", "check-sources"])
    assert main() == 0
    assert capsys.readouterr().out == f"thing 1, {good.url}: ok\n"
    missing = dataclasses.replace(good, url=web.url("/missing"))
    changed.sources["thing"] = pinned(missing, good)
    assert main() == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"thing 1, {missing.url}: the server answers 404")
    assert second == f"thing 1, {good.url}: ok"

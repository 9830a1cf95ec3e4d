"""What is taken of wheels, zips, directories and installed distributions, and what is refused."""

import io
import json
import os
import sys
import zipfile
from pathlib import Path
from random import Random

import pytest

from duckdb_wasi_udf import LimitExceeded, PackageError
from duckdb_wasi_udf._packages.collect import Packages, collect
from tests.support.installed import install

PACKAGE = {"rules/__init__.py": "A = 1\n", "rules/deep/b.py": "", "rules/data/ünï.json": "{}"}


def taken(*items, limit_bytes=10_000):
    return collect(items, limit_bytes=limit_bytes, python_version="3.13.5")


def write(directory, files):
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(text if isinstance(text, bytes) else text.encode())
    return directory


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def encoded(files):
    return {path: text.encode() for path, text in files.items()}


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


# ---- what is taken -----------------------------------------------------------------------------------------------


def test_nothing_is_taken_by_default():
    packages = taken()
    assert (packages.files, packages.modules, packages.left_out) == ({}, frozenset(), ())


@pytest.mark.parametrize("kind", ["directory", "package", "zip", "wheel", "text"])
def test_a_package_with_its_data_comes_from(tmp_path, kind):
    match kind:
        case "directory":
            item = write(tmp_path / "src", PACKAGE)
        case "package":
            item = write(tmp_path / "src", PACKAGE) / "rules"
        case "zip":
            item = write_zip(tmp_path / "any name.zip", PACKAGE)
        case "wheel":
            item = write_zip(tmp_path / "rules-1.0-py3-none-any.whl", PACKAGE)
        case _:
            item = str(write(tmp_path / "src", PACKAGE))
    packages = taken(item)
    assert packages.files == encoded(PACKAGE)
    assert packages.modules == {"rules"}


def test_a_single_module(tmp_path):
    write(tmp_path, {"rules.py": "A = 1", "other.py": ""})
    assert taken(tmp_path / "rules.py").files == {"rules.py": b"A = 1"}


def test_a_relative_path_is_no_requirement(tmp_path, monkeypatch):
    write(tmp_path, PACKAGE | {"single.py": ""})
    monkeypatch.chdir(tmp_path)
    for item in ("./rules", Path("rules"), "rules/", f"..{os.sep}{tmp_path.name}/rules"):
        assert taken(item).modules == {"rules"}
    assert taken("single.py").modules == {"single"}
    with pytest.raises(PackageError, match="rules is not installed"):
        taken("rules")


def test_only_what_can_be_imported_or_belongs_to_it_is_taken(tmp_path):
    left_out = {
        "README.md": "",
        "setup.cfg": "",
        "1st.py": "",
        "not-a-module/x.py": "",
        ".git/config": "[remote]",
        ".env": "SECRET=1",
        "rules/.hidden": "",
        "rules/__pycache__/x.cpython-313.pyc": "",
        "rules/x.pyc": "",
        "rules-1.0.dist-info/RECORD": "",
        "rules-1.0.dist-info/direct_url.json": '{"url": "file:///home/ada"}',
    }
    known = {"rules-1.0.dist-info/METADATA": "Name: rules", "rules-1.0.dist-info/entry_points.txt": ""}
    namespace = {"space/inner/m.py": ""}
    files = PACKAGE | known | namespace
    packages = taken(write(tmp_path / "src", files | left_out))
    assert packages.files == encoded(files)
    assert packages.modules == {"rules", "space"}
    assert taken(write_zip(tmp_path / "x.zip", files | left_out)).files == encoded(files)


@pytest.mark.parametrize(
    "name", ["../evil.py", "rules/../../evil.py", "/evil.py", "rules//evil.py", "./evil.py", "rules/a\nb.py"]
)
def test_a_zip_can_not_place_files_anywhere_else(tmp_path, name):
    packages = taken(write_zip(tmp_path / "x.zip", PACKAGE | {name: "evil"}))
    assert packages.files == encoded(PACKAGE)


def test_a_wheels_data_directory_holds_modules_too(tmp_path):
    files = {"rules-1.0.data/purelib/rules/__init__.py": "", "rules-1.0.data/scripts/run": "#!python"}
    assert taken(write_zip(tmp_path / "rules-1.0-py3-none-any.whl", files)).files == {"rules/__init__.py": b""}


def test_an_installed_distribution_comes_with_what_it_needs(site):
    install(site, "a", requires=["b"], files={"a/__init__.py": "", "a/x.txt": "data", "../../bin/a": "#!"})
    install(site, "b")
    packages = taken("a")
    assert set(packages.files) == {
        *("a/__init__.py", "a/x.txt", "b.py"),
        *("a-1.0.dist-info/METADATA", "b-1.0.dist-info/METADATA"),
    }
    assert packages.modules == {"a", "b"}


def test_packages_share_a_directory_that_is_no_package(tmp_path):
    one = write(tmp_path / "1", {"space/a.py": "1"})
    two = write(tmp_path / "2", {"space/b.py": "2"})
    assert taken(one, two).files == {"space/a.py": b"1", "space/b.py": b"2"}


def test_the_same_package_twice_is_one(tmp_path, site):
    source = write(tmp_path / "src", PACKAGE)
    assert taken(source, source / "rules", write_zip(tmp_path / "x.zip", PACKAGE)).files == encoded(PACKAGE)
    install(site, "rules", files=PACKAGE)
    assert taken("rules", "rules>=1", source).files.items() >= encoded(PACKAGE).items()


def test_what_is_on_the_disk_later_makes_no_difference(tmp_path):
    source = write(tmp_path / "src", PACKAGE)
    packages = taken(source)
    write(source, {"rules/__init__.py": "A = 2\n"})
    assert packages.files["rules/__init__.py"] == b"A = 1\n"


# ---- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wheel", "tag"),
    [
        ("numpy-2.0-cp313-cp313-manylinux_2_28_x86_64.whl", "cp313-cp313-manylinux_2_28_x86_64"),
        ("fast-1.0-py3-none-linux_x86_64.whl", "py3-none-linux_x86_64"),
        ("fast-1.0-cp38-abi3-win_amd64.whl", "cp38-abi3-win_amd64"),
        ("old-1.0-py2-none-any.whl", "py2-none-any"),
    ],
)
def test_a_wheel_for_a_platform_is_refused_by_its_name(tmp_path, wheel, tag):
    path = write_zip(tmp_path / wheel, PACKAGE)
    with pytest.raises(PackageError, match=f"{wheel}: is built for {tag}.*takes wheels for py3-none-any"):
        taken(path)


@pytest.mark.parametrize("wheel", ["a-1.0-py3-none-any.whl", "a-1.0-py2.py3-none-any.whl", "a-1-2-py39-none-any.whl"])
def test_wheels_for_every_platform_are_taken(tmp_path, wheel):
    assert taken(write_zip(tmp_path / wheel, PACKAGE)).modules == {"rules"}


@pytest.mark.parametrize("name", ["_x.cpython-313-x86_64-linux-gnu.so", "_x.pyd", "lib.dylib", "lib.so.1.2", "x.dll"])
@pytest.mark.parametrize("kind", ["directory", "zip", "wheel"])
def test_compiled_code_is_refused_by_its_name(tmp_path, kind, name):
    files = PACKAGE | {f"rules/{name}": b"\x7fELF"}
    item = {
        "directory": lambda: write(tmp_path / "src", files),
        "zip": lambda: write_zip(tmp_path / "x.zip", files),
        "wheel": lambda: write_zip(tmp_path / "rules-1.0-py3-none-any.whl", files),
    }[kind]()
    with pytest.raises(PackageError, match=f"has native code .rules/{name}., which can't run in the sandbox"):
        taken(item)


def test_an_installed_distribution_without_any_python_is_refused(site):
    install(site, "fast", requires=[], files={"fast.abi3.so": b"\x7fELF"})
    with pytest.raises(PackageError, match=r"^fast 1\.0: has native code \(fast\.abi3\.so\)"):
        taken("fast")


def test_a_distribution_may_do_without_its_compiled_code(site):
    install(site, "quick", files={"quick/__init__.py": "", "quick/_speed.so": b"\x7fELF", "other.py": ""})
    (left_out,) = taken("quick").left_out
    assert (left_out.label, left_out.native, left_out.modules) == ("quick 1.0", ("quick/_speed.so",), ("quick",))


@pytest.mark.parametrize("name", ["json", "re", "ssl", "duckdb_wasi_udf", "host", "_udf", "_udf_guest", "__main__"])
def test_a_name_of_the_standard_library_or_the_guest_is_refused(tmp_path, name):
    for files in ({f"{name}.py": ""}, {f"{name}/__init__.py": ""}, {f"{name}/x.py": ""}):
        source = write(tmp_path / str(len(list(tmp_path.iterdir()))), files)
        with pytest.raises(
            PackageError, match=f"its module '{name}' is named as one of the guest or the standard library"
        ):
            taken(source)


@pytest.mark.parametrize(
    ("other", "path"),
    [
        ({"rules/__init__.py": "A = 2"}, "rules/__init__.py"),
        ({"rules.py": ""}, "rules.py"),
        ({"rules/data/ünï.json": "[]", "b.py": ""}, "rules/data/ünï.json"),
        ({"rules/deep/b/__init__.py": "# another"}, "rules/deep/b/__init__.py"),
    ],
)
def test_two_packages_that_differ_in_a_file_are_refused(tmp_path, other, path):
    one, two = write(tmp_path / "one", PACKAGE), write(tmp_path / "two", other)
    with pytest.raises(PackageError, match=f"two: {path} is in .*one as well, with other contents"):
        taken(one, two)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("/no/such/place", "/no/such/place: there is no such file or directory"),
        ("absent.whl", "absent.whl: there is no such file"),
        (Path("absent"), "absent: there is no such file"),
        ("https://example.org/x", "there is no such file"),
        (3, "by a path or a requirement, not by a int"),
        (None, "not by a NoneType"),
        (b"rules", "not by a bytes"),
    ],
)
def test_an_item_that_is_nothing_is_refused(item, message):
    with pytest.raises(PackageError, match=message):
        taken(item)


@pytest.mark.parametrize("items", ["jinja2", b"jinja2", Path("x")])
def test_one_item_alone_is_no_list(items):
    with pytest.raises(PackageError, match="packages is a list, such as packages="):
        collect(items, limit_bytes=1, python_version="3.13.5")


def test_files_that_are_not_what_they_are_called_are_refused(tmp_path):
    write(tmp_path, {"x.zip": b"PK nonsense", "x.tar.gz": b"", "x-1.0-py3-none-any.whl": b""})
    for name in ("x.zip", "x-1.0-py3-none-any.whl"):
        with pytest.raises(PackageError, match=f"{name}: can't be read: ") as raised:
            taken(tmp_path / name)
        assert isinstance(raised.value.__cause__, zipfile.BadZipFile)
    with pytest.raises(PackageError, match=r"is no wheel \(\.whl\), zip, directory or module \(\.py\)"):
        taken(tmp_path / "x.tar.gz")


@pytest.mark.parametrize("method", ["ZIP_STORED", "ZIP_DEFLATED", "ZIP_BZIP2", "ZIP_LZMA"])
def test_a_damaged_zip_is_refused_or_is_whole_all_the_same(tmp_path, method):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", getattr(zipfile, method)) as archive:
        for name, text in PACKAGE.items():
            archive.writestr(name, text * 50)
    whole = path.read_bytes()
    random = Random(method)
    ends = set()
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[random.randrange(len(whole))] = random.choice((0, 255, random.randrange(256)))
        path.write_bytes(damaged)
        try:
            ends.add(type(taken(path)))
        except (PackageError, LimitExceeded) as error:
            ends.add(type(error))
    assert {Packages, PackageError} <= ends


@pytest.mark.parametrize("files", [{}, {"README.md": ""}, {"data/x.json": "{}"}, {"my-rules/__init__.py": ""}])
def test_no_modules_at_all_is_an_error(tmp_path, files):
    (tmp_path / "src").mkdir()
    with pytest.raises(PackageError, match="src: has no Python modules; a zip or directory has to hold packages"):
        taken(write(tmp_path / "src", files))


@pytest.mark.skipif(sys.platform == "win32", reason="making links takes a privilege there")
def test_links_are_refused_wherever_they_lead(tmp_path):
    write(tmp_path, {"secret/key.txt": "secret"})
    for number, target in enumerate(["key.txt", ""]):
        source = write(tmp_path / str(number), PACKAGE)
        (source / "rules" / "link").symlink_to(tmp_path / "secret" / target)
        with pytest.raises(PackageError, match="rules/link: is a symbolic link"):
            taken(source)


def test_installed_for_editing_is_refused(site):
    url = json.dumps({"url": "file:///home/ada/a", "dir_info": {"editable": True}})
    install(site, "a", files={"__editable___a_finder.py": ""}, direct_url=url)
    with pytest.raises(PackageError, match=r"a 1\.0: is installed for editing .*give its directory"):
        taken("a")


def test_installed_without_a_list_of_files_is_refused(site):
    install(site, "a", record=False)
    with pytest.raises(PackageError, match=r"a 1\.0: there is no list of its files"):
        taken("a")


def test_an_installed_file_that_is_gone_is_an_error(site):
    install(site, "a")
    (site / "a.py").unlink()
    with pytest.raises(PackageError, match=r"a 1\.0: can't be read: .*a\.py"):
        taken("a")


# ---- how much ----------------------------------------------------------------------------------------------------


def test_all_files_together_may_be_as_large_as_the_limit(tmp_path):
    one, two = write(tmp_path / "1", {"one.py": "x" * 10}), write(tmp_path / "2", {"two.py": "x" * 10})
    assert taken(one, two, limit_bytes=32).modules == {"one", "two"}
    with pytest.raises(LimitExceeded, match="2: with two.py the packages are larger than package_bytes=31") as raised:
        taken(one, two, limit_bytes=31)
    assert (raised.value.limit, raised.value.allowed) == ("package_bytes", 31)


def test_a_zip_is_not_unpacked_beyond_the_limit(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "x.zip", {"bomb.py": b"\n" * 50_000_000})
    assert path.stat().st_size < 100_000
    sizes = []
    real = zipfile.ZipExtFile.read

    def read(self, n=-1):
        sizes.append(n)
        return real(self, n)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", read)
    with pytest.raises(LimitExceeded, match=r"x\.zip: with bomb\.py"):
        taken(path)
    assert sizes == [10_001]


def test_many_empty_files_count_by_their_names(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(1000):
            archive.writestr(f"rules/m{number:04}.py", "")
    (tmp_path / "x.zip").write_bytes(buffer.getvalue())
    with pytest.raises(LimitExceeded):
        taken(tmp_path / "x.zip")

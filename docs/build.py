"""Build the documentation site: `make docs`.

The pages are read in the repository too, where they link to files of all kinds. The site has those that are Markdown,
the ones from outside docs/ below project/; a link to any other file becomes its path. What the site is made of is
staged in a folder, so that another generator that reads mkdocs.yml could make it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]

# Pages of the site by file of the repository.
_OUTSIDE = {
    "README.md": "project/readme.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "wasm/README.md": "project/guest-build.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
    "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
}
_LINK = re.compile(r"(!?)\[([^\[\]]*)\]\(([^()\s]+)\)")
_CELL = re.compile(r"<t[dh][ >].*?</t[dh]>", re.DOTALL)
_CELL_CODE = re.compile(r"(?<=<code>).*?(?=</code>)", re.DOTALL)
_CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Build the site, and return the exit status: 1 if there are warnings."""
    parser = argparse.ArgumentParser(description="Build the documentation site.")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "docs", help="its folder, which is emptied")
    output = parser.parse_args().output.resolve()
    staged = stage(output)
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", staged], cwd=staged.parent, check=False
    )
    if built.returncode:
        return 1
    for page in (output / "site").rglob("*.html"):
        page.write_text(with_breaks(page.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{output / 'site' / 'index.html'}")
    return 0


def stage(output: Path) -> Path:
    """Write what the site is made of, and return the path of its configuration.

    Args:
        output: the folder of the site and of this. It is emptied.
    """
    shutil.rmtree(output, ignore_errors=True)
    pages = output / "pages"
    for file in sorted((ROOT / "docs").rglob("*")):
        if file.is_file() and file.parent != ROOT / "docs" / "__pycache__" and file.suffix not in {".py", ".yml"}:
            _add(pages, file, file.relative_to(ROOT / "docs").as_posix())
    for name, page in _OUTSIDE.items():
        _add(pages, ROOT / name, page)
    settings = yaml.safe_load((ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8"))
    settings["plugins"][1]["mkdocstrings"]["handlers"]["python"]["paths"] = [str(ROOT)]
    settings |= {"docs_dir": "pages", "site_dir": "site", "nav": navigation((pages / "index.md").read_text("utf-8"))}
    config = output / "mkdocs.yml"
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return config


def navigation(index: str) -> list[str | dict[str, str | list[str]]]:
    """Return the navigation: a section for each heading of the index, with the pages of its table.

    Args:
        index: the text of index.md, whose links lead to pages of the site.
    """
    sections: list[str | dict[str, str | list[str]]] = [{"Home": "index.md"}]
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, table = section.partition("\n")
        sections.append({title: re.findall(r"^\| \[[^\]]*\]\(([^)#]+)\)", table, re.MULTILINE)})
    return sections


def within_site(text: str, source: str, page: str) -> str:
    """Return Markdown whose links lead to pages of the site.

    Args:
        text: the Markdown.
        source: its file, from the root of the repository.
        page: its page, from the root of the site.
    """

    def moved(link: re.Match[str]) -> str:
        mark, label, target = link.groups()
        path, hash_, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return link[0]
        file = os.path.normpath(Path(source).parent / path).replace(os.sep, "/")
        found = _OUTSIDE.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
        if found is None:
            return label if file in label else f"{label} (`{file}`)"
        relative = os.path.relpath(found, Path(page).parent).replace(os.sep, "/")
        return f"{mark}[{label}]({relative}{hash_}{anchor})"

    return "".join(part if part.startswith("```") else _LINK.sub(moved, part) for part in _CODE.split(text))


def with_breaks(html: str) -> str:
    """Return a page whose tables may break names, file names and links between their parts, for narrow columns.

    Args:
        html: the page.
    """

    def broken(code: re.Match[str]) -> str:
        parts = re.split(r"(<[^>]*>)", code[0])
        return "".join(part if part.startswith("<") else re.sub(r"(?<=[_/.])(?=\w)", "<wbr>", part) for part in parts)

    return _CELL.sub(lambda cell: _CELL_CODE.sub(broken, cell[0]), html)


def _add(pages: Path, file: Path, page: str) -> None:
    """Copy a page or an image, a page with its links moved."""
    target = pages / page
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".md":
        source = file.relative_to(ROOT).as_posix()
        target.write_text(within_site(file.read_text(encoding="utf-8"), source, page), encoding="utf-8")
    else:
        shutil.copyfile(file, target)


if __name__ == "__main__":
    sys.exit(main())

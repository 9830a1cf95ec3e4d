"""Distributions that are installed in a directory of their own."""


def install(site, name, version="1.0", *, requires=(), files=None, metadata=(), direct_url=None, record=True):
    """Put a distribution into `site`: `files` are contents by path, a module of its name by default."""
    files = {f"{name}.py": f"NAME = {name!r}\n"} if files is None else files
    folder = site / f"{name}-{version}.dist-info"
    lines = [f"Name: {name}", f"Version: {version}", *metadata, *(f"Requires-Dist: {text}" for text in requires)]
    described = {"METADATA": "\n".join(["Metadata-Version: 2.1", *lines, "", "Description"]), "INSTALLER": "test"}
    if direct_url is not None:
        described["direct_url.json"] = direct_url
    contents = {**files, **{f"{folder.name}/{path}": text for path, text in described.items()}}
    for path, text in contents.items():
        target = site / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
    if record:
        (folder / "RECORD").write_text("".join(f"{path},,\n" for path in [*contents, f"{folder.name}/RECORD"]))

"""MkDocs: pages may link to files of the repository outside docs/, as they must on GitHub (`../local/README.md`).

Such a file becomes a part of the site, below `repository/`, and the links in it and to it are rewritten.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS, OUTSIDE = "docs/", "repository/"
# A link's target, unless it is an address, an absolute path or an anchor of the page itself; an anchor behind it stays.
_TARGET = re.compile(r"(?<=\]\()(?![a-z]+:|[#/])[^)#\s]+")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside docs/ that pages link to, and those that these link to."""
    root = Path(config.config_file_path).parent
    pending = [DOCS + file.src_uri for file in files.documentation_pages()]
    while pending:
        page = pending.pop()
        for target in _TARGET.findall((root / page).read_text(encoding="utf-8")):
            path = _resolved(target, page)
            if files.get_file_from_path(_on_site(path)) or not (root / path).is_file():
                continue  # what does not exist, MkDocs reports
            files.append(File.generated(config, _on_site(path), abs_src_path=str(root / path)))
            if path.endswith(".md"):
                pending.append(path)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead where their targets are on the site."""
    here = page.file.src_uri
    source = here.removeprefix(OUTSIDE) if here.startswith(OUTSIDE) else DOCS + here

    def relative(match: re.Match[str]) -> str:
        return posixpath.relpath(_on_site(_resolved(match[0], source)), posixpath.dirname(here) or ".")

    return _TARGET.sub(relative, markdown)


def _resolved(target: str, page: str) -> str:
    """The path in the repository to which ``target`` leads from a page, which is a path in the repository too."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), target))


def _on_site(path: str) -> str:
    """Where MkDocs has a file of the repository."""
    return path.removeprefix(DOCS) if path.startswith(DOCS) else OUTSIDE + path

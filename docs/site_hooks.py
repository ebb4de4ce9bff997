"""MkDocs hooks that allow links to files of the repository outside docs/, such as `../local/README.md`.

Such links work on GitHub. On the site, the files are added below `repository/`, and links in them and to them are
rewritten.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS, OUTSIDE = "docs/", "repository/"
# The target of a link without its anchor. Addresses, absolute paths and anchors within the page do not match.
_TARGET = re.compile(r"(?<=\]\()(?![a-z]+:|[#/])[^)#\s]+")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add files outside docs/ that pages link to, directly or through other files."""
    root = Path(config.config_file_path).parent
    pending = [DOCS + file.src_uri for file in files.documentation_pages()]
    while pending:
        page = pending.pop()
        for target in _TARGET.findall((root / page).read_text(encoding="utf-8")):
            path = _resolved(target, page)
            if files.get_file_from_path(_on_site(path)) or not (root / path).is_file():
                continue  # MkDocs reports files that do not exist
            files.append(File.generated(config, _on_site(path), abs_src_path=str(root / path)))
            if path.endswith(".md"):
                pending.append(path)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links to the places of their targets on the site."""
    here = page.file.src_uri
    source = here.removeprefix(OUTSIDE) if here.startswith(OUTSIDE) else DOCS + here

    def relative(match: re.Match[str]) -> str:
        return posixpath.relpath(_on_site(_resolved(match[0], source)), posixpath.dirname(here) or ".")

    return _TARGET.sub(relative, markdown)


def _resolved(target: str, page: str) -> str:
    """Return the path in the repository to which ``target`` leads from ``page``, a path in the repository."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), target))


def _on_site(path: str) -> str:
    """Return the path on the site of a file in the repository."""
    return path.removeprefix(DOCS) if path.startswith(DOCS) else OUTSIDE + path

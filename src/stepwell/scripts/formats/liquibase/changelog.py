"""Changelogs in XML, YAML and JSON: what they include, and changesets of plain SQL.

Liquibase's own change types (`createTable` and its like) are refused by name: they have no SQL of their own until
Liquibase has made it for one database. `liquibase update-sql` shows it, for a changeset in formatted SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from stepwell.errors import BadScript, NoScriptFolder, did_you_mean
from stepwell.scripts.formats.cutting import Part
from stepwell.scripts.formats.liquibase import formatted, tree
from stepwell.scripts.formats.liquibase.changeset import Changeset, attribute
from stepwell.scripts.formats.liquibase.properties import Properties
from stepwell.scripts.formats.liquibase.tree import Node
from stepwell.scripts.source import read

_ROOT_ATTRIBUTES = ("logicalFilePath", "objectQuotingStrategy", "changeLogId")
_CONDITIONS = ("context", "contextFilter", "labels", "ignore")
_INCLUDE = ("file", "relativeToChangelogFile", "errorIfMissing", *_CONDITIONS)
_INCLUDE_ALL = ("path", "relativeToChangelogFile", "errorIfMissingOrEmpty", "endsWithFilter", *_CONDITIONS)
_SQL = ("sql", "dbms", "splitStatements", "stripComments", "endDelimiter")
_SQL_FILE = ("path", "relativeToChangelogFile", "encoding", "dbms", "splitStatements", "stripComments", "endDelimiter")
_ABOVE = 8
"""How many folders above a changelog may be the one that its paths start from."""


class Reading:
    """One reading of a changelog with all that it includes."""

    def __init__(self, properties: Properties) -> None:
        self.properties = properties
        self.under_way: list[Path] = []

    def file(self, path: Path, name: str) -> Iterator[Changeset]:
        """The changesets of a file that Liquibase names `name`, whatever kind it is of. Raises BadScript."""
        if path in self.under_way:
            raise BadScript(path, 0, "the changelog includes itself", "Take the include away.")
        self.under_way.append(path)
        if path.suffix.lower() in tree.ENDINGS:
            yield from self.tree(path, name)
        elif path.suffix.lower() == ".sql":
            text, _ = read(path)
            yield from (
                formatted.read(text, name, path, self.properties)
                if formatted.HEADER.match(text)
                else [self.raw(text, path, name)]
            )
        else:
            raise BadScript(path, 0, f"a changelog in {path.suffix}", "Stepwell reads .sql, .xml, .yaml and .json.")
        self.under_way.pop()

    def raw(self, text: str, path: Path, name: str) -> Changeset:
        """A plain SQL file is one changeset, under the author and id that Liquibase gives it."""
        one = Changeset("includeAll", "raw", name, path, 1, {}, [Part(text, 1)])
        one.properties = self.properties.now(path)
        return one

    def tree(self, path: Path, name: str) -> Iterator[Changeset]:
        root = tree.load(path)
        _only(root, _ROOT_ATTRIBUTES, path)
        name = root.attributes.get("logicalFilePath", name)
        for node in root.children:
            match node.name:
                case "include":
                    _only(node, _INCLUDE, path)
                    found, inner = self.found(node, "file", path, name)
                    if found is not None:
                        yield from self.filtered(node, path, self.file(found, inner))
                case "includeAll":
                    _only(node, _INCLUDE_ALL, path)
                    yield from self.filtered(node, path, self.folder(node, path, name))
                case "property":
                    if "file" in node.attributes:
                        do = "Write its lines as property elements, or below [variables] in stepwell.toml."
                        raise BadScript(path, node.line, "a file of properties, which Stepwell does not read", do)
                    self.properties.define(node.attributes, path, node.line)
                case "changeSet":
                    yield self.changeset(node, path, name)
                case key if key in _ROOT_ATTRIBUTES:
                    pass
                case _:
                    known = ("include", "includeAll", "property", "changeSet")
                    what = f"the element {node.name!r}{did_you_mean(node.name, known)}"
                    raise BadScript(path, node.line, what, f"Stepwell knows {', '.join(known)} there.")

    def filtered(self, node: Node, path: Path, found: Iterator[Changeset]) -> Iterator[Changeset]:
        """What an include brings in, as far as its own conditions let it."""
        said = node.attributes
        context = said.get("contextFilter", said.get("context", ""))
        taken = self.properties.choice.takes("", context, said.get("labels", ""), path, node.line)
        if taken and said.get("ignore", "").lower() != "true":
            yield from found

    def folder(self, node: Node, path: Path, name: str) -> Iterator[Changeset]:
        """All changelogs of a folder and of those in it, by their names."""
        found, inner = self.found(node, "path", path, name)
        if found is None:
            return
        if not found.is_dir():
            raise BadScript(path, node.line, f"includeAll: {inner} is no folder", "Name the folder, or use include.")
        ending = node.attributes.get("endsWithFilter", "")
        inside = [one for one in found.rglob("*") if one.is_file() and one.name.endswith(ending)]
        for one in sorted(inside, key=lambda one: one.relative_to(found).as_posix()):
            if one.suffix.lower() in (*tree.ENDINGS, ".sql"):
                yield from self.file(one, f"{inner.rstrip('/')}/{one.relative_to(found).as_posix()}")

    def found(self, node: Node, key: str, path: Path, name: str) -> tuple[Path | None, str]:
        """The file or folder that a node names, and what Liquibase calls it. Raises BadScript."""
        written = node.attributes.get(key, "").replace("\\", "/").removeprefix("classpath:").lstrip("/")
        if not written:
            raise BadScript(path, node.line, f"{node.name} without {key}", f"Say which {key} it means.")
        if node.attributes.get("relativeToChangelogFile", "").lower() == "true":
            relative = PurePosixPath(name).parent / written
            candidates, inner = [path.parent / written], _plain(relative)
        else:
            inner = _plain(PurePosixPath(written))
            above = [path.resolve().parent, *path.resolve().parents[1:_ABOVE]]
            candidates = [_from_here(folder / written) for folder in above]
        existing = [one for one in candidates if one.exists()]
        if len(existing) > 1:
            where = " and ".join(map(str, existing[:2]))
            do = f"Take one of them away, or say relativeToChangelogFile: {where}"
            raise BadScript(path, node.line, f"{written} could be one of several files", do)
        if not existing:
            missing_ok = node.attributes.get("errorIfMissing", node.attributes.get("errorIfMissingOrEmpty", "true"))
            if missing_ok.lower() == "false":
                return None, inner
            do = "Correct the path. It starts from the folder of the changelog, or from one above it."
            raise BadScript(path, node.line, f"{node.name}: there is no {written}", do)
        return existing[0], inner

    # --- changesets -----------------------------------------------------------------------------------------

    def changeset(self, node: Node, path: Path, name: str) -> Changeset:
        said = dict(node.attributes)
        author, ident = said.pop("author", ""), said.pop("id", "")
        if not author or not ident:
            raise BadScript(path, node.line, "a changeset without author and id", "Give it both.")
        comments = [said.pop("comment", "")]
        said.pop("rollback", None), said.pop("validCheckSum", None)
        attributes: dict[str, str] = {}
        for key, value in said.items():
            attribute(attributes, key, value, path, node.line)
        one = Changeset(author, ident, name, path, node.line, attributes)
        one.properties = self.properties.now(path)
        for child in self.changes(node):
            match child.name:
                case "comment":
                    comments.append(child.text)
                case "author" | "id":
                    pass
                case "validCheckSum":
                    value = (child.text.strip() or child.attributes.get("checkSum", "")).lower()
                    one.sums.add("*" if value in ("any", "1:any") else value)
                case "rollback":
                    one.rollback = [*(one.rollback or []), *self.rollback(child, one, path)]
                case "sql" | "sqlFile":
                    if part := self.part(child, one, path):
                        one.sql.append(part)
                case key if key in attributes:
                    pass
                case _:
                    do = "Write it as `sql`, or in formatted SQL; `liquibase update-sql` shows the statements."
                    what = f"the change {child.name!r}, whose SQL only Liquibase can make"
                    raise BadScript(path, child.line, what, do)
        lines = (line.strip() for comment in dict.fromkeys(comments) for line in comment.splitlines())
        one.comments = [f"-- {line}" for line in lines if line]
        return one

    def changes(self, node: Node) -> Iterator[Node]:
        """The elements of a changeset; YAML keeps those that change something in a list of their own."""
        for child in node.children:
            if child.name == "changes":
                yield from child.children
            else:
                yield child

    def rollback(self, node: Node, one: Changeset, path: Path) -> list[Part]:
        if "changeSetId" in node.attributes:
            what = "a rollback that names another changeset"
            raise BadScript(path, node.line, what, "Write its SQL, or the changeset in formatted SQL.")
        if node.children:
            parts = []
            for child in node.children:
                if child.name not in ("sql", "sqlFile"):
                    what = f"the change {child.name!r}, whose SQL only Liquibase can make"
                    raise BadScript(path, child.line, what, "Write it as `sql`.")
                if part := self.part(child, one, path):
                    parts.append(part)
            return parts
        return [] if node.text.strip().lower() in ("empty", "not required", "") else [Part(node.text, node.line)]

    def part(self, node: Node, one: Changeset, path: Path) -> Part | None:
        """The SQL of one change; None where it is for another engine. Raises BadScript."""
        _only(node, _SQL if node.name == "sql" else _SQL_FILE, path)
        said = node.attributes
        if not self.properties.choice.takes(said.get("dbms", ""), "", "", path, node.line):
            return None
        if delimiter := said.get("endDelimiter"):
            other = one.attributes.setdefault("endDelimiter", delimiter)
            if other != delimiter:
                raise BadScript(path, node.line, "two delimiters in one changeset", "Make it two changesets.")
        if node.name == "sqlFile":
            found, _ = self.found(node, "path", path, one.file)
            if found is None or said.get("encoding", "UTF-8").upper() not in ("UTF-8", "UTF8"):
                raise BadScript(path, node.line, "Stepwell reads UTF-8 only", "Save the file as UTF-8.")
            text, _ = read(found)
            one.path = found  # so that lines are those of the file that the statements stand in
            return Part(text, 1)
        inner = node.child("sql")
        if inner is not None:
            return Part(inner.text, inner.line)
        return Part(node.text, node.line)


def _only(node: Node, known: tuple[str, ...], path: Path) -> None:
    for key in node.attributes:
        if key not in known:
            what = f"unknown attribute {key!r} of {node.name}{did_you_mean(key, known)}"
            raise BadScript(path, node.line, what, f"Stepwell knows {', '.join(known)}.")


def _plain(path: PurePosixPath) -> str:
    """A path without `.` and `..`."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part not in (".", ".."):
            parts.append(part)
    return "/".join(parts)


def _from_here(path: Path) -> Path:
    """The path from here, where that is shorter: it stands in messages."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def master(folder: Path, database: str) -> Path | None:
    """The changelog that lists all others; None where the folder has formatted SQL only. Raises BadScript."""
    if not folder.is_dir():
        raise NoScriptFolder(folder, database)
    listed = sorted(path for path in folder.iterdir() if path.suffix.lower() in tree.ENDINGS and path.is_file())
    chosen = [path for path in listed if re.search(r"changelog|master", path.name, re.IGNORECASE)]
    if len(chosen) > 1:
        chosen = [path for path in chosen if re.search("master|root", path.name, re.IGNORECASE)] or chosen
    if len(chosen) > 1:
        names = ", ".join(path.name for path in chosen)
        do = 'Say which lists the others, in stepwell.toml: scripts = "…/db.changelog-master.yaml"'
        raise BadScript(folder, 0, f"several changelogs: {names}", do)
    return chosen[0] if chosen else None

"""A changelog in XML, YAML or JSON as one kind of tree, each node with the line it stands on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from xml.parsers import expat

from stepwell.errors import BadScript
from stepwell.scripts.source import read

if TYPE_CHECKING:
    import yaml

ENDINGS = (".xml", ".yaml", ".yml", ".json")


@dataclass(slots=True)
class Node:
    """An element with its attributes (of XML; in YAML the keys with a plain value), its text, and those in it."""

    name: str
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def child(self, name: str) -> Node | None:
        return next((child for child in self.children if child.name == name), None)


def load(path: Path) -> Node:
    """The root of a changelog. Raises BadScript."""
    text, _ = read(path)
    root = _xml(text, path) if path.suffix.lower() == ".xml" else _yaml(text, path)
    if root.name != "databaseChangeLog":
        do = "A changelog begins with databaseChangeLog."
        raise BadScript(path, root.line, f"{root.name!r} instead of databaseChangeLog", do)
    return root


# --- XML --------------------------------------------------------------------------------------------------------


def _xml(text: str, path: Path) -> Node:
    parser = expat.ParserCreate()
    stack = [Node("", 1)]

    def start(name: str, attributes: dict[str, str]) -> None:
        said = {key: value for key, value in attributes.items() if not key.startswith(("xmlns", "xsi:"))}
        node = Node(name.rpartition(":")[2], parser.CurrentLineNumber, said)
        stack[-1].children.append(node)
        stack.append(node)

    def characters(data: str) -> None:
        stack[-1].text += data

    def doctype(*_: object) -> None:
        # Entities could make a small file huge, or read other files; no changelog needs them.
        raise BadScript(path, parser.CurrentLineNumber, "a DOCTYPE in a changelog", "Take it away.")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise BadScript(path, error.lineno, f"not valid XML: {expat.ErrorString(error.code)}", "Correct it.") from None
    return stack[0].children[0]


# --- YAML and JSON ----------------------------------------------------------------------------------------------


def _yaml(text: str, path: Path) -> Node:
    try:
        import yaml
    except ImportError:
        do = 'Install it: pip install "stepwell[liquibase]"'
        raise BadScript(path, 0, "changelogs in YAML need the package PyYAML, which is not installed", do) from None
    try:
        found = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise BadScript(path, line, f"not valid YAML: {error.problem}", "Correct it.") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise BadScript(path, 0, f"not valid YAML: {error}", "Correct it.") from None
    if not isinstance(found, yaml.MappingNode) or len(found.value) != 1:
        raise BadScript(path, 1, "the file is not one databaseChangeLog", "A changelog begins with it.")
    (key, value), *_ = found.value
    return _node(str(key.value), value, path, key.start_mark.line + 1, 0)


def _node(name: str, value: yaml.Node, path: Path, line: int, depth: int) -> Node:
    """A mapping's plain values are attributes, and what lies deeper are children; so are the items of a list."""
    import yaml

    if depth > 20:
        raise BadScript(path, line, "it lies too deep", "Write it flatter.")
    node = Node(name, line)
    if isinstance(value, yaml.ScalarNode):
        # The text of a block scalar begins on the line below its `|`.
        node.text, node.line = str(value.value), value.start_mark.line + 1 + (value.style in ("|", ">"))
        return node
    if isinstance(value, yaml.SequenceNode):
        for item in value.value:
            if not isinstance(item, yaml.MappingNode) or len(item.value) != 1:
                where = item.start_mark.line + 1
                raise BadScript(path, where, f"an item of {name} that is no single element", "Correct the indentation.")
            key, inner = item.value[0]
            node.children.append(_node(str(key.value), inner, path, key.start_mark.line + 1, depth + 1))
        return node
    for key, inner in value.value:
        if isinstance(inner, yaml.ScalarNode):
            node.attributes[str(key.value)] = str(inner.value)
        node.children.append(_node(str(key.value), inner, path, key.start_mark.line + 1, depth + 1))
    return node

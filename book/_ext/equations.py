"""For Sphinx: equations keep the paper's numbers, and every "Eq. 3" in the text leads there.

An equation says its number itself, `\\tag{3}`. Jupyter shows that number too, and the plain text
"Eq. 3" reads well there; only the pages turn it into a link.
"""

import re

from docutils import nodes

TAG = re.compile(r"\\tag\{([\d, ]+)\}")
MENTION = re.compile(r"(Eqs?\.\s\d+)(?:( and | to |–|-)(\d+))?")  # Eq. 3; Eqs. 3 and 6
# What a link may not stand in, or must not change.
CLOSED = (nodes.reference, nodes.title, nodes.literal, nodes.literal_block, nodes.raw)


def find_equations(app, doctree) -> None:
    """Give each numbered equation an id, and remember on which page it is."""
    known = app.env.__dict__.setdefault("numbered_equations", {})
    for block in doctree.findall(nodes.math_block):
        for tag in TAG.findall(block.astext()):
            for number in re.findall(r"\d+", tag):
                block["ids"].append(f"equation-{number}")
                known[number] = app.env.docname


def link_mentions(app, doctree, docname) -> None:
    """Turn "Eq. 3", and both numbers of "Eqs. 3 and 6", into links to those equations."""
    known = app.env.__dict__.get("numbered_equations", {})

    def link(text: str) -> nodes.Node:
        number = re.search(r"\d+", text)[0]
        if number not in known:
            return nodes.Text(text)
        page = known[number]
        uri = "" if page == docname else app.builder.get_relative_uri(docname, page)
        return nodes.reference("", text, internal=True, refuri=f"{uri}#equation-{number}")

    for text in list(doctree.findall(nodes.Text)):
        if MENTION.search(text) and not within(text, CLOSED):
            text.parent.replace(text, linked(text.astext(), link))


def within(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    """Whether any node above ``node`` is of one of the ``kinds``."""
    while node := node.parent:
        if isinstance(node, kinds):
            return True
    return False


def linked(text: str, link) -> list[nodes.Node]:
    """The text in pieces, its mentions of equations linked."""
    pieces, done = [], 0
    for mention in MENTION.finditer(text):
        first, between, second = mention.groups()
        pieces += [nodes.Text(text[done : mention.start()]), link(first)]
        pieces += [nodes.Text(between), link(second)] if second else []
        done = mention.end()
    return [*pieces, nodes.Text(text[done:])]


def setup(app) -> dict:
    app.connect("doctree-read", find_equations)
    app.connect("doctree-resolved", link_mentions)
    return {"parallel_read_safe": False, "parallel_write_safe": True}

"""For Sphinx: the captions of figures and tables, and links to them.

A chapter writes them itself, "**Figure 2.3.** What it shows", as the first paragraph after the cell
that shows it, so that they stand in Jupyter too. The pages give each an id and a style, and turn
every "Figure 2.3" in the text into a link to it.
"""

import re

from docutils import nodes

CAPTION = re.compile(r"(Figure|Table) ([\dA-Z]+\.\d+)\.")
MENTION = re.compile(r"(?:Figure|Table)\s[\dA-Z]+\.\d+")
CLOSED = (nodes.reference, nodes.title, nodes.literal, nodes.literal_block, nodes.raw, nodes.strong)


def place(mention: str) -> str:
    """The id of what "Figure 2.3" names."""
    return re.sub(r"[\s.]", "-", mention).lower()


def find_captions(app, doctree) -> None:
    """Give each caption its class and its id, and remember on which page it is."""
    known = app.env.__dict__.setdefault("numbered_captions", {})
    for paragraph in doctree.findall(nodes.paragraph):
        # MyST may put an empty text before what is bold.
        first = next((child for child in paragraph.children if child.astext()), None)
        if isinstance(first, nodes.strong) and (found := CAPTION.fullmatch(first.astext())):
            id_ = place(f"{found[1]} {found[2]}")
            paragraph["ids"].append(id_)
            paragraph["classes"].append("book-caption")
            known[id_] = app.env.docname


def link_mentions(app, doctree, docname) -> None:
    """Turn every mention of a caption that exists into a link to it."""
    known = app.env.__dict__.get("numbered_captions", {})
    for text in list(doctree.findall(nodes.Text)):
        if not MENTION.search(text) or within(text, CLOSED):
            continue
        pieces, done, said = [], 0, text.astext()
        for mention in MENTION.finditer(said):
            id_ = place(mention[0])
            if id_ in known:
                page = known[id_]
                uri = "" if page == docname else app.builder.get_relative_uri(docname, page)
                link = nodes.reference("", mention[0], internal=True, refuri=f"{uri}#{id_}")
                pieces += [nodes.Text(said[done : mention.start()]), link]
                done = mention.end()
        text.parent.replace(text, [*pieces, nodes.Text(said[done:])])


def within(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    """Whether any node above ``node`` is of one of the ``kinds``."""
    while node := node.parent:
        if isinstance(node, kinds):
            return True
    return False


def setup(app) -> dict:
    app.connect("doctree-read", find_captions)
    app.connect("doctree-resolved", link_mentions)
    return {"parallel_read_safe": False, "parallel_write_safe": True}

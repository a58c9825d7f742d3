"""For Sphinx: definitions on links to the glossary, the table of the tests, a role put right."""

import ast
from pathlib import Path

from docutils import nodes

TABLE = "<!-- the table of the tests -->"


def definitions(env) -> dict[str, str]:
    """Each term's id and its definition, as plain text, from the pages that define terms."""
    objects = env.get_domain("std").objects
    pages = {docname for (kind, _), (docname, _) in objects.items() if kind == "term"}
    return {
        id_: item[-1].astext()
        for page in pages
        for item in env.get_doctree(page).findall(nodes.definition_list_item)
        for term in item.findall(nodes.term)
        for id_ in term["ids"]
    }


def add_definitions(app, doctree, docname) -> None:
    """Give every link to a term its definition as a title, which book.js shows on hover and focus.

    Written into the page, it needs no second request, and works in a file opened from disk.
    """
    links = [link for link in doctree.findall(nodes.reference) if link.next_node(is_term)]
    known = definitions(app.env) if links else {}
    for link in links:
        link["reftitle"] = known[(link.get("refid") or link["refuri"].rpartition("#")[2])]


def is_term(node) -> bool:
    return "std-term" in node.get("classes", []) if isinstance(node, nodes.inline) else False


def add_table_of_tests(app, docname, source) -> None:
    """Replace the placeholder by a row for each file of tests: what it is about, how many."""
    if TABLE not in source[0]:
        return
    rows, total = [], 0
    for file in sorted((Path(app.srcdir) / "tests").glob("test_*.py")):
        tree = ast.parse(file.read_text())
        count = sum(
            isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            for node in ast.walk(tree)
        )
        about = " ".join(ast.get_docstring(tree).split("\n\n")[0].split())
        rows.append(f"| `{file.name}` | {about} | {count} |")
        total += count
    head = ["| file | what it is about | tests |", "|---|---|--:|"]
    source[0] = source[0].replace(TABLE, "\n".join([*head, *rows, f"| all | | {total} |"]))


def name_references(app, pagename, templatename, context, doctree) -> None:
    """docutils gives the entries of a list of references a role that ARIA has withdrawn."""
    if doctree is not None:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app) -> dict:
    app.connect("doctree-resolved", add_definitions)
    app.connect("source-read", add_table_of_tests)
    app.connect("html-page-context", name_references)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

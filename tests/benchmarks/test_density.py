"""The counts of `python -m benchmarks density`, by hand."""

from benchmarks.density import Density, density_of

SOURCE = '''"""A module
of two lines."""

# A comment.
def double(numbers):
    """Docstrings are no code."""
    found = [2 * number for number in numbers]
    return found


def name():
    text = """not a
docstring"""
    return text
'''


def test_lines_comments_comprehensions_and_names_by_hand() -> None:
    density = density_of(SOURCE)
    assert density.code_lines == 3 + 4
    assert density.comment_lines == 1
    assert density.comprehensions == 1
    assert (density.functions, density.vague_functions) == (2, 1)


def test_nodes_by_hand() -> None:
    # Module, Assign, Name, its Store, Constant.
    assert density_of("x = 1\n").nodes == 5


def test_counts_add_up() -> None:
    total = Density()
    total.add(density_of("x = 1\n"))
    total.add(density_of("# why\ny = 2\n"))
    assert (total.nodes, total.code_lines, total.comment_lines) == (10, 2, 1)

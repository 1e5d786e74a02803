"""No circle of files anywhere in `src`, imports inside of functions included (import-linter sees packages only)."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"


def module_files() -> dict[str, Path]:
    names = {path: ".".join(path.relative_to(SRC).with_suffix("").parts) for path in SRC.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


def imported_modules(path: Path, modules: dict[str, Path]) -> set[str]:
    """Modules of this package that a file imports; those under `if TYPE_CHECKING:` too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
            found.add(node.module)
    return {name for name in found if name in modules}


def find_cycle(graph: dict[str, set[str]]) -> list[str] | None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_no_file_imports_itself_through_others():
    modules = module_files()
    graph = {name: imported_modules(path, modules) - {name} for name, path in modules.items()}
    # `from package import module` names the package too: that counts only where something of its own is imported.
    for name, targets in graph.items():
        graph[name] = {t for t in targets if not any(other.startswith(f"{t}.") for other in targets)}
    assert find_cycle(graph) is None


@pytest.mark.parametrize(("graph", "cycle"), [({"a": {"b"}, "b": set()}, False), ({"a": {"b"}, "b": {"a"}}, True)])
def test_a_cycle_is_found(graph, cycle):
    assert (find_cycle(graph) is not None) == cycle

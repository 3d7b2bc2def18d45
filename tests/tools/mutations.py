"""Mutants: changes of one operator, constant, name or order of arguments in one module."""

import ast
import random
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPARE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "is": "is not", "is not": "is"}
BINARY = {
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "//": "*",
    "%": "//",
    "**": "*",
    "@": "*",
    "&": "|",
    "|": "&",
}
SYMBOLS = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is",
    ast.IsNot: "is not", ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//",
    ast.Mod: "%", ast.Pow: "**", ast.MatMult: "@", ast.BitAnd: "&", ast.BitOr: "|",
}  # fmt: skip
NAMES = {
    "min": "max",
    "minimum": "maximum",
    "any": "all",
    "argmin": "argmax",
    "left": "right",
    "floor": "ceil",
}
NAMES |= {new: old for old, new in NAMES.items()}


@dataclass(frozen=True)
class Mutant:
    """One change of one file: the text from `start` to `end` becomes `new`."""

    path: Path
    line: int
    start: int
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.path.relative_to(ROOT)}:{self.line}: {old}  ->  {new}"


def draw(paths: list[Path], count: int, seed: int) -> list[Mutant]:
    """Return distinct mutants, each place of any file equally likely."""
    places = [mutant for path in paths for mutant in mutants_of(path)]
    return random.Random(seed).sample(places, min(count, len(places)))


def mutants_of(path: Path) -> list[Mutant]:
    text = path.read_text(encoding="utf-8")
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    raw = text.encode()

    def place(node: ast.AST) -> tuple[int, int]:
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    found = []
    tree = ast.parse(text)
    for node in code_of(tree):
        for start, end, new in changes(node, place, raw):
            mutant = Mutant(path, node.lineno, start, end, raw[start:end].decode(), new)
            if parses(raw, mutant):
                found.append(mutant)
    return found


def code_of(tree: ast.AST):
    """Yield the nodes that run, without annotations, the texts of errors, and ``strict=``, a safeguard."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_comment"):
                continue
            children = value if isinstance(value, list) else [value]
            pending += [
                c
                for c in children
                if isinstance(c, ast.AST)
                and not isinstance(c, (ast.Raise, ast.JoinedStr, ast.ImportFrom))
                and not (isinstance(c, ast.keyword) and c.arg == "strict")
            ]


def changes(node, place, raw):
    """Yield the changes of a node: where each starts and ends, and the new text."""
    for kinds, of_kind in CHANGES.items():
        if isinstance(node, kinds):
            yield from of_kind(node, place, raw)


def of_comparison(node, place, raw):
    if len(node.ops) == 1:
        old = SYMBOLS.get(type(node.ops[0]))
        yield from between(node.left, node.comparators[0], old, COMPARE, place, raw)


def of_arithmetic(node, place, raw):
    yield from between(node.left, node.right, SYMBOLS.get(type(node.op)), BINARY, place, raw)


def of_logic(node, place, raw):
    old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
    yield from between(node.values[0], node.values[1], old, {old: new}, place, raw)


def of_sign(node, place, raw):
    start, end = place(node)
    yield start, end, raw[slice(*place(node.operand))].decode()


def of_constant(node, place, raw):
    value = node.value
    if isinstance(value, bool):
        new = not value
    elif isinstance(value, (int, float)):
        new = value + 1 if value in (0, 1, 2) else 2 * value
    else:
        return
    start, end = place(node)
    yield start, end, repr(new)


def of_name(node, place, raw):
    name = node.id if isinstance(node, ast.Name) else node.attr
    start, end = place(node)
    if name in NAMES:
        yield end - len(name.encode()), end, NAMES[name]
    elif name == "T" and isinstance(node, ast.Attribute):
        yield start, end, raw[slice(*place(node.value))].decode()


def of_call(node, place, raw):
    if len(node.args) < 2:
        return
    a, b = place(node.args[0]), place(node.args[1])
    first, gap, second = raw[slice(*a)], raw[a[1] : b[0]], raw[slice(*b)]
    called = node.func.id if isinstance(node.func, ast.Name) else ""
    if first != second and called not in ("min", "max", "isinstance"):
        yield a[0], b[1], (second + gap + first).decode()


CHANGES = {
    ast.Compare: of_comparison,
    ast.BinOp: of_arithmetic,
    ast.BoolOp: of_logic,
    ast.UnaryOp: of_sign,
    ast.Constant: of_constant,
    (ast.Name, ast.Attribute): of_name,
    ast.Call: of_call,
}


def between(left, right, old, table, place, raw):
    """Yield the change of an operator, which stands between its operands."""
    if old not in table:
        return
    start, end = place(left)[1], place(right)[0]
    at = raw[start:end].decode().find(old)
    if at >= 0:
        begin = start + len(raw[start:end].decode()[:at].encode())
        yield begin, begin + len(old), table[old]


def parses(raw: bytes, mutant: Mutant) -> bool:
    try:
        ast.parse(raw[: mutant.start] + mutant.new.encode() + raw[mutant.end :])
    except SyntaxError:
        return False
    return mutant.old != mutant.new

"""Set the formulas of docstrings, which are plain text, as MathML: ``(1/N) sum_i |s_i - t_i|^2``."""

from __future__ import annotations

import re
from html import escape

_GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "eps": "ε",
    "epsilon": "ε",
    "theta": "θ",
    "mu": "μ",
    "pi": "π",
    "sigma": "σ",
    "tau": "τ",
    "phi": "φ",
    "psi": "ψ",
    "omega": "ω",
    "rho": "ρ",
    "eta": "η",
}
_BIG = {"sum": "∑", "prod": "∏"}
_FUNCTIONS = {
    *(
        "exp",
        "log",
        "log2",
        "sqrt",
        "softmax",
        "sigmoid",
        "relu",
        "tanh",
        "cos",
        "max",
        "min",
        "mean",
        "argmax",
        "argmin",
    ),
    *("zscore", "huber", "tr", "trace", "var", "std", "diag", "norm", "softplus", "sign"),
    *("KL", "JS", "CE", "BCE", "MSE", "SoftCE", "MLP", "ReLU"),
}
_OPERATORS = {"<-": "←", "->": "→", "<=": "≤", ">=": "≥", "!=": "≠", "||": "∥", "*": "·", "-": "−"}
_TOKEN = re.compile(r"``[^`]+``|\d+(?:\.\d+)?(?:e-?\d+)?|[A-Za-zα-ωΑ-Ω]+~?'*|<-|->|<=|>=|!=|\|\||\S")
_MATHY = re.compile(r"[=^|+/<>·∑√*]|_\w|\d|^[A-Za-z]$|^-$|^[^\w\s]+$")
_WORDS = re.compile(r"[A-Za-z]{2,}")
_CODE = re.compile(r"``[^`]*``")
_LEAST = 3  # tokens of a formula: shorter ones are read as well in the text


def typeset(text: str) -> str:
    """Replace the formulas of a sentence by MathML; where one cannot be read it stays as it is."""
    parts = [part for part in re.split(r"(\s+)", text) if part]
    found, place = [], 0
    while place < len(parts):
        end = _end_of_formula(parts, place)
        run = "".join(parts[place:end])
        core = run.rstrip(",.;: ") if end > place else ""
        made = _formula(core) if core else None
        if made is None:
            found.append(parts[place])
            place += 1
        else:
            found.append(made + run[len(core) :])
            place = end
    return "".join(found)


def is_formula(text: str) -> bool:
    """Whether some formula was found in a text."""
    return typeset(text) != text


def _end_of_formula(parts: list[str], start: int) -> int:
    """Where the run of mathematical tokens ends that begins here; ``start`` itself where none does."""
    if parts[start].isspace():
        return start
    end = start
    while end < len(parts) and (parts[end].isspace() or _is_mathematical(parts[end])):
        end += 1
        if parts[end - 1].endswith((".", ";", ":")):
            break
    while end > start and parts[end - 1].isspace():
        end -= 1
    return end


def _is_mathematical(token: str) -> bool:
    bare = _CODE.sub("w", token)  # a hyper-parameter in backquotes counts as a letter
    words = [word for word in _WORDS.findall(re.sub(r"_\w+|_\{[^}]*\}", "", bare)) if not _known(word)]
    return not words and bool(_MATHY.search(bare) or _WORDS.search(bare) or re.search(r"[A-Za-z]", bare))


def _known(word: str) -> bool:
    return word in _FUNCTIONS or word in _BIG or word in _GREEK


def _formula(text: str) -> str | None:
    """MathML of a text, or None where it is none: too short, without a relation or power, or out of balance."""
    tokens = _TOKEN.findall(text)
    if len(tokens) < _LEAST or not re.search(r"[=^<>]|sum|prod|\|\||/", text) or text.count("(") != text.count(")"):
        return None
    if text.count("{") != text.count("}") or text.count("[") != text.count("]") or "``" in text.replace("``", "", 2):
        return None
    if text.endswith(("=", "+", "-", "^", "_")) or not re.search(r"[\^_]|sum|\(", text):
        return None
    rows, rest = _row(tokens, ("",))
    return None if rest else f'<span class="formula"><math><mrow>{rows}</mrow></math></span>'


def _row(tokens: list[str], until: tuple[str, ...]) -> tuple[str, list[str]]:
    """What stands up to a closing token, and what comes after it."""
    made = ""
    while tokens and tokens[0] not in until:
        atom, tokens = _scripted(tokens)
        made += atom
    return made, tokens


def _scripted(tokens: list[str]) -> tuple[str, list[str]]:
    base, tokens = _atom(tokens)
    scripts = {}
    while len(tokens) > 1 and tokens[0] in ("_", "^") and tokens[0] not in scripts:
        scripts[tokens[0]], tokens = _script(tokens[1:])
    if len(scripts) == 2:
        return f"<msubsup>{base}{scripts['_']}{scripts['^']}</msubsup>", tokens
    for sign, script in scripts.items():
        tag = "msub" if sign == "_" else "msup"
        return f"<{tag}>{base}{script}</{tag}>", tokens
    return base, tokens


def _script(tokens: list[str]) -> tuple[str, list[str]]:
    """An index or a power: one token, or what is in brackets, whose round ones are left out."""
    closing = {"(": ")", "{": "}"}.get(tokens[0])
    if closing:
        inner, rest = _row(tokens[1:], (closing,))
        return f"<mrow>{inner}</mrow>", rest[1:]
    if tokens[0] == "-" and len(tokens) > 1:
        inner, rest = _atom(tokens[1:])
        return f"<mrow><mo>−</mo>{inner}</mrow>", rest
    return _atom(tokens)


def _atom(tokens: list[str]) -> tuple[str, list[str]]:
    first, rest = tokens[0], tokens[1:]
    if first in ("(", "["):
        closing = {"(": ")", "[": "]"}[first]
        inner, rest = _row(rest, (closing,))
        return f"<mrow><mo>{first}</mo>{inner}<mo>{closing}</mo></mrow>", rest[1:]
    if first.startswith("``"):
        return f"<mtext>{_plain(first.strip('`'))}</mtext>", rest
    if first[0].isdigit():
        return f"<mn>{first}</mn>", rest
    if first[0].isalpha():
        return _name(first), rest
    return f"<mo>{_plain(_OPERATORS.get(first, first))}</mo>", rest


def _name(word: str) -> str:
    bare = word.rstrip("'~")
    primes = "′" * word.count("'")
    if bare in _BIG:
        return f"<mo>{_BIG[bare]}</mo>"
    variant = ' mathvariant="normal"' if bare in _FUNCTIONS else ""
    made = f"<mi{variant}>{_GREEK.get(bare, bare)}{primes}</mi>"
    return f"<mover>{made}<mo>~</mo></mover>" if "~" in word else made


def _plain(text: str) -> str:
    """A text of which Markdown makes nothing more."""
    return escape(text).replace("_", "&#95;").replace("*", "&#42;").replace("`", "&#96;").replace("[", "&#91;")

"""``egtunnel completion``: what a shell needs to complete commands and options, made from the commands themselves."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

__all__ = ["add_to", "script", "words_of"]

SHELLS = ("bash", "zsh", "fish")
_BASH = """\
_egtunnel() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} path="" each
    for each in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$path $each" in
{paths}
        esac
    done
    case "$path" in
{words}
    esac
}}
complete -o default -F _egtunnel egtunnel
"""


def add_to(commands: Any) -> None:
    """The command."""
    parser = commands.add_parser(
        "completion",
        help="print the completion for a shell",
        description="Print the completion for a shell: source <(egtunnel completion bash)",
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    parser.set_defaults(run=_print, parser=parser)


def _print(given: argparse.Namespace) -> None:
    print(script(given.shell), end="")


def script(shell: str) -> str:
    """The completion for a shell."""
    words = words_of()
    if shell == "fish":
        return "".join(_fish(words))
    paths = "\n".join(f'            "{path}") path="{path}" ;;' for path in words if path)
    cases = "\n".join(
        f'        "{path}") COMPREPLY=($(compgen -W "{" ".join(found)}" -- "$word")) ;;'
        for path, found in words.items()
    )
    bash = _BASH.format(paths=paths, words=cases)
    return bash if shell == "bash" else f"autoload -U +X bashcompinit && bashcompinit\n{bash}"


def _fish(words: dict[str, list[str]]) -> Iterator[str]:
    for path, found in words.items():
        seen = " ".join(f"__fish_seen_subcommand_from {word};and" for word in path.split())
        condition = seen.removesuffix(";and") or "__fish_use_subcommand"
        for word in found:
            option = f"-l {word[2:]}" if word.startswith("--") else f"-a {word}"
            yield f"complete -c egtunnel -n '{condition.replace(';and', '; and')}' {option}\n"


def words_of() -> dict[str, list[str]]:
    """Commands and options by where they stand: ``" share create"`` and its options."""
    from egtunnel.command import shares  # noqa: PLC0415 - they import us
    from egtunnel.command.main import make_parser  # noqa: PLC0415

    found = dict(_walk("", make_parser()))
    share = argparse.ArgumentParser()
    shares.add_to(share.add_subparsers())
    for path, words in _walk(" share", share):
        found[path] = sorted({*found.get(path, []), *words})
    for path, options in _daemons():
        found[path] = sorted({*found.get(path, []), *options})
    return found


def _walk(path: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, list[str]]]:
    words, below = [], {}
    for action in parser._actions:
        words += [option for option in action.option_strings if option.startswith("--")]
        if isinstance(action, argparse._SubParsersAction):
            below = dict(action.choices)
    yield path, sorted([*words, *below])
    for name, each in below.items():
        yield from _walk(f"{path} {name}", each)


def _daemons() -> Iterator[tuple[str, list[str]]]:
    """The options of the daemons, which read them by themselves."""
    from egtunnel.client.tap import Options as ClientOptions  # noqa: PLC0415 - help needs neither
    from egtunnel.relay.tap import Options as RelayOptions  # noqa: PLC0415

    for path, kind in ((" relay", RelayOptions), (" http", ClientOptions), (" tcp", ClientOptions)):
        yield path, [f"--{row[0]}" for row in (*kind.optParameters, *kind.optFlags)]
    client = [f"--{row[0]}" for row in (*ClientOptions.optParameters, *ClientOptions.optFlags)]
    yield " share", client
    yield " check", client

"""Tab completion: what is offered for runs, checkpoints, keys and volumes, and `vfm completion`'s scripts.

Owns the scripts of bash and zsh; fish's is click's own. An error while completing would land in the line that
is being typed, so any error offers nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ZshComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

F = TypeVar("F", bound=Callable[..., Any])


def _quietly(offer: Callable[[str], list[CompletionItem]]) -> Callable[..., list[CompletionItem]]:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            return offer(incomplete)
        except Exception:
            return []

    return complete


def _starting(incomplete: str, values: list[tuple[str, str]]) -> list[CompletionItem]:
    return [CompletionItem(value, help=help) for value, help in values if value.startswith(incomplete)]


@_quietly
def runs(incomplete: str) -> list[CompletionItem]:
    """Ids of runs, newest first, and `last`."""
    from tui.cli.common import connect, run

    async def known() -> list[tuple[str, str]]:
        return [(r.run_id, f"{r.status} {r.environment}") for r in (await connect().runs()).rows]

    return _starting(incomplete, [("last", "the newest run"), *run(known())])


@_quietly
def checkpoints(incomplete: str) -> list[CompletionItem]:
    """Trainings, newest first; after the colon, checkpoints of one."""
    from remote.contract.checkpoint_names import checkpoints_from
    from tui.cli.common import connect, run

    async def known() -> list[tuple[str, str]]:
        client = connect()
        trainings = [record for record in (await client.runs()).rows if record.kind == "train"]
        name, colon, _ = incomplete.partition(":")
        if not colon:
            return [(r.run_id, f"{r.status} {r.environment}") for r in trainings]
        record = next(r for r in trainings if r.run_id == name)
        found = checkpoints_from((await client.state(record)).checkpoints, done=record.status == "done")
        return [(f"{name}:{saved.name}", saved.label) for saved in found]

    return _starting(incomplete, run(known()))


@_quietly
def volumes(incomplete: str) -> list[CompletionItem]:
    """Volumes; after the colon, files of one."""
    from tui.cli.common import connect, run

    async def known() -> list[tuple[str, str]]:
        client = connect()
        volume, colon, path = incomplete.partition(":")
        if not colon:
            return [(f"{v.name}:", v.backend) for v in (await client.volumes()).rows]
        folder = path.rpartition("/")[0]
        entries = await client.ls(volume, folder)
        return [(f"{volume}:{e.path}" + "/" * e.is_dir, "") for e in entries]

    return _starting(incomplete, run(known()))


@_quietly
def keys(incomplete: str) -> list[CompletionItem]:
    """The spec's keys, for `--set`; after the `=`, the values of a key that has few."""
    from tui.config.schema import by_key, rows

    key, equals, _ = incomplete.partition("=")
    if not equals:
        return _starting(incomplete, [(f"{row.key}=", row.help) for row in rows()])
    row = by_key()[key]
    values = {"choice": list(map(str, row.choices)), "true or false": ["true", "false"]}.get(row.type, [])
    if key.endswith(".environment"):
        values = _environments()
    return _starting(incomplete, [(f"{key}={value}", "") for value in values])


@_quietly
def environments(incomplete: str) -> list[CompletionItem]:
    """Packages of `environments/`."""
    return _starting(incomplete, [(name, "") for name in _environments()])


def _environments() -> list[str]:
    from tui.planning.environments import spoken_names
    from tui.settings import Settings

    return list(spoken_names(Settings.load().project_dir))


# Bash splits words at ":" and "=" (COMP_WORDBREAKS) and replaces what follows the last one: the program gets
# the line as it was typed, and answers with the text to insert there.
_BASH = """\
%(complete_func)s() {
    local answer
    COMPREPLY=()
    while IFS= read -r answer; do
        case $answer in
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
            plain,*) COMPREPLY+=("${answer#plain,}") ;;
        esac
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORD="${COMP_WORDS[COMP_CWORD]}" \\
        COMP_WORDBREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete "$1" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/:=] ]]; then
        compopt -o nospace
    fi
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
# Not `_describe`: it ends a value at a colon, and adds a space to every answer.
_ZSH = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local -a response whole whole_shown open open_shown
    local kind value help shown
    (( ! $+commands[%(prog_name)s] )) && return 1
    response=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")
    for kind value help in "${response[@]}"; do
        if [[ $kind == dir ]]; then
            _path_files -/
        elif [[ $kind == file ]]; then
            _path_files -f
        elif [[ $kind == plain ]]; then
            shown=$value
            [[ $help != _ ]] && shown="$value  -- $help"
            if [[ $value == *[/:=] ]]; then
                open+=("$value") open_shown+=("$shown")
            else
                whole+=("$value") whole_shown+=("$shown")
            fi
        fi
    done
    (( $#open )) && compadd -l -S '' -V open -d open_shown -a open
    (( $#whole )) && compadd -l -V whole -d whole_shown -a whole
    return 0
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""
_END = "\0"  # cannot be typed
_SPECIAL = {
    "": re.compile(r"""([\\\s"'$`&|;<>()*?\[\]{}!#~])"""),
    '"': re.compile(r"""([\\"$`])"""),
    "'": re.compile(r"(')"),
}
"""Characters to escape in a name that is inserted bare, or behind an open quote."""


class _Bash(BashComplete):
    """Bash's completion, which reads the line as it was typed."""

    source_template = _BASH
    _prefix = ""
    """The beginning of the word, which stays on the line."""
    _quote = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The complete words and the incomplete one. Scripts that click wrote are answered too."""
        from tui.settings import completion_line

        typed = completion_line()
        if typed is None:
            return super().get_completion_args()
        words = split_arg_string(typed.line + _END)
        incomplete = words.pop().removesuffix(_END)
        self._quote = typed.word[:1] if typed.word[:1] in ("'", '"') else ""
        inside = typed.word[1:]
        if not self._quote:
            breaks = [char for char in ":=" if char in typed.breaks]
            cut = max((incomplete.rfind(char) + 1 for char in breaks), default=0)
        else:
            cut = len(incomplete) - len(inside) if incomplete.endswith(inside) else 0
        self._prefix = incomplete[:cut]
        return words[1:], incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """As click's, without values that a command line cannot hold."""
        return [item for item in super().get_completions(args, incomplete) if item.value.isprintable()]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """The end of the word, quoted for the shell."""
        prefix = self._prefix
        if prefix.startswith("--") and not item.value.startswith(prefix):
            prefix = prefix.partition("=")[2]  # of --set=KEY=VALUE the value does not hold the option
        value = item.value.removeprefix(prefix)
        spelt = r"'\''" if self._quote == "'" else r"\\\1"
        return f"{item.type},{_SPECIAL[self._quote].sub(spelt, value)}"


class _Zsh(ZshComplete):
    """Zsh's completion, whose script takes colons as letters."""

    source_template = _ZSH
    _option = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The complete words and the incomplete one."""
        args, incomplete = super().get_completion_args()
        self._option = incomplete.partition("=")[0] + "=" if re.match("--[a-z-]+=", incomplete) else ""
        return args, incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """As click's, without values that a command line cannot hold."""
        return [item for item in super().get_completions(args, incomplete) if item.value.isprintable()]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Kind, value (the whole word of --set=KEY=VALUE) and help, a line each."""
        return f"{item.type}\n{self._option}{item.value}\n{' '.join((item.help or '_').split())}"


def register() -> None:
    """Answer this module's scripts, in `vfm` and `vfm-tui` alike."""
    add_completion_class(_Bash)
    add_completion_class(_Zsh)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.argument("program", type=click.Choice(["vfm", "vfm-tui"]), default="vfm")
@click.pass_context
def completion(ctx: click.Context, shell: str, program: str) -> int:
    """Print SHELL's completion script for PROGRAM (vfm).

    \b
    bash: vfm completion bash > ~/.local/share/bash-completion/completions/vfm
    zsh:  vfm completion zsh > a file named _vfm in a folder of $fpath
    fish: vfm completion fish > ~/.config/fish/completions/vfm.fish
    """
    register()
    kind = get_completion_class(shell)
    assert kind is not None, "click knows the three shells that the choice allows"
    # The script runs the program with this variable; which command stands here does not matter.
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    script = kind(ctx.find_root().command, {}, program, variable)
    # Not `source()`: for bash it runs a shell to read its version, and there may be none.
    click.echo(script.source_template % script.source_vars())
    return 0

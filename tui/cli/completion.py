"""`vfm completion`: the script that makes Tab complete commands, configs, runs and volumes.

Owns the scripts of bash and zsh, and reading what bash hands over; fish's script is click's own. What Tab
offers for a run or a volume is `choices`'.
"""

from __future__ import annotations

import re
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ZshComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

# Bash splits words at ":" and "=" (COMP_WORDBREAKS), and replaces what stands behind the last one: the
# program is handed the line as it was typed, and answers with what is to be inserted there.
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
# `_describe` reads a colon as the end of the value, and puts a blank behind every answer.
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
_END = "\0"  # no line that is typed holds one
_SPECIAL = {
    "": re.compile(r"""([\\\s"'$`&|;<>()*?\[\]{}!#~])"""),
    '"': re.compile(r"""([\\"$`])"""),
    "'": re.compile(r"(')"),
}
"""What the shell would obey in a name that is inserted bare, or behind an open quote."""


class _Bash(BashComplete):
    """Bash's completion, from the line as it was typed."""

    source_template = _BASH
    _kept = ""
    """How much of the word stays on the line."""
    _quote = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is typed, and that one. A script of click's own is answered too."""
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
        self._kept = incomplete[:cut]
        return words[1:], incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """Without what no line can hold."""
        return [item for item in super().get_completions(args, incomplete) if item.value.isprintable()]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """What goes in the place of the word's end, spelt so that the shell obeys nothing in it."""
        kept = self._kept
        if kept.startswith("--") and not item.value.startswith(kept):
            kept = kept.partition("=")[2]  # of --set=KEY=VALUE the value does not hold the option
        value = item.value.removeprefix(kept)
        spelt = r"'\''" if self._quote == "'" else r"\\\1"
        return f"{item.type},{_SPECIAL[self._quote].sub(spelt, value)}"


class _Zsh(ZshComplete):
    """Zsh's completion; colons are letters to its script."""

    source_template = _ZSH
    _option = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is typed, and that one."""
        args, incomplete = super().get_completion_args()
        self._option = incomplete.partition("=")[0] + "=" if re.match("--[a-z-]+=", incomplete) else ""
        return args, incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """Without what no line can hold."""
        return [item for item in super().get_completions(args, incomplete) if item.value.isprintable()]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Kind, value (of --set=KEY=VALUE the whole word) and help, a line each."""
        return f"{item.type}\n{self._option}{item.value}\n{' '.join((item.help or '_').split())}"


def register() -> None:
    """Let the scripts of this module be answered, in whichever program they ask."""
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
    # The script asks the program itself, by this variable; the command is not looked at here.
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    script = kind(ctx.find_root().command, {}, program, variable)
    # Not `source()`: for bash it runs a shell to learn its version, and none may be there.
    click.echo(script.source_template % script.source_vars())
    return 0

"""`vfm completion`: the script that makes Tab complete commands, configs, runs and volumes.

The scripts are click's own; what Tab offers for a run or a volume is `choices`'.
"""

from __future__ import annotations

import click


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
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click knows the three shells that the choice allows"
    # The script asks the program itself, by this variable; the command is not looked at here.
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    script = kind(ctx.find_root().command, {}, program, variable)
    # Not `source()`: for bash it runs a shell to learn its version, and none may be there.
    click.echo(script.source_template % script.source_vars())
    return 0

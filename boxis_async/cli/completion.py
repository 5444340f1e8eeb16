"""`boxis completion`: the script that lets a shell complete the commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .options import Screen

__all__ = ["completion"]


@click.command(cls=Screen, short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete `boxis`, its options and values.

    Put one line into the file that your shell starts with, then open a new shell:

    \b
    bash, ~/.bashrc:                   eval "$(boxis completion bash)"
    zsh, ~/.zshrc after compinit:      eval "$(boxis completion zsh)"
    fish, ~/.config/fish/config.fish:  boxis completion fish | source

    \b
    It completes the installed command boxis, and in bash needs 4.4 or later.
    """  # noqa: D301 - the sign keeps click from wrapping
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "boxis", "_BOXIS_COMPLETE").source())

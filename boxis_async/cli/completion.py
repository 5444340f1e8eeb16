"""`boxis completion`: print the script with which a shell completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .output import show_data

__all__ = ["completion"]


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script with which a shell completes boxis, its options and values.

    Add one line to the file that your shell reads when it starts, then open a new shell:

    \b
    bash, ~/.bashrc:                   eval "$(boxis completion bash)"
    zsh, ~/.zshrc after compinit:      eval "$(boxis completion zsh)"
    fish, ~/.config/fish/config.fish:  boxis completion fish | source

    \b
    It completes the installed command boxis. Bash must be 4.4 or later.
    """  # noqa: D301 - \b keeps click from wrapping
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    show_data(kind(ctx.find_root().command, {}, "boxis", "_BOXIS_COMPLETE").source())

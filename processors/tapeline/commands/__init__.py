"""The command line's groups of commands: their arguments, and what each calls."""

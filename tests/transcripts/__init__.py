"""Runs the console blocks of the documentation against a fresh stack.

    python -m tests.transcripts            runs every page, and exits 1 when an answer differs from its page
    python -m tests.transcripts --write    writes what was answered into the pages

A block is fenced as `console`. A line that begins with `$ ` is a command, what follows is its output. All pages share
one stack, in the order of `PAGES`; each has a shell of its own. What differs from run to run is masked (`masks`).

A comment above a block changes how it is run:

| comment | meaning |
|---|---|
| `<!-- background: NAME -->` | the command goes on while the page does; the block shows how its output begins |
| `<!-- output of: NAME -->` | the block has no command: these lines of that output follow |
"""

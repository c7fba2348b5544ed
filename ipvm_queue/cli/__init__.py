"""`ipvm-submit` and `ipvm`: parsing and rendering only.

A command imports what it needs when it runs, so that `--help` and a wrong flag are answered at once.
"""

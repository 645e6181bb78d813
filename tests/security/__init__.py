"""Measures what watches over people, things and cameras; `tests/measure_security.py` is its command.

One module a row of the table: each has a ``measure(bench) -> Section``, and one line in :mod:`tests.security.table`.
"""

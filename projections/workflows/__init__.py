"""Workflows: what needs a person beside overdue contact, one file a rule (docs/decisions/0009).

facts        what is kept of the events, per relation: registers by `Recorded.stamp`
rule         what a rule is: a pure function from facts to duties, with its version and escalation
thresholds   the numbers that an institution may set
rulebook     every rule there is
reconcile    what should be open against what is open: when that differs first, and the event that makes it equal
tables, projection, contacts, told   the read model: its rows, and the fold
queries, merged, loop_queries, completeness_queries   what a tick and readers ask of it
"""

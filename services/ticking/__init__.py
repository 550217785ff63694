"""Time enters the book as events (DESIGN decision 7): the tick, its lease and its loop, for every service that has one.

A service brings its read model and its `Work`: what it looks at, and the transitions that it wants. Nothing is kept
here: the events' ids are made of what they say, so a crash, a second replica or a rebuild sends at most what intake
answers with `duplicate`.
"""

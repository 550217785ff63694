"""Keeps one read model up with the stream: the services relation-view and team-timeline."""

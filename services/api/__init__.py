"""The HTTP door, the readers' API and the page. Its own process; it keeps nothing between two requests but caches."""

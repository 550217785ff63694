"""Who acts: one folder per service, and the wiring they share. The only place where the environment is read."""

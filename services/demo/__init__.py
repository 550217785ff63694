"""A book to look at: real registers, a real export, and a made-up year of four departments and six teams."""

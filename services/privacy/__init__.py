"""What the book owes the people in it: to be forgotten, to be told what is held about them, and not to be kept longer
than needed."""

"""Who people are: accounts of this book, sign-in elsewhere (OpenID Connect), and sessions."""

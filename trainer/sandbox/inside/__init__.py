"""What happens within the child; standard library only, so that it starts quickly."""

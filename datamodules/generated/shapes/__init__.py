"""A generator of shapes of classes of ModelNet40."""

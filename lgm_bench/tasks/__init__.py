"""What is attacked: images or shapes that are classified, scenes whose points are labelled. One task a file."""

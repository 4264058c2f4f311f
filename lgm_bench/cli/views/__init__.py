"""Tables and progress of commands in a terminal."""
